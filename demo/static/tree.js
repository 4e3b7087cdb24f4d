// The tree, drawn with Plotly: x = step, y = place in its step, colour = score. On a narrow screen the axes change
// places and steps run downwards. A child that went back into noise stands before its parent, at the end of an arc.
// Rows come with their places; pixels are decided here.

import { el, imageUrl, palette, plural } from "./dom.js";

const LARGEST = 54; // px: the picture on a kept node, where there is room
const SMALLEST = 9;
const NARROW = 620; // px: below this the tree runs downwards
const ARC = Array.from({ length: 17 }, (_, i) => i / 16); // where an arc is sampled
const LANE = 0.9; // units above the tree that the arcs have for themselves

export class TreeView {
  constructor(host, card, { onSelect }) {
    Object.assign(this, { host, card, onSelect, lane: null, head: null, selected: null, thumbnails: true });
    this.pending = false;
    this.ready = false;
    this.boxed = "";
    host.addEventListener("keydown", (event) => this.onKey(event));
    new ResizeObserver(() => this.redraw()).observe(host);
    new MutationObserver(() => this.redraw()).observe(document.body, { attributeFilter: ["class"] });
  }

  show(lane, head) {
    Object.assign(this, { lane, head });
    this.redraw();
  }

  select(id) {
    this.selected = id;
    this.redraw();
  }

  redraw() {
    if (this.pending || !this.head) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      this.draw();
    });
  }

  // -- measures -------------------------------------------------------------------------------------------------

  measure() {
    const box = { width: this.host.clientWidth, height: this.host.clientHeight };
    const down = box.width < NARROW;
    const margin = down ? { l: 44, r: 10, t: 8, b: 8 } : { l: 14, r: 14, t: 8, b: 30 };
    const steps = this.head.steps.length;
    const facts = this.lane && this.lane.facts;
    const units = Math.max(6, facts ? facts.units : 6) + (facts && Object.keys(facts.hidden).length ? 1 : 0);
    const spans = { step: [-0.45, steps - 0.55], unit: [this.drawn().some((row) => this.isBack(row)) ? -LANE : -0.1, units + 0.1] };
    const frame = [box.width - margin.l - margin.r, box.height - margin.t - margin.b];
    const m = { ...box, down, margin, steps, units, spans };
    const [x, y] = this.shownSpans(m).map((length, i) => frame[i] / length); // pixels per unit of each axis
    return { ...m, x, y, perStep: down ? y : x, perUnit: down ? x : y };
  }

  // What the axes span on screen: everything, or what a person zoomed to.
  shownSpans(m) {
    const whole = (span) => span[1] - span[0];
    const all = m.down ? [m.spans.unit, m.spans.step].map(whole) : [m.spans.step, m.spans.unit].map(whole);
    if (!this.ready || this.boxed !== this.box(m)) return all;
    const { xaxis, yaxis } = this.host._fullLayout;
    return [xaxis, yaxis].map((axis) => Math.abs(whole(axis.range)));
  }

  // While this stays the same a zoom does too.
  box(m) {
    return [this.lane && this.lane.run, m.down, m.units, m.steps, m.spans.unit[0]].join();
  }

  size(row, m) {
    if (row.parent === null && !row.image) return 16;
    return Math.max(SMALLEST, Math.min(row.h * m.perUnit * 0.9, m.perStep * 0.66, LARGEST));
  }

  place(row, m) {
    return m.down ? [row.y, row.x] : [row.x, row.y];
  }

  drawn() {
    return this.lane ? [...this.lane.rows.values()].filter((row) => row.y !== null) : [];
  }

  // -- drawing --------------------------------------------------------------------------------------------------

  draw() {
    if (!window.Plotly || !this.host.clientWidth) return;
    const m = this.measure();
    const colours = palette(this.host);
    const rows = this.drawn();
    const path = new Set(this.lane && this.lane.facts ? this.lane.facts.path : []);
    const traces = [...this.edges(rows, path, m, colours), this.nodes(rows, path, m, colours)];
    const config = { displayModeBar: false, responsive: false, doubleClick: "reset", showTips: false };
    window.Plotly.react(this.host, traces, this.layout(rows, path, m, colours), config);
    if (!this.ready) this.listen();
  }

  isBack(row) {
    const parent = row.parent === null ? null : this.lane.rows.get(row.parent);
    return Boolean(parent) && row.x <= parent.x;
  }

  edges(rows, path, m, colours) {
    const lines = { pruned: [[], []], kept: [[], []], best: [[], []], back: [[], []], bestBack: [[], []] };
    for (const row of rows) {
      const parent = row.parent === null ? null : this.lane.rows.get(row.parent);
      if (!parent || parent.y === null) continue;
      const best = path.has(row.id) && path.has(row.parent);
      const back = this.isBack(row);
      const kind = back ? (best ? "bestBack" : "back") : best ? "best" : row.state === "pruned" ? "pruned" : "kept";
      for (const point of back ? this.arc(parent, row) : [parent, row]) {
        const [x, y] = this.place(point, m);
        lines[kind][0].push(x);
        lines[kind][1].push(y);
      }
      lines[kind].forEach((values) => values.push(null));
    }
    const trace = ([x, y], line) => ({ x, y, line, type: "scatter", mode: "lines", hoverinfo: "skip" });
    return [
      { ...trace(lines.back, { color: colours.back, width: 1.2 }), opacity: 0.45 },
      trace(lines.pruned, { color: colours.faint, width: 1, dash: "dot" }),
      trace(lines.kept, { color: colours.muted, width: 1.5 }),
      trace(lines.bestBack, { color: colours.best, width: 2.5, dash: "dash" }),
      trace(lines.best, { color: colours.best, width: 4 }),
    ];
  }

  // Over the tree and back: a Bezier curve that leaves the parent forwards and comes to the child from before it.
  arc(parent, row) {
    const curve = (top) => ARC.map((t) => {
      const weights = [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t ** 2 * (1 - t), t ** 3];
      const mixed = (values) => values.reduce((sum, value, i) => sum + weights[i] * value, 0);
      return { x: mixed([parent.x, parent.x + 0.45, row.x - 0.45, row.x]), y: mixed([parent.y, top, top, row.y]) };
    });
    let top = -LANE;
    let points = curve(top);
    for (let tries = 0; tries < 4; tries += 1) { // until its highest place is in the lane above all nodes
      top -= 0.7 * LANE + Math.min(...points.map((point) => point.y));
      points = curve(top);
    }
    return points;
  }

  nodes(rows, path, m, colours) {
    const span = this.head.span;
    const fill = (row) => (row.score === null ? colours.panel : row.score);
    const edge = (row) =>
      row.id === this.selected ? colours.selected
        : path.has(row.id) ? colours.best
          : row.state === "pruned" ? colours.faint : colours.muted;
    const width = (row) => (row.id === this.selected ? 4 : path.has(row.id) ? 3.5 : row.state === "pruned" ? 1 : 1.5);
    const symbol = (row) => (row.parent === null && !row.image ? "circle" : "square");
    const opacity = (row) => (this.isFaded(row, path) ? 0.5 : 1);
    return {
      type: "scatter", mode: "markers", hoverinfo: "none",
      x: rows.map((row) => this.place(row, m)[0]),
      y: rows.map((row) => this.place(row, m)[1]),
      customdata: rows.map((row) => row.id),
      marker: {
        size: rows.map((row) => this.size(row, m)),
        color: rows.map(fill), colorscale: "Cividis", cmin: span[0], cmax: span[1],
        symbol: rows.map(symbol), opacity: rows.map(opacity),
        line: { color: rows.map(edge), width: rows.map(width) },
      },
    };
  }

  isFaded(row, path) {
    return row.state === "pruned" && row.id !== this.selected && !path.has(row.id);
  }

  layout(rows, path, m, colours) {
    const labels = this.head.steps;
    const common = { zeroline: false, showgrid: false, fixedrange: m.down, tickfont: { size: 12, color: colours.muted } };
    const step = {
      ...common, range: m.down ? [...m.spans.step].reverse() : m.spans.step, showgrid: true, gridcolor: colours.line,
      tickmode: "array", tickvals: labels.map((_, i) => i), ticktext: this.tickText(labels, m), ticklen: 0,
    };
    const unit = { ...common, range: m.down ? m.spans.unit : [...m.spans.unit].reverse(), showticklabels: false };
    return {
      xaxis: m.down ? unit : step, yaxis: m.down ? step : unit, margin: m.margin, showlegend: false,
      width: m.width, height: m.height, hovermode: "closest", hoverdistance: 14, dragmode: m.down ? false : "zoom",
      uirevision: `${this.lane ? this.lane.run : ""}${m.down}`, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: colours.font, size: 12, color: colours.muted },
      images: this.thumbnails ? this.pictures(rows, path, m) : [], annotations: this.counts(m, colours),
    };
  }

  tickText(labels, m) {
    const every = Math.ceil(labels.length / Math.max(4, Math.floor((m.down ? m.height : m.width) / 48)));
    return labels.map((label, i) => (i % every && i !== labels.length - 1 ? "" : label));
  }

  // Plotly sizes pictures in axis units and markers in pixels; both are made from the current pixels per unit here.
  pictures(rows, path, m) {
    const byId = new Map(rows.map((row) => [row.id, row]));
    const chosen = (this.lane && this.lane.facts ? this.lane.facts.thumbs : []).map((id) => byId.get(id)).filter(Boolean);
    return chosen.filter((row) => row.image && !(m.down && row.state === "pruned")).map((row) => {
      const inner = this.size(row, m) - (path.has(row.id) || row.id === this.selected ? 8 : row.state === "pruned" ? 4 : 6);
      const [x, y] = this.place(row, m);
      return {
        source: imageUrl(this.lane.run, row.id, row.image, 64), x, y, xref: "x", yref: "y",
        sizex: inner / m.x, sizey: inner / m.y, sizing: "stretch",
        xanchor: "center", yanchor: "middle", layer: "above",
        opacity: this.isFaded(row, path) ? 0.45 : 1,
      };
    });
  }

  counts(m, colours) {
    const hidden = this.lane && this.lane.facts ? this.lane.facts.hidden : {};
    return Object.entries(hidden).map(([step, count]) => {
      const [x, y] = this.place({ x: Number(step), y: m.units - 0.5 }, m);
      return { x, y, text: `+${count}${m.down ? "" : " more"}`, showarrow: false, font: { size: 12, color: colours.muted }, bgcolor: colours.panel };
    });
  }

  // -- pointing -------------------------------------------------------------------------------------------------

  listen() {
    this.ready = true;
    this.host.on("plotly_click", (event) => this.choose(event.points[0].customdata));
    this.host.on("plotly_hover", (event) => this.hover(event.points[0].customdata));
    this.host.on("plotly_unhover", () => this.leave());
    this.host.on("plotly_relayout", () => this.redraw());
    this.host.on("plotly_afterplot", () => (this.boxed = this.box(this.measure())));
  }

  choose(id) {
    this.leave();
    this.select(id);
    this.onSelect(id, true);
  }

  hover(id) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.openCard(id), 120);
  }

  leave() {
    clearTimeout(this.timer);
    this.card.hidden = true;
  }

  openCard(id) {
    const row = this.lane && this.lane.rows.get(id);
    if (!row) return;
    const m = this.measure();
    const score = row.score === null ? "not scored" : `score ${row.score.toFixed(3)}`;
    const rank = row.rank === null ? "" : ` · rank ${row.rank + 1} of ${row.of}`;
    const picture = row.image
      ? el("img", { src: imageUrl(this.lane.run, id, row.image), width: 256, height: 256, alt: "" })
      : el("p", { class: "bs-empty", text: "no preview at this step" });
    const line = el("p", { text: `Node ${id} · ${this.head.steps[row.x]} · ${score}${rank} · ${row.state}` });
    this.card.replaceChildren(picture, line);
    this.card.hidden = false;
    this.putCard(row, m);
  }

  putCard(row, m) {
    const [x, y] = this.place(row, m);
    const layout = this.host._fullLayout;
    const at = { x: layout.xaxis._offset + layout.xaxis.d2p(x), y: layout.yaxis._offset + layout.yaxis.d2p(y) };
    const size = this.size(row, m) / 2 + 8;
    const right = at.x + size + this.card.offsetWidth < m.width;
    this.card.style.left = `${Math.max(0, right ? at.x + size : at.x - size - this.card.offsetWidth)}px`;
    this.card.style.top = `${Math.max(0, Math.min(at.y - 60, m.height - this.card.offsetHeight))}px`;
  }

  // -- keys -----------------------------------------------------------------------------------------------------

  onKey(event) {
    const down = this.host.clientWidth < NARROW;
    const meanings = down
      ? { ArrowDown: "child", ArrowUp: "parent", ArrowLeft: "before", ArrowRight: "after" }
      : { ArrowRight: "child", ArrowLeft: "parent", ArrowUp: "before", ArrowDown: "after" };
    const move = { ...meanings, Home: "root", End: "best", Enter: "open" }[event.key];
    if (!move || !this.lane || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const target = this.target(move, this.lane.rows.get(this.selected));
    if (!target) return;
    this.select(target.id);
    this.onSelect(target.id, move === "open");
  }

  target(move, row) {
    const rows = this.drawn();
    const first = (list) => list.reduce((a, b) => (a && a.y <= b.y ? a : b), null);
    if (move === "best") return this.lane.rows.get(this.lane.facts.path.at(-1));
    if (!row || move === "root") return this.lane.rows.get(0);
    if (move === "parent") return this.lane.rows.get(row.parent);
    const below = rows.filter((other) => other.parent === row.id);
    if (move === "child") return first(below.filter((other) => other.x > row.x)) || first(below);
    if (move === "open") return row;
    const column = rows.filter((other) => other.x === row.x).sort((a, b) => a.y - b.y);
    return column[column.indexOf(row) + (move === "after" ? 1 : -1)];
  }
}

export function describe(row, head) {
  const score = row.score === null ? "not scored" : `score ${row.score.toFixed(3)}`;
  const rank = row.rank === null ? "" : `, rank ${row.rank + 1} of ${row.of}`;
  return `Node ${row.id}, ${head.steps[row.x]}, ${score}${rank}, ${row.state}, ${plural(row.children, "child").replace("childs", "children")}`;
}
