"use strict";
/* The explorer's script. It reads facts (never markup) from the JSON block, lays the graph out, and shows at each
   step what is known by then. Text reaches the page through textContent alone, so a name is never run. */

const data = JSON.parse(document.getElementById("data").textContent);
const { nodes, edges, groups, moments, arrays } = data;
const $ = (id) => document.getElementById(id);
const CARD = { width: 214, head: 24, row: 40, rule: 20, gap: 26, between: 50 };
const PICTURES = 400; // more cards than this are drawn without small heatmaps, to stay quick
const state = { step: 0, moment: 0, chosen: null, pinned: false, zoom: 1, closed: new Set(), playing: null };

/* ---- Elements ---- */

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
const html = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
const cut = (text, length) => (text.length > length ? text.slice(0, length - 1) + "…" : text);

/* ---- Numbers ---- */

const KINDS = { f8: Float64Array, f4: Float32Array, i2: Int16Array };
const unpacked = new Map(); // decoded when first looked at: a page of thousands of arrays opens at once
function numbersOf(id) {
  if (!unpacked.has(id)) {
    const bytes = Uint8Array.from(atob(arrays[id].data), (c) => c.charCodeAt(0));
    unpacked.set(id, new KINDS[arrays[id].type](bytes.buffer));
  }
  return unpacked.get(id);
}
function written(x) {
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "NaN" : x > 0 ? "∞" : "−∞";
  const text = x !== 0 && (Math.abs(x) < 1e-3 || Math.abs(x) >= 1e5) ? x.toExponential(3) : String(+x.toPrecision(4));
  return text.replace("-", "−");
}
const plural = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;

/* ---- Steps: the forward pass in the order of the calls, then the backward pass, one contribution at a time ---- */

const steps = [];
const ready = nodes.map(() => 0); // the step after which a node's value is known
const arrivals = nodes.map(() => []); // which steps bring it a contribution to its gradient
nodes.forEach((node, i) => { if (node.op) ready[i] = steps.push({ kind: "value", node: i }); });
const forwardSteps = steps.length;
const lossAt = nodes.length - 1;
let seedStep = Infinity;
if (data.computed) {
  seedStep = steps.push({ kind: "start", node: lossAt });
  for (const edge of edges.filter((e) => e.order).sort((a, b) => a.order - b.order)) {
    const step = steps.push({ kind: "send", edge, node: edge.source });
    if (moments[0].arrivals[edge.order]) arrivals[edge.source].push({ step, edge });
  }
}
const now = () => moments[state.moment];
const current = () => steps[state.step - 1];
const sentOn = (edge) => now().arrivals[edge.order] || [null, null, ""];

/* A node's gradient as far as it is known: the array of the sum so far, and how many contributions are in it. */
function gradientAt(i, step = state.step) {
  if (i === lossAt) return { array: step >= seedStep ? now().nodes[i][1] : null, got: +(step >= seedStep), of: 1 };
  const got = arrivals[i].filter((arrival) => arrival.step <= step);
  const latest = got.at(-1);
  return { array: latest ? sentOn(latest.edge)[1] : null, got: got.length, of: arrivals[i].length };
}

const called = (i) => nodes[i].name ?? (nodes[i].op || nodes[i].role);
function titleOf(node) {
  const what = node.op || node.role;
  const word = node.role === "loss" && node.name !== "loss" ? "loss: " + what : what;
  return [node.name ?? "", word];
}

function sentence(step) {
  if (!step) return "Nothing is computed yet: there are only inputs and parameters. Press → (or Step) to begin.";
  if (step.kind === "value") {
    const node = nodes[step.node];
    return `Forward ${ready[step.node]} of ${forwardSteps}: ${node.name ? node.name + " = " : ""}${node.call}`;
  }
  if (step.kind === "start") return "The backward pass starts: the gradient of the loss with respect to itself is 1.";
  const { edge } = step;
  const [part] = sentOn(edge);
  const place = `Backward ${edge.order} of ${steps.length - seedStep}: ${called(edge.target)}`;
  if (part === null) return `${place} sends nothing to ${called(edge.source)}`;
  const { got, of } = gradientAt(edge.source);
  const sum = of > 1 ? ` (${got} of ${of} contributions, added up so far)` : "";
  const spread = edge.unbroadcast ? `, ${edge.unbroadcast}` : "";
  return `${place} sends ${called(edge.source)} its gradient${sum}${spread}`;
}

/* ---- Heatmaps ---- */

function shade(x) { // x from −1 to 1
  if (!Number.isFinite(x)) return "#8e24aa";
  if ($("palette").value === "greys") { // lightness grows with the number, so that print keeps the sign
    const light = Math.round(128 + 116 * x);
    return `rgb(${light},${light},${light})`;
  }
  const fade = Math.round(255 * (1 - Math.abs(x)));
  return x >= 0 ? `rgb(255,${fade},${fade})` : `rgb(${fade},${fade},255)`;
}
function furthest(numbers) {
  let most = 0;
  for (const x of numbers) if (Number.isFinite(x) && Math.abs(x) > most) most = Math.abs(x);
  return most || 1;
}
function paint(numbers, rows, columns, across, down) {
  const canvas = html("canvas", { width: columns * across, height: rows * down });
  const pen = canvas.getContext("2d");
  const most = furthest(numbers);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      const x = numbers[r * columns + c];
      pen.fillStyle = shade(x / most);
      pen.fillRect(c * across, r * down, across, down);
      if (x < 0 && across > 5 && down > 5) { // a minus sign, for eyes and printers that see no colours
        pen.fillStyle = x < -0.6 * most ? "#fff" : "#444";
        pen.fillRect(c * across + across / 4, r * down + down / 2 - 0.5, across / 2, 1);
      }
    }
  }
  return canvas;
}
const pictures = new Map();
function thumbnail(id) {
  const key = `${id} ${$("palette").value}`;
  if (!pictures.has(key)) {
    const { rows, columns } = arrays[id];
    const numbers = numbersOf(id);
    const [r, c] = [Math.min(rows, 12), Math.min(columns, 12)];
    const sums = new Float64Array(r * c);
    const counts = new Float64Array(r * c);
    numbers.forEach((x, at) => {
      const cell = Math.floor((Math.floor(at / columns) * r) / rows) * c + Math.floor(((at % columns) * c) / columns);
      sums[cell] += x;
      counts[cell] += 1;
    });
    pictures.set(key, r * c ? paint(sums.map((sum, i) => sum / counts[i]), r, c, 1, 1).toDataURL() : "");
  }
  return pictures.get(key);
}

/* ---- Layout: every box is laid out by itself, then stands as one block in the box around it ---- */

const boxesOf = (group) => { // from the outermost to `group` itself
  const path = [];
  for (let g = group; g >= 0; g = groups[g].parent) path.unshift(g);
  return path;
};
/* The blocks that hold a node, from the outermost to its own card, or to the closed box that hides it. */
function blocksOf(i) {
  const path = [];
  for (const g of boxesOf(nodes[i].group)) {
    path.push("g" + g);
    if (state.closed.has(g)) return path;
  }
  const { beside } = nodes[i];
  return [...path, "n" + (beside ?? i)];
}
const cardOf = (i) => (blocksOf(i).at(-1)[0] === "g" ? blocksOf(i).at(-1) : "n" + i);

function heightOf(key) {
  if (key[0] === "g") return CARD.head + 2 * CARD.row;
  const node = nodes[+key.slice(1)];
  return CARD.head + CARD.row * (node.role === "input" ? 1 : 2) + (node.rule ? CARD.rule : 0);
}

function layOut() {
  const inside = new Map([["", new Map()]]); // box -> its blocks
  const paths = nodes.map((_, i) => blocksOf(i));
  nodes.forEach((node, i) => {
    paths[i].forEach((key, depth) => {
      const box = depth ? paths[i][depth - 1] : "";
      if (!inside.has(box)) inside.set(box, new Map());
      if (!inside.get(box).has(key)) inside.get(box).set(key, { key, sides: [], before: new Set(), after: new Set() });
    });
    const own = paths[i].at(-1);
    if (own[0] === "n" && own !== "n" + i) inside.get(paths[i].at(-2) ?? "").get(own).sides.push("n" + i);
  });
  for (const edge of edges) {
    const [a, b] = [paths[edge.source], paths[edge.target]];
    let depth = 0;
    while (depth < a.length && a[depth] === b[depth]) depth++;
    if (depth === a.length || depth === b.length) continue;
    const blocks = inside.get(depth ? a[depth - 1] : "");
    blocks.get(a[depth]).after.add(b[depth]);
    blocks.get(b[depth]).before.add(a[depth]);
  }
  const places = new Map();
  const whole = arrange("", inside);
  settle(whole, -whole.left + 20, 20, places, 0);
  return { places, width: whole.right - whole.left + 40, height: whole.height + 40 };
}

/* Put the blocks of one box in rows. Distances are measured from the line that its main column hangs on. */
function arrange(box, inside) {
  const blocks = [...inside.get(box).values()];
  for (const block of blocks) {
    if (inside.has(block.key)) {
      block.inner = arrange(block.key, inside);
      Object.assign(block, { left: block.inner.left - 16, right: block.inner.right + 16, height: block.inner.height + 42 });
    } else {
      const beside = block.sides.length ? CARD.width + CARD.gap * 2 : 0;
      const stack = block.sides.reduce((sum, key) => sum + heightOf(key) + 10, -10);
      block.left = -CARD.width / 2 - beside;
      block.right = CARD.width / 2;
      block.height = Math.max(heightOf(block.key), stack);
    }
  }
  const rows = inRows(blocks, inside.get(box));
  line(rows, inside.get(box));
  let y = 0;
  for (const row of rows) {
    for (const block of row) block.y = y;
    y += Math.max(...row.map((block) => block.height)) + CARD.between;
  }
  const left = Math.min(...blocks.map((b) => b.x + b.left));
  const right = Math.max(...blocks.map((b) => b.x + b.right));
  return { blocks, left, right, height: y - CARD.between };
}

/* A block's row is one below the lowest block that it needs; what needs nothing stands just above its first user. */
function inRows(blocks, byKey) {
  const missing = new Map(blocks.map((block) => [block, block.before.size]));
  const ranked = new Map();
  const queue = blocks.filter((block) => !missing.get(block));
  let next = 0;
  while (ranked.size < blocks.length) {
    // two boxes may need each other (a layer used twice): the one that came first goes first
    const block = queue.shift() ?? blocks.slice(next).find((b) => !ranked.has(b));
    while (next < blocks.length && ranked.has(blocks[next])) next++;
    if (ranked.has(block)) continue;
    ranked.set(block, Math.max(-1, ...[...block.before].map((key) => ranked.get(byKey.get(key)) ?? -1)) + 1);
    for (const key of block.after) {
      const user = byKey.get(key);
      missing.set(user, missing.get(user) - 1);
      if (!missing.get(user)) queue.push(user);
    }
  }
  for (const block of blocks) {
    if (!block.before.size && block.after.size) {
      ranked.set(block, Math.max(0, Math.min(...[...block.after].map((key) => ranked.get(byKey.get(key)))) - 1));
    }
  }
  const rows = [];
  for (const block of blocks) (rows[ranked.get(block)] ??= []).push(block);
  return rows.filter((row) => row.length);
}

/* Move each block towards the middle of its neighbours, a few times down and up, keeping distances in each row. */
function line(rows, byKey) {
  const middle = (block, keys) => {
    const xs = [...keys].map((key) => byKey.get(key).x).filter((x) => x !== undefined);
    return xs.length ? xs.reduce((a, b) => a + b) / xs.length : block.x ?? 0;
  };
  for (let sweep = 0; sweep < 5; sweep++) {
    const down = sweep % 2 === 0;
    for (const row of down ? rows : [...rows].reverse()) {
      for (const block of row) block.wish = middle(block, down ? block.before : block.after);
      row.sort((a, b) => a.wish - b.wish); // stable: ties keep the order of the calls
      let edge = -Infinity;
      for (const block of row) {
        block.x = Math.max(block.wish, edge - block.left);
        edge = block.x + block.right + CARD.gap;
      }
      const shift = row.reduce((sum, block) => sum + block.x - block.wish, 0) / row.length;
      for (const block of row) block.x -= shift;
    }
  }
}

/* Write down where every card and open box ended up on the page. */
function settle(box, x, y, places, depth) {
  for (const block of box.blocks) {
    const [middle, top] = [x + block.x, y + block.y];
    if (block.inner) {
      const place = { x: middle + block.left, y: top, width: block.right - block.left, height: block.height, depth };
      places.set(block.key, { ...place, open: true });
      settle(block.inner, middle, top + 28, places, depth + 1);
      continue;
    }
    const size = (key) => ({ width: CARD.width, height: heightOf(key) });
    places.set(block.key, { x: middle - CARD.width / 2, y: top, ...size(block.key) });
    let below = top;
    for (const key of block.sides) {
      places.set(key, { x: middle - CARD.width * 1.5 - CARD.gap * 2, y: below, ...size(key), side: true });
      below += heightOf(key) + 10;
    }
  }
}

/* ---- Drawing ---- */

let cards = new Map(); // key -> the card's parts, and what they show at the moment
let wires = [];
let membersOf = new Map(); // closed box -> the nodes in it

function draw() {
  const { places, width, height } = layOut();
  const picture = svg("svg", { role: "group", "aria-label": "Computation graph", viewBox: `0 0 ${width} ${height}` });
  const [boxLayer, wireLayer, cardLayer] = [svg("g"), svg("g"), svg("g")];
  cards = new Map();
  membersOf = new Map();
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
  refresh();
}

function zoom(factor) {
  const picture = $("scroll").firstChild;
  state.zoom = Math.min(3, Math.max(0.1, state.zoom * factor));
  picture.setAttribute("width", picture.size.width * state.zoom);
  picture.setAttribute("height", picture.size.height * state.zoom);
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
  const write = (cls, left, top, text) => {
    const line = svg("text", { class: cls, x: left, y: top });
    line.textContent = text;
    element.append(line);
    return line;
  };
  const { head, row } = CARD;
  element.append(svg("rect", { class: "frame", width, height }), svg("rect", { class: "head", width, height: head }));
  const parts = { element, key, shown: "", head: element.lastChild };
  const node = closed ? null : nodes[at];
  const [name, word] = closed ? ["▸ " + groups[at].title, ""] : titleOf(node);
  const heading = write("title", 8, 16, "");
  const [bold, plain] = [svg("tspan", { class: "name" }), svg("tspan")];
  bold.textContent = cut(name, 27);
  plain.textContent = cut(word, Math.max(6, 28 - Math.min(name.length, 27)));
  if (name && word) plain.setAttribute("dx", 7);
  heading.append(bold, plain);
  write("small", 8, head + 16, closed ? plural(membersOf.get(key).length, "node") : `${node.shape} ${node.dtype}`);
  parts.value = write("small", 8, head + 32, "");
  const picturesAt = (top) => {
    const image = svg("image", { x: width - 40, y: top + 3, width: 34, height: 34, preserveAspectRatio: "none" });
    element.append(image);
    return image;
  };
  if (withPictures && !closed) parts.valuePicture = picturesAt(head);
  if (closed || node.role !== "input") {
    element.append(svg("rect", { class: "grad", y: head + row, width, height: row }));
    parts.gradient = write("small", 8, head + row + 16, "");
    parts.norm = write("small", 8, head + row + 32, "");
    if (withPictures && !closed) parts.gradientPicture = picturesAt(head + row);
  }
  if (!closed && node.rule) write("rule", 8, head + 2 * row + 14, cut(node.rule.replaceAll("   ", "  "), 36));
  element.append(svg("rect", { class: "halo", x: -4, y: -4, width: width + 8, height: height + 8, rx: 4 }));
  const act = closed ? () => setClosed(at, false) : () => choose(at, true);
  element.addEventListener("click", act);
  onEnter(element, act);
  cards.set(key, parts);
  return element;
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
  return [...bundles.values()].map((bundle) => {
    const back = bundle.edges.filter((edge) => edge.order && data.computed);
    const route = routed(places.get(bundle.from), places.get(bundle.to), places);
    const value = svg("g", { class: "value-part" }, svg("path", { class: "values", d: route.path(-6) }), head(route.end, route.turn, "arrow"));
    const element = svg("g", { class: "wire" }, value);
    if (route.turn === 0 && bundle.edges.length === 1) value.append(note("shape", route.label(-12), bundle.edges[0].shape, "end"));
    if (back.length) {
      const orders = back.map((edge) => edge.order);
      const text = orders.length > 3 ? `${orders[0]} … ${orders.at(-1)}` : orders.join(", ");
      element.append(
        svg("g", { class: "back-part" }, svg("path", { class: "gradients", d: route.path(6) }), head(route.start, route.turn + 180, "arrow g"),
          note("order", route.label(11), text, "start")));
    }
    return { ...bundle, back, element, shown: "" };
  });
}

function note(cls, [x, y], text, anchor) {
  const label = svg("text", { class: cls, x, y, "text-anchor": anchor });
  label.textContent = text;
  return label;
}
const head = ([x, y], turn, cls) =>
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
  const path = (d) => {
    if (!between.length && y1 > y0) {
      const bend = Math.min(60, (y1 - y0) / 2);
      return `M${x0 + d} ${y0}C${x0 + d} ${y0 + bend} ${x1 + d} ${y1 - bend} ${x1 + d} ${y1}`;
    }
    const side = Math.max(x0, x1, ...between.map((p) => p.x + p.width)) + 24 + d;
    return `M${x0 + d} ${y0}C${x0 + d} ${y0 + 40} ${side} ${y0} ${side} ${y0 + 50}L${side} ${y1 - 50}C${side} ${y1} ${x1 + d} ${y1 - 40} ${x1 + d} ${y1}`;
  };
  const near = between.length ? 0.12 : 0.5;
  return { path, start: [x0 + 6, y0], end: [x1 - 6, y1], turn: 0, label: (d) => [x0 + (x1 - x0) * near + d, y0 + Math.min((y1 - y0) * near, 40) + 4] };
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
    show(parts, about, cls, colour);
  }
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

function show(parts, about, cls, colour) {
  parts.element.setAttribute("class", cls);
  parts.element.setAttribute("tabindex", parts.key === "n" + state.chosen || (state.chosen === null && cards.keys().next().value === parts.key) ? 0 : -1);
  parts.element.setAttribute("aria-label", about.spoken);
  parts.value.textContent = about.value;
  if (parts.gradient) {
    parts.gradient.textContent = about.gradient;
    parts.norm.textContent = about.norm;
  }
  for (const [image, id] of [[parts.valuePicture, about.picture], [parts.gradientPicture, about.array]]) {
    if (!image) continue;
    if (id === null || !arrays[id].size) image.removeAttribute("href");
    else image.setAttribute("href", thumbnail(id));
  }
  parts.head.style.fill = colour ? colour.fill : "";
  parts.element.querySelector(".title").style.fill = colour ? colour.ink : "";
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
  if (node.op) out.push(...ruleSection(i));
  const known = ready[i] <= state.step;
  const [value, , images, slopes] = now().nodes[i];
  out.push(html("h3", {}, "Value"));
  if (!known) out.push(html("p", {}, "Not computed yet."));
  else out.push(...arraySection(value, images, "value"));
  if (node.role !== "input") out.push(...gradientSection(i, slopes));
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
  const sent = arrivals.flat().filter(({ edge }) => edge.target === i);
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
      list.append(html("li", { class: step === state.step ? "now" : arrived ? "" : "todo" }, text));
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
  const charts = html("div", { class: "row" }, heatmap(id));
  if (array.histogram) charts.append(histogram(array));
  out.push(charts);
  if (array.averaged) {
    const [r, c] = array.averaged;
    out.push(html("p", { class: "quiet" }, `Heatmap: ${array.rows} × ${array.columns} means of blocks of the ${r} × ${c} numbers. The other figures and the histogram are of all numbers.`));
  }
  if (images !== null && images !== undefined) out.push(...imageRow(images, word));
  out.push(numberTable(id, word));
  return out;
}

function heatmap(id) {
  const { rows, columns, averaged } = arrays[id];
  const numbers = numbersOf(id);
  const size = (n, room) => Math.max(1, Math.min(22, Math.floor(room / n)));
  const down = size(rows, 200);
  const across = Math.min(size(columns, 260), down * 8);
  const canvas = paint(numbers, rows, columns, across, down);
  fill(canvas, { role: "img", "aria-label": `heatmap of ${rows} by ${columns} numbers, red above and blue below zero` }, []);
  const reading = html("span", { class: "quiet" }, `± ${written(furthest(numbers))}`);
  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    const r = Math.min(rows - 1, Math.floor(((event.clientY - box.top) / box.height) * rows));
    const c = Math.min(columns - 1, Math.floor(((event.clientX - box.left) / box.width) * columns));
    if (r >= 0 && c >= 0) reading.textContent = `${averaged ? "block " : ""}[${r}, ${c}] = ${written(numbers[r * columns + c])}`;
  });
  return html("div", {}, canvas, reading);
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

/* ---- What the reader does ---- */

function go(step) {
  state.step = Math.min(steps.length, Math.max(0, step));
  const at = current();
  if (!state.pinned) state.chosen = at ? at.node : null;
  refresh();
  if (at) reveal(at.node, at.edge?.target);
}

function choose(i, pinned) {
  state.chosen = i;
  state.pinned = pinned;
  for (const g of boxesOf(nodes[i].group)) {
    if (state.closed.has(g)) return openUpTo(i);
  }
  refresh();
  reveal(i);
  return undefined;
}
function openUpTo(i) {
  for (const g of boxesOf(nodes[i].group)) state.closed.delete(g);
  draw();
  reveal(i);
}

/* Scroll only as far as it takes to see a card (and the other end of the wire that is in use). */
function reveal(...wanted) {
  const frame = $("scroll").getBoundingClientRect();
  for (const i of wanted.filter((n) => n !== undefined).reverse()) {
    const box = cards.get(cardOf(i))?.element.getBoundingClientRect();
    if (!box) continue;
    const by = (low, high, from, to) => (low < from + 30 ? low - from - 30 : high > to - 30 ? Math.min(high - to + 30, low - from - 30) : 0);
    $("scroll").scrollBy(by(box.left, box.right, frame.left, frame.right), by(box.top, box.bottom, frame.top, frame.bottom));
  }
}

function setClosed(group, closed) {
  state.closed[closed ? "add" : "delete"](group);
  draw();
}

function walk(by) { // to the next or previous node that is to be seen
  const seen = nodes.map((_, i) => i).filter((i) => cards.has("n" + i));
  const at = seen.indexOf(state.chosen);
  const next = seen[at < 0 ? (by > 0 ? 0 : seen.length - 1) : Math.min(seen.length - 1, Math.max(0, at + by))];
  if (next === undefined) return;
  choose(next, true);
  cards.get("n" + next).element.focus({ preventScroll: true });
}

function search(event) {
  const query = $("search").value.trim().toLowerCase();
  if (event.key === "Escape") $("search").value = "";
  if (event.key === "Enter" && query) { // to the next node that matches, opening what it is in
    const from = (state.chosen ?? -1) + 1;
    const hit = nodes.map((_, i) => (i + from) % nodes.length).find((i) => matches("n" + i, query));
    if (hit !== undefined) choose(hit, true);
  }
  refresh();
}

const KEYS = {
  ArrowRight: () => go(state.step + 1), ArrowLeft: () => go(state.step - 1),
  PageDown: () => go(state.step + 10), PageUp: () => go(state.step - 10),
  Home: () => go(0), End: () => go(steps.length), ArrowDown: () => walk(1), ArrowUp: () => walk(-1),
  "/": () => $("search").focus(), "+": () => zoom(1.25), "-": () => zoom(0.8),
  "[": () => toMoment(state.moment - 1), "]": () => toMoment(state.moment + 1),
  Escape: () => { state.pinned = false; go(state.step); },
  o: () => {
    const box = state.chosen === null ? undefined : boxesOf(nodes[state.chosen].group).at(-1);
    if (box !== undefined) setClosed(box, !state.closed.has(box));
  },
};

function listen() {
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
    const scrolls = event.target.closest?.("#panel, #code") && /^(Arrow(Up|Down)|Page|Home|End)/.test(event.key);
    if (!(event.key in KEYS) || scrolls) return;
    event.preventDefault();
    KEYS[event.key]();
  });
  const clicks = {
    first: () => go(0), back: () => go(state.step - 1), forward: () => go(state.step + 1), last: () => go(steps.length),
    turn: () => go(forwardSteps), larger: () => zoom(1.25), smaller: () => zoom(0.8),
    open: () => { state.closed.clear(); draw(); },
    close: () => { state.closed = new Set(groups.keys()); draw(); },
    earlier: () => toMoment(state.moment - 1), later: () => toMoment(state.moment + 1), play: () => play(!state.playing),
    theme: () => {
      const root = document.documentElement;
      const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = dark ? "light" : "dark";
    },
  };
  for (const [id, action] of Object.entries(clicks)) $(id).addEventListener("click", action);
  $("step").addEventListener("input", () => go(+$("step").value));
  $("moment").addEventListener("input", () => toMoment(+$("moment").value));
  $("search").addEventListener("input", refresh);
  $("search").addEventListener("keydown", search);
  for (const id of ["colour", "palette"]) $(id).addEventListener("change", refresh);
}

document.title = data.title;
$("title").textContent = data.title;
$("step").max = steps.length;
$("moment").max = moments.length - 1;
$("training").hidden = moments.length < 2;
$("open").disabled = $("close").disabled = !groups.length;
if (!data.openAll) groups.forEach((group, i) => { if (group.folded) state.closed.add(i); });
state.step = moments.length > 1 ? steps.length : 0;
state.moment = 0;
listen();
draw();
// for whoever opens the browser's console, and for the tests
window.explorer = { state, steps, go, toMoment, gradientAt, numbersOf, nodes, arrays, now };
