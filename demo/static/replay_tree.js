// A tree drawn with SVG alone, for the file that replays a run. x = step, y = place in its step, colour = score; on a
// narrow screen the axes change places. Places come with the rows; pixels are decided here.

import { el } from "./dom.js";

const CIVIDIS = ["#00204d", "#00336f", "#39486b", "#575d6d", "#707173", "#8a8779", "#a69d75", "#c4b56c", "#e4cf5b", "#ffea46"];
const LARGEST = 50; // px of a node
const SMALLEST = 9;
const NARROW = 560; // px: below this the tree runs downwards
const EDGES = ["back", "pruned", "kept", "best"]; // drawn in this order

function shape(tag, attributes, children = []) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function colourOf(score, [low, high]) {
  if (score === null) return "var(--panel)";
  return CIVIDIS[Math.round(Math.max(0, Math.min(1, (score - low) / (high - low))) * (CIVIDIS.length - 1))];
}

class ReplayTree {
  // pictures: {node: data address}; onSelect(id).
  constructor(lane, pictures, label, onSelect) {
    Object.assign(this, { lane, pictures, onSelect, selected: null });
    this.svg = shape("svg", { role: "img", "aria-label": label, tabindex: "0" });
    this.element = el("div", { class: "tree" }, this.svg);
    this.svg.addEventListener("click", (event) => this.press(event));
    this.svg.addEventListener("keydown", (event) => this.key(event));
  }

  drawn() {
    return [...this.lane.rows.values()].filter((row) => row.y !== null);
  }

  measure() {
    const width = this.element.clientWidth;
    const down = width < NARROW;
    const steps = this.lane.head.steps.length;
    const units = Math.max(6, ...this.lane.frames.map((frame) => frame.units)) + 0.6;
    const height = down ? steps * (steps > 8 ? 44 : 62) + 20 : 430;
    const along = ((down ? height : width) - (down ? 24 : 54)) / steps;
    const across = ((down ? width - 52 : height - 34) / units);
    return { width, height, down, steps, along, across };
  }

  place(row, m) {
    const along = (row.x + 0.5) * m.along + (m.down ? 6 : 20);
    const across = row.y * m.across + (m.down ? 46 : 8);
    return m.down ? [across, along] : [along, across];
  }

  size(row, m) {
    if (row.parent === null && !row.image) return 14;
    return Math.max(SMALLEST, Math.min(row.h * m.across * 0.9, m.along * 0.66, LARGEST));
  }

  draw() {
    if (!this.element.clientWidth) return;
    const m = this.measure();
    const rows = this.drawn();
    const path = new Set(this.lane.facts ? this.lane.facts.path : []);
    this.svg.setAttribute("viewBox", `0 0 ${m.width} ${m.height}`);
    this.svg.setAttribute("height", m.height);
    this.svg.replaceChildren(...this.axis(m), ...this.edges(rows, path, m), ...rows.map((row) => this.node(row, path, m)), ...this.counts(m));
  }

  axis(m) {
    const every = Math.ceil(m.steps / Math.max(4, Math.floor((m.down ? m.height : m.width) / 52)));
    return this.lane.head.steps.flatMap((name, step) => {
      if (step % every && step !== m.steps - 1) return [];
      const [x, y] = this.place({ x: step, y: 0 }, m);
      const text = shape("text", m.down ? { x: 2, y: y + 4 } : { x, y: m.height - 6, "text-anchor": "middle" }, [name]);
      const line = m.down ? { x1: 44, x2: m.width, y1: y, y2: y } : { x1: x, x2: x, y1: 0, y2: m.height - 22 };
      return [shape("line", { ...line, class: "grid" }), text];
    });
  }

  edges(rows, path, m) {
    const lines = Object.fromEntries(EDGES.map((kind) => [kind, []]));
    for (const row of rows) {
      const parent = row.parent === null ? null : this.lane.rows.get(row.parent);
      if (!parent || parent.y === null) continue;
      const [from, to] = [this.place(parent, m), this.place(row, m)];
      const best = path.has(row.id) && path.has(row.parent);
      const kind = row.x <= parent.x ? "back" : best ? "best" : row.state === "pruned" ? "pruned" : "kept";
      lines[kind].push(kind === "back" ? `M${from} Q${(from[0] + to[0]) / 2},${Math.min(from[1], to[1]) - 40} ${to}` : `M${from} L${to}`);
    }
    return EDGES.map((kind) => shape("path", { d: lines[kind].join(" "), class: `edge ${kind}` }));
  }

  node(row, path, m) {
    const [x, y] = this.place(row, m);
    const size = this.size(row, m);
    const kind = row.id === this.selected ? "selected" : path.has(row.id) ? "best" : row.state === "pruned" ? "pruned" : "kept";
    const box = { x: x - size / 2, y: y - size / 2, width: size, height: size, rx: row.parent === null && !row.image ? size / 2 : 2 };
    const inner = kind === "best" || kind === "selected" ? 3 : 2;
    const source = row.image && this.pictures[row.id];
    const picture = source && size > 12
      ? [shape("image", { href: source, x: box.x + inner, y: box.y + inner, width: size - 2 * inner, height: size - 2 * inner, preserveAspectRatio: "none" })] : [];
    return shape("g", { class: `node ${kind}`, "data-id": row.id }, [shape("rect", { ...box, fill: colourOf(row.score, this.lane.head.span) }), ...picture]);
  }

  counts(m) {
    const hidden = this.lane.facts ? this.lane.facts.hidden : {};
    return Object.entries(hidden).map(([step, count]) => {
      const [x] = this.place({ x: Number(step), y: 0 }, m);
      const [, y] = this.place({ x: Number(step), y: 0 }, m);
      return shape("text", m.down ? { x: m.width - 4, y: y + 4, "text-anchor": "end" } : { x, y: m.height - 24, "text-anchor": "middle" }, [`+${count}`]);
    });
  }

  // -- pointing and keys --------------------------------------------------------------------------------------------

  press(event) {
    const node = event.target.closest("[data-id]");
    if (node) this.onSelect(Number(node.dataset.id));
  }

  key(event) {
    const down = this.element.clientWidth < NARROW;
    const move = (down
      ? { ArrowDown: "child", ArrowUp: "parent", ArrowLeft: -1, ArrowRight: 1 }
      : { ArrowRight: "child", ArrowLeft: "parent", ArrowUp: -1, ArrowDown: 1 })[event.key];
    if (move === undefined || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const target = this.target(move, this.lane.rows.get(this.selected));
    if (target) this.onSelect(target.id);
  }

  target(move, row) {
    if (!row) return this.lane.rows.get(0);
    if (move === "parent") return this.lane.rows.get(row.parent);
    const top = (list) => list.reduce((a, b) => (a && a.y <= b.y ? a : b), null);
    if (move === "child") return top(this.drawn().filter((other) => other.parent === row.id));
    const column = this.drawn().filter((other) => other.x === row.x).sort((a, b) => a.y - b.y);
    return column[column.indexOf(row) + move];
  }
}
