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
  const moreInSight = () => { if (fillIn(false)) refresh(); };
  $("scroll").addEventListener("scroll", moreInSight);
  window.addEventListener("resize", moreInSight);
  window.addEventListener("beforeprint", () => { fillIn(true); refresh(); });
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
window.explorer = { state, steps, go, choose, toMoment, gradientAt, numbersOf, nodes, arrays, now };
