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
const departures = nodes.map(() => []); // and which send one from it
nodes.forEach((node, i) => { if (node.op) ready[i] = steps.push({ kind: "value", node: i }); });
const forwardSteps = steps.length;
const lossAt = nodes.length - 1;
let seedStep = Infinity;
if (data.computed) {
  seedStep = steps.push({ kind: "start", node: lossAt });
  for (const edge of edges.filter((e) => e.order).sort((a, b) => a.order - b.order)) {
    const step = steps.push({ kind: "send", edge, node: edge.source });
    if (!moments[0].arrivals[edge.order]) continue; // the rule gave nothing for this argument
    arrivals[edge.source].push({ step, edge });
    departures[edge.target].push({ step, edge });
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
/* Average neighbouring cells until there are at most so many rows and columns. */
function shrunk(id, mostRows, mostColumns) {
  const { rows, columns } = arrays[id];
  const numbers = numbersOf(id);
  const [r, c] = [Math.min(rows, mostRows), Math.min(columns, mostColumns)];
  if (r === rows && c === columns) return { numbers, rows, columns };
  const sums = new Float64Array(r * c);
  const counts = new Float64Array(r * c);
  numbers.forEach((x, at) => {
    const cell = Math.floor((Math.floor(at / columns) * r) / rows) * c + Math.floor(((at % columns) * c) / columns);
    sums[cell] += x;
    counts[cell] += 1;
  });
  return { numbers: sums.map((sum, i) => sum / counts[i]), rows: r, columns: c };
}
const pictures = new Map();
function thumbnail(id) {
  const key = `${id} ${$("palette").value}`;
  if (!pictures.has(key)) {
    const { numbers, rows, columns } = shrunk(id, 12, 12);
    pictures.set(key, paint(numbers, rows, columns, 1, 1).toDataURL());
  }
  return pictures.get(key);
}
