/* Beside the graph: one node in all detail, its line of code, and how it did over a training. */

/* ---- The panel: everything about one node ---- */

function showPanel() {
  const focused = $("panel").contains(document.activeElement) ? document.activeElement.dataset.key : null;
  $("panel").replaceChildren(...(state.chosen === null ? introduction() : details(state.chosen)));
  if (focused) $("panel").querySelector(`[data-key="${focused}"]`)?.focus();
}

function introduction() {
  const lines = [
    "→ and ← step through the forward pass, then the backward pass; Home and End jump.",
    "↑ and ↓ go from node to node; Enter or a click shows a node's numbers here.",
    "A click on a box's title closes it; on a closed box, opens it. The key o does it for the chosen node.",
    "/ searches, Escape comes back to following the steps, + and − zoom.",
  ];
  if (moments.length > 1) lines.push("[ and ] go to the earlier or later snapshot.");
  return [html("h2", {}, data.title), html("ul", {}, ...lines.map((line) => html("li", {}, line)))];
}

function details(i) {
  const node = nodes[i];
  const [name, word] = titleOf(node);
  const out = [html("h2", {}, name, name && word ? " " : "", html("span", { class: "quiet" }, word))];
  if (state.pinned) {
    const follow = html("button", { type: "button", "data-key": "follow" }, "Follow the steps again (Esc)");
    follow.addEventListener("click", () => { state.pinned = false; go(state.step); });
    out.push(follow);
  }
  const layers = node.layers.length ? ` in ${node.layers.join(" / ")}` : "";
  out.push(html("p", { class: "quiet" }, [node.call, layers, node.where ? ` · ${node.where}` : ""].join("")));
  const [value, , images, slopes] = now().nodes[i];
  const values = [html("h3", {}, "Value")];
  if (ready[i] > state.step) values.push(html("p", {}, "Not computed yet."));
  else values.push(...arraySection(value, images, "value"));
  const gradients = node.role === "input" ? [] : gradientSection(i, slopes);
  // what a step is about comes first
  if (state.step >= seedStep && current().node === i) out.push(...gradients, ...values);
  else out.push(...values, ...gradients);
  if (node.op) out.push(...ruleSection(i));
  out.push(...neighbours(i));
  if (moments.length > 1) out.push(html("h3", {}, "Over the training"), html("div", { class: "row" }, ...overTraining(i)));
  return out;
}

function ruleSection(i) {
  const out = [];
  if (nodes[i].rule) {
    out.push(html("h3", {}, "Gradient rule"));
    for (const equation of nodes[i].rule.split("   ")) out.push(html("p", { class: "back formula" }, equation));
  }
  const sent = departures[i];
  const known = sent.filter(({ step, edge }) => step <= state.step && sentOn(edge)[2]);
  if (known.length) out.push(html("p", { class: "quiet" }, "With its numbers, for the element that changes most:"));
  for (const { edge } of known) out.push(html("p", { class: "back", "data-numbers": edge.order }, sentOn(edge)[2]));
  if (sent.length > known.length && nodes[i].rule) out.push(html("p", { class: "quiet" }, "Numbers are put in as the backward pass comes here."));
  return out;
}

function gradientSection(i, slopes) {
  const out = [html("h3", {}, "Gradient")];
  const { array, got, of } = gradientAt(i);
  if (!data.computed) return [...out, html("p", {}, data.note || "Not computed.")];
  if (i === lossAt) out.push(html("p", {}, got ? "1: where the backward pass starts." : "Not yet: the backward pass starts here."));
  else if (!of) out.push(html("p", {}, "No gradient reaches it."));
  else {
    const list = html("ol", { "aria-label": "contributions" });
    for (const { step, edge } of arrivals[i]) {
      const [part] = sentOn(edge);
      const size = part === null ? "" : arrays[part].size === 1 ? arrays[part].summary : `‖·‖ ${arrays[part].norm}`;
      const arrived = step <= state.step;
      const text = `step ${edge.order}, from ${called(edge.target)}: ${arrived ? size : "to come"}${edge.unbroadcast ? `, ${edge.unbroadcast}` : ""}`;
      const item = html("li", { class: step === state.step ? "now" : arrived ? "" : "todo" }, text);
      if (arrived && sentOn(edge)[2]) item.append(html("div", { class: "back" }, sentOn(edge)[2]));
      list.append(item);
    }
    const complete = got === of ? (of > 1 ? `All ${of} contributions have arrived; this is their sum:` : "") : got ? `The sum of ${got} of ${of} contributions so far:` : "";
    out.push(list, html("p", {}, complete));
  }
  if (got && array !== null) out.push(...arraySection(array, got === of ? slopes : null, "gradient"));
  return out;
}

function arraySection(id, images, word) {
  if (id === null) return [html("p", {}, "Its numbers are not stored: it holds several results, or belongs to another library.")];
  const array = arrays[id];
  if (array.size === 1) return [html("p", { class: "formula", "data-array": word }, written(numbersOf(id)[0]))];
  const out = [html("p", { "data-array": word }, `${array.summary}   ‖·‖ ${array.norm} ${word === "gradient" ? array.word : ""}`)];
  if (array.extremes) out.push(html("p", { class: "quiet" }, array.extremes));
  if (!array.size) return out;
  if (images !== null && images !== undefined) out.push(...imageRow(images, word));
  const [cells, about] = heatmap(id);
  const charts = html("div", { class: "row" }, cells);
  if (array.histogram) charts.append(histogram(array));
  out.push(charts, about);
  out.push(numberTable(id, word));
  return out;
}

function heatmap(id) {
  const whole = arrays[id];
  const { numbers, rows, columns } = shrunk(id, 200, 260);
  const averaged = whole.averaged || rows < whole.rows || columns < whole.columns;
  const size = (n, room) => Math.max(1, Math.min(22, Math.floor(room / n)));
  const down = size(rows, 200);
  const across = Math.min(size(columns, 260), down * 8);
  const canvas = paint(numbers, rows, columns, across, down);
  fill(canvas, { role: "img", "aria-label": `heatmap of ${rows} by ${columns} numbers, red above and blue below zero` }, []);
  const reading = html("span", { class: "quiet" }, `strongest colour: ± ${written(furthest(numbers))}`);
  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    const r = Math.min(rows - 1, Math.floor(((event.clientY - box.top) / box.height) * rows));
    const c = Math.min(columns - 1, Math.floor(((event.clientX - box.left) / box.width) * columns));
    if (r >= 0 && c >= 0) reading.textContent = `${averaged ? "block " : ""}[${r}, ${c}] = ${written(numbers[r * columns + c])}`;
  });
  const [r, c] = whole.averaged ?? [whole.rows, whole.columns];
  const about = averaged ? `Each cell is the mean of a block of the ${r} × ${c} numbers; all else here is of all of them.` : "";
  return [html("div", {}, canvas, reading), html("p", { class: "quiet" }, about)];
}

function histogram({ histogram: { low, high, counts } }) {
  const [width, height] = [168, 66];
  const most = Math.max(...counts);
  const chart = svg("svg", { class: "bars", width, height: height + 14, role: "img", "aria-label": `histogram from ${low} to ${high}` });
  counts.forEach((count, i) => {
    const tall = count ? Math.max(1, (height * count) / most) : 0;
    chart.append(svg("rect", { x: (i * width) / counts.length, y: height - tall, width: width / counts.length - 1, height: tall }));
  });
  chart.append(note("", [0, height + 12], low, "start"), note("", [width, height + 12], high, "end"));
  return chart;
}

function imageRow(id, word) {
  const { side, count, all } = arrays[id];
  const numbers = numbersOf(id);
  const row = html("div", { class: "row" });
  for (let i = 0; i < count; i++) {
    const canvas = paint(numbers.subarray(i * side * side, (i + 1) * side * side), side, side, 2, 2);
    fill(canvas, { role: "img", "aria-label": `${word} ${i} as an image` }, []);
    row.append(html("figure", {}, canvas, html("figcaption", {}, String(i))));
  }
  return [html("p", { class: "quiet" }, `As images of ${side} × ${side}${+all.split(" ")[0] > count ? ` (the first ${count} of ${all})` : ""}:`), row];
}

const opened = new Set(); // which tables of numbers are open, kept from step to step
function numberTable(id, word) {
  const { rows, columns, averaged } = arrays[id];
  const table = html("div", { class: "numbers" });
  const block = html("details", {}, html("summary", { "data-key": "numbers " + word }, averaged ? "Block means" : "Numbers"), table);
  block.addEventListener("toggle", () => {
    opened[block.open ? "add" : "delete"](word);
    if (block.open && !table.firstChild) table.append(tableOf(numbersOf(id), rows, columns));
  });
  block.open = opened.has(word);
  return block;
}
function tableOf(numbers, rows, columns) {
  const [r, c] = [Math.min(rows, 40), Math.min(columns, 16)];
  const table = html("table");
  for (let i = 0; i < r; i++) {
    const cells = Array.from({ length: c }, (_, j) => html("td", {}, written(numbers[i * columns + j])));
    table.append(html("tr", {}, html("th", {}, String(i)), ...cells));
  }
  if (r < rows || c < columns) table.append(html("caption", {}, `the first ${r} × ${c} of ${rows} × ${columns}`));
  return table;
}

function neighbours(i) {
  const link = (other, what) => {
    const button = html("button", { type: "button", "data-key": `to ${other}` }, cut(called(other), 30));
    button.addEventListener("click", () => choose(other, true));
    return html("span", {}, what + " ", button);
  };
  const from = [...new Set(edges.filter((e) => e.target === i).map((e) => e.source))].slice(0, 8).map((n) => link(n, "made from"));
  const to = [...new Set(edges.filter((e) => e.source === i).map((e) => e.target))].slice(0, 8).map((n) => link(n, "used by"));
  return [html("h3", {}, "Neighbours"), html("div", { class: "row" }, ...from, ...to)];
}

/* ---- The code ---- */

function showCode() {
  const step = current();
  const about = state.pinned || !step ? state.chosen : step.kind === "send" ? step.edge.target : step.node;
  const place = about === null ? null : nodes[about].place;
  const [file, line] = place ?? [0, -1];
  if (!data.files.length) return $("code").replaceChildren(html("h3", {}, "No source lines."));
  if ($("code").dataset.file !== String(file)) {
    const list = html("ol");
    let before = null;
    for (const [n, text] of data.files[file].lines) {
      if (before !== null && n !== before + 1) list.append(html("li", { class: "gap" }, "   ⋮"));
      list.append(html("li", { "data-line": n }, html("span", {}, String(n)), text));
      before = n;
    }
    const empty = data.files[file].lines.length ? "" : " (its text is not at hand)";
    $("code").replaceChildren(html("h3", {}, data.files[file].name + empty), list);
    $("code").dataset.file = file;
  }
  for (const item of $("code").querySelectorAll("li.now")) item.classList.remove("now");
  const item = $("code").querySelector(`li[data-line="${line}"]`);
  if (!item) return;
  item.classList.add("now");
  $("code").scrollTop = item.offsetTop - $("code").offsetTop - $("code").clientHeight / 2;
}

/* ---- Training ---- */

function curve(values, width, height, label, scale = (x) => x) {
  const known = values.map((v) => (v === null || !Number.isFinite(scale(v)) ? null : scale(v)));
  const [low, high] = [Math.min(...known.filter((v) => v !== null)), Math.max(...known.filter((v) => v !== null))];
  const x = (i) => 4 + (i * (width - 8)) / Math.max(1, known.length - 1);
  const y = (v) => height - 5 - ((v - low) * (height - 20)) / (high - low || 1);
  let pen = "M";
  const d = known.map((v, i) => (v === null ? ((pen = "M"), "") : `${pen === "M" ? ((pen = "L"), "M") : "L"}${x(i)} ${y(v)}`)).join("");
  const chart = svg("svg", { class: "curve", width, height, role: "img", "aria-label": label }, svg("path", { d }));
  const here = known[state.moment];
  if (here !== null) chart.append(svg("circle", { cx: x(state.moment), cy: y(here), r: 3.5 }));
  chart.append(note("", [2, 10], label, "start"));
  return chart;
}

function overTraining(i) {
  const norms = (place) => moments.map(({ nodes: of }) => (of[i][place] === null ? null : arrays[of[i][place]].size_of_norm));
  const scalar = (id) => (id !== null && arrays[id].size === 1 ? numbersOf(id)[0] : null);
  const value = nodes[i].shape === "scalar" ? curve(moments.map(({ nodes: of }) => scalar(of[i][0])), 168, 70, "value") : curve(norms(0), 168, 70, "‖value‖");
  return nodes[i].role === "input" || !data.computed ? [value] : [value, curve(norms(1), 168, 70, "log ‖gradient‖", Math.log10)];
}

function showTraining() {
  if (moments.length < 2) return;
  $("moment").value = state.moment;
  $("when").textContent = `${state.moment + 1} of ${moments.length}: ${now().label}, loss here ${now().loss}`;
  $("earlier").disabled = state.moment === 0;
  $("later").disabled = state.moment === moments.length - 1;
  $("curve").replaceChildren(curve(moments.map((m) => m.loss_value), 180, 40, "loss"));
}

function toMoment(moment) {
  state.moment = Math.min(moments.length - 1, Math.max(0, moment));
  refresh();
}
function play(on) {
  clearInterval(state.playing);
  state.playing = on ? setInterval(() => (state.moment < moments.length - 1 ? toMoment(state.moment + 1) : play(false)), 400) : null;
  $("play").textContent = on ? "Pause" : "Play";
}

