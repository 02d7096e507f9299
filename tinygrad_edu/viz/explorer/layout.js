/* Where everything stands. No element is made here: blocks go in, places come out. */

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
  const lanes = 110; // room for the wires that run around on the right
  return { places, width: whole.right - whole.left + 40 + lanes, height: whole.height + 40 };
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

