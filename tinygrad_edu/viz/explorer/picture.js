/* The graph as SVG: made anew when a box opens or closes, and otherwise only told what has changed. */

/* ---- Drawing ---- */

let cards = new Map(); // key -> the card's parts, and what they show at the moment
let wires = [];
let lanesTaken = 0;
let tabbed = null; // the card that the Tab key goes to
let membersOf = new Map(); // closed box -> the nodes in it
let unfilled = []; // what is drawn only when it is scrolled to, since text is what takes time in a large graph

function draw() {
  const { places, width, height } = layOut();
  const picture = svg("svg", { role: "group", "aria-label": "Computation graph", viewBox: `0 0 ${width} ${height}` });
  const [boxLayer, wireLayer, cardLayer] = [svg("g"), svg("g"), svg("g")];
  cards = new Map();
  membersOf = new Map();
  unfilled = [];
  nodes.forEach((_, i) => {
    const key = cardOf(i);
    if (key[0] === "g") membersOf.set(key, [...(membersOf.get(key) ?? []), i]);
  });
  for (const [key, place] of places) {
    if (place.open) boxLayer.append(openBox(key, place));
    else cardLayer.append(card(key, place, places.size <= PICTURES));
  }
  wires = wired(places);
  wireLayer.append(...wires.map((wire) => wire.element));
  picture.append(boxLayer, wireLayer, cardLayer);
  $("scroll").replaceChildren(picture);
  picture.size = { width, height };
  zoom(1);
  fillIn(places.size <= PICTURES);
  refresh();
}

/* Draw the insides of what is in sight or close to it; or of everything. */
function fillIn(all) {
  const frame = $("scroll");
  const [low, high] = [frame.scrollTop - 1000, frame.scrollTop + frame.clientHeight + 1000].map((y) => y / state.zoom);
  const inSight = (piece) => all || (piece.y < high && piece.y + piece.height > low);
  const due = unfilled.filter(inSight);
  unfilled = unfilled.filter((piece) => !inSight(piece));
  for (const piece of due) piece.draw();
  return due.length;
}

function zoom(factor) {
  const picture = $("scroll").firstChild;
  state.zoom = Math.min(3, Math.max(0.1, state.zoom * factor));
  picture.setAttribute("width", picture.size.width * state.zoom);
  picture.setAttribute("height", picture.size.height * state.zoom);
  if (fillIn(false)) refresh();
}

function openBox(key, { x, y, width, height, depth }) {
  const group = groups[+key.slice(1)];
  const label = svg("text", { x: x + 12, y: y + 19, role: "button", tabindex: 0, "aria-expanded": "true" });
  label.textContent = `▾ ${cut(group.title, Math.max(16, width / 8))}`;
  label.setAttribute("aria-label", `${group.title}: close this box`);
  const toggle = () => setClosed(+key.slice(1), true);
  label.addEventListener("click", toggle);
  onEnter(label, toggle);
  return svg("g", { class: depth % 2 ? "layer odd" : "layer" }, svg("rect", { x, y, width, height, rx: 10 }), label);
}

function onEnter(element, action) {
  element.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    action();
  });
}

function card(key, { x, y, width, height }, withPictures) {
  const closed = key[0] === "g";
  const at = +key.slice(1);
  const element = svg("g", { class: "card", transform: `translate(${x} ${y})`, tabindex: -1, role: "button" });
  element.append(svg("rect", { class: "frame", width, height }));
  const parts = { element, key, shown: "", filled: false };
  const draw = () => inscribe(parts, width, height, withPictures);
  unfilled.push({ y, height, draw });
  const act = closed ? () => setClosed(at, false) : () => choose(at, true);
  element.addEventListener("click", act);
  onEnter(element, act);
  cards.set(key, parts);
  return element;
}

/* Write what stands on a card: its head, its value, its gradient, its rule. */
function inscribe(parts, width, height, withPictures) {
  const { element, key } = parts;
  const node = key[0] === "g" ? null : nodes[+key.slice(1)];
  const { head, row } = CARD;
  const write = (cls, x, y, text) => element.appendChild(note(cls, [x, y], text, "start"));
  const picture = (y) => element.appendChild(svg("image", { x: width - 40, y, width: 34, height: 34, preserveAspectRatio: "none" }));
  parts.head = element.appendChild(svg("rect", { class: "head", width, height: head }));
  const [name, word] = node ? titleOf(node) : ["▸ " + groups[+key.slice(1)].title, ""];
  const [bold, plain] = [svg("tspan", { class: "name" }), svg("tspan")];
  bold.textContent = cut(name, 27);
  plain.textContent = cut(word, Math.max(6, 28 - Math.min(name.length, 27)));
  if (name && word) plain.setAttribute("dx", 7);
  parts.title = write("title", 8, 16, "");
  parts.title.append(bold, plain);
  write("small", 8, head + 16, node ? `${node.shape} ${node.dtype}` : plural(membersOf.get(key).length, "node"));
  parts.value = write("small", 8, head + 32, "");
  if (withPictures && node) parts.valuePicture = picture(head + 3);
  if (node?.role !== "input") {
    element.append(svg("rect", { class: "grad", y: head + row, width, height: row }));
    parts.gradient = write("small", 8, head + row + 16, "");
    parts.norm = write("small", 8, head + row + 32, "");
    if (withPictures && node) parts.gradientPicture = picture(head + row + 3);
  }
  if (node?.rule) write("rule", 8, head + 2 * row + 14, cut(node.rule.replaceAll("   ", "  "), 36));
  element.append(svg("rect", { class: "halo", x: -4, y: -4, width: width + 8, height: height + 8, rx: 4 }));
  parts.filled = true;
  parts.shown = "";
}

/* One wire for all arguments that go from one card to another: values down, gradients back. */
function wired(places) {
  const bundles = new Map();
  for (const edge of edges) {
    const [from, to] = [cardOf(edge.source), cardOf(edge.target)];
    if (from === to) continue;
    const key = from + ">" + to;
    if (!bundles.has(key)) bundles.set(key, { from, to, edges: [] });
    bundles.get(key).edges.push(edge);
  }
  lanesTaken = 0;
  return [...bundles.values()].map((bundle) => {
    const back = bundle.edges.filter((edge) => edge.order && data.computed);
    const route = routed(places.get(bundle.from), places.get(bundle.to), places);
    const value = svg("g", { class: "value-part" }, svg("path", { class: "values", d: route.path(-6) }));
    const element = svg("g", { class: "wire" }, value);
    const gradient = svg("g", { class: "back-part" });
    if (back.length) {
      gradient.append(svg("path", { class: "gradients", d: route.path(6) }));
      element.append(gradient);
    }
    const draw = () => {
      value.append(arrowHead(route.end, route.turn, "arrow"));
      if (route.turn === 0 && !route.around && bundle.edges.length === 1) value.append(note("shape", route.label(-12), bundle.edges[0].shape, "end"));
      if (!back.length) return;
      const orders = back.map((edge) => edge.order);
      const text = orders.length > 3 ? `${orders[0]} … ${orders.at(-1)}` : orders.join(", ");
      gradient.append(arrowHead(route.start, route.turn + 180, "arrow g"), note("order", route.label(11), text, "start"));
    };
    unfilled.push({ y: Math.min(route.start[1], route.end[1]), height: Math.abs(route.end[1] - route.start[1]), draw });
    return { ...bundle, back, element, shown: "" };
  });
}

function note(cls, [x, y], text, anchor) {
  const label = svg("text", { class: cls, x, y, "text-anchor": anchor });
  label.textContent = text;
  return label;
}
const arrowHead = ([x, y], turn, cls) =>
  svg("path", { class: cls, d: "M-4 -8L4 -8L0 0Z", transform: `translate(${x} ${y}) rotate(${turn})` });

/* Say how a wire runs: straight from a parameter beside, down from above, or around what stands in between. */
function routed(a, b, places) {
  if (a.side && Math.abs(b.x - a.x - a.width) < 3 * CARD.gap && b.y <= a.y + a.height && a.y < b.y + b.height) {
    const y = Math.min(a.y + a.height / 2, b.y + b.height - 16);
    const [x0, x1] = [a.x + a.width, b.x];
    return { path: (d) => `M${x0} ${y + d}L${x1} ${y + d}`, start: [x0, y + 6], end: [x1, y - 6], turn: -90,
      label: (d) => [(x0 + x1) / 2 - 4, y + d + 9] };
  }
  const [x0, y0, x1, y1] = [a.x + a.width / 2, a.y + a.height, b.x + b.width / 2, b.y];
  const between = [];
  if (y1 - y0 > CARD.between * 1.5) {
    const [low, high] = [Math.min(x0, x1) - CARD.width / 2, Math.max(x0, x1) + CARD.width / 2];
    for (const p of places.values()) {
      if (!p.open && p !== a && p !== b && p.y + p.height > y0 && p.y < y1 && p.x < high && p.x + p.width > low) between.push(p);
    }
  }
  const around = between.length > 0 || y1 <= y0;
  const lane = around ? (lanesTaken++ % 5) * 16 : 0; // so that wires that run around keep apart
  const path = (d) => {
    if (!around) {
      const bend = Math.min(60, (y1 - y0) / 2);
      return `M${x0 + d} ${y0}C${x0 + d} ${y0 + bend} ${x1 + d} ${y1 - bend} ${x1 + d} ${y1}`;
    }
    const side = Math.max(x0, x1, ...between.map((p) => p.x + p.width)) + 24 + lane + d;
    return `M${x0 + d} ${y0}C${x0 + d} ${y0 + 40} ${side} ${y0} ${side} ${y0 + 50}L${side} ${y1 - 50}C${side} ${y1} ${x1 + d} ${y1 - 40} ${x1 + d} ${y1}`;
  };
  return { path, around, start: [x0 + 6, y0], end: [x1 - 6, y1], turn: 0,
    label: (d) => (around ? [x1 + 24 + d, y1 - 12] : [(x0 + x1) / 2 + d, (y0 + y1) / 2 + 4]) };
}

/* ---- What is known at this step ---- */

function refresh() {
  const step = current();
  const query = $("search").value.trim().toLowerCase();
  const range = normRange();
  let hits = 0;
  for (const parts of cards.values()) {
    const about = parts.key[0] === "g" ? aboutBox(parts.key, step) : aboutNode(+parts.key.slice(1), step);
    const hit = query && matches(parts.key, query);
    hits += hit ? 1 : 0;
    const search = query ? (hit ? " hit" : " miss") : "";
    const cls = `card ${about.cls}${search}${parts.key === "n" + state.chosen ? " chosen" : ""}`;
    const colour = about.array === null ? "" : ramp(arrays[about.array].size_of_norm, range);
    const shown = [cls, about.value, about.gradient, about.norm, about.array, about.picture, colour, $("palette").value].join("|");
    if (shown === parts.shown) continue; // most cards stay as they were
    parts.shown = shown;
    parts.element.setAttribute("class", cls);
    parts.element.setAttribute("aria-label", about.spoken);
    if (parts.filled) show(parts, about, colour);
  }
  const inTabOrder = cards.get("n" + state.chosen) ?? cards.values().next().value; // one card, not two thousand
  if (tabbed) tabbed.element.setAttribute("tabindex", -1);
  (tabbed = inTabOrder)?.element.setAttribute("tabindex", 0);
  for (const wire of wires) {
    const waiting = wire.edges.every((edge) => ready[edge.source] > state.step);
    const sent = wire.back.some((edge) => state.step >= seedStep + edge.order);
    const cls = `wire${waiting ? " waiting" : ""}${sent ? "" : " before"}${step?.edge && wire.edges.includes(step.edge) ? " now" : ""}`;
    if (cls !== wire.shown) wire.element.setAttribute("class", (wire.shown = cls));
  }
  $("found").textContent = query ? plural(hits, "match").replace("matchs", "matches") : "";
  $("step").value = state.step;
  $("count").textContent = `${state.step} / ${steps.length}`;
  $("saying").textContent = sentence(step);
  $("back").disabled = $("first").disabled = state.step === 0;
  $("forward").disabled = $("last").disabled = state.step === steps.length;
  showLegend(range);
  showTraining();
  showPanel();
  showCode();
}

function show(parts, about, colour) {
  parts.value.textContent = about.value;
  if (parts.gradient) {
    parts.gradient.textContent = about.gradient;
    parts.norm.textContent = about.norm;
  }
  for (const [image, id] of [[parts.valuePicture, about.picture], [parts.gradientPicture, about.array]]) {
    if (!image) continue;
    if (id === null || arrays[id].size < 2) image.removeAttribute("href");
    else image.setAttribute("href", thumbnail(id));
  }
  parts.head.style.fill = colour ? colour.fill : "";
  parts.title.style.fill = colour ? colour.ink : "";
}

function aboutNode(i, step) {
  const node = nodes[i];
  const known = ready[i] <= state.step;
  const value = now().nodes[i][0];
  const { array, got, of } = gradientAt(i);
  const active = step && (step.node === i || step.edge?.target === i);
  const role = step?.kind === "send" && step.node === i ? " taking" : active ? " active" : "";
  let [gradient, norm] = ["gradient: not yet", of > 1 ? `0 of ${of} paths` : ""];
  if (!data.computed) [gradient, norm] = ["gradient not computed", ""];
  else if (!of) [gradient, norm] = ["no gradient reaches it", ""];
  else if (got) {
    gradient = got < of ? `Σ so far: ${got} of ${of} paths` : of > 1 ? `gradient: Σ of ${of} paths` : "gradient";
    norm = array === null ? "several results" : arrays[array].size === 1 ? arrays[array].summary : `‖·‖ ${arrays[array].norm} ${got === of ? arrays[array].word : ""}`;
  }
  const shownValue = value === null ? "values not stored" : arrays[value].summary;
  return {
    cls: `${node.role}${known ? "" : " waiting"}${role}`, value: known ? shownValue : "not computed yet", gradient, norm, array,
    picture: known ? value : null,
    spoken: `${titleOf(node).join(" ")}, ${known ? shownValue : "not computed yet"}, ${gradient} ${norm}`,
  };
}

function aboutBox(key, step) {
  const members = membersOf.get(key);
  const calls = members.filter((i) => nodes[i].op);
  const done = calls.filter((i) => ready[i] <= state.step).length;
  const reached = members.filter((i) => arrivals[i].length);
  const complete = reached.filter((i) => arrivals[i].at(-1).step <= state.step).length;
  const active = step && (members.includes(step.node) || (step.edge && members.includes(step.edge.target)));
  const value = `${done} of ${plural(calls.length, "call")} computed`;
  const gradient = `${complete} of ${plural(reached.length, "gradient")}`;
  return {
    cls: `folded${done || !calls.length ? "" : " waiting"}${active ? " active" : ""}`, value, gradient, norm: "click to open", array: null,
    picture: null, spoken: `${groups[+key.slice(1)].title}, closed box, ${value}, ${gradient}`,
  };
}

function matches(key, query) {
  const text = (i) => [nodes[i].name ?? "", nodes[i].call, nodes[i].role, ...nodes[i].layers].join("\n").toLowerCase();
  return key[0] === "g"
    ? groups[+key.slice(1)].title.toLowerCase().includes(query) || membersOf.get(key).some((i) => text(i).includes(query))
    : text(+key.slice(1)).includes(query);
}

/* Colour by size: the logarithm of the norm, from pale to dark in one hue, so that it reads in grey too. */
function normRange() {
  if ($("colour").value !== "gradient") return null;
  let [low, high] = [Infinity, -Infinity];
  for (const moment of moments) {
    for (const [, id] of moment.nodes) {
      const norm = id === null ? 0 : arrays[id].size_of_norm;
      if (norm > 0) [low, high] = [Math.min(low, norm), Math.max(high, norm)];
    }
  }
  return low <= high ? [low, high] : [1, 1];
}
function ramp(norm, range) {
  if (!range) return "";
  if (norm === null) return { fill: "#8e24aa", ink: "#fff", toString: () => "nan" };
  const [low, high] = range.map(Math.log10);
  const part = norm > 0 ? Math.min(1, Math.max(0, (Math.log10(norm) - low) / (high - low || 1))) : 0;
  const light = Math.round(95 - 65 * part);
  return { fill: `hsl(262 55% ${light}%)`, ink: light > 60 ? "#111" : "#fff", toString: () => String(light) };
}

function showLegend(range) {
  const parts = range
    ? [`Heads are coloured by ‖gradient‖, on a logarithmic scale: pale is ${written(range[0])}, dark is ${written(range[1])}.`]
    : ["input", "parameter", "op", "loss"].flatMap((role) => [html("b", { class: "key-" + role }, role), " "]);
  const back = html("span", { class: "back" }, " ⇠ gradients, numbered as the backward pass sends them");
  $("legend").replaceChildren(...parts, " → values ", back, data.note ? ` · ${data.note}` : "");
}

