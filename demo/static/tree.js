// One tree, drawn with Plotly: x = step, y = place in its step, colour = score. On a phone the axes change places and
// steps run downwards. This module holds what is shown and when; the others of tree_*.js say how.

import { palette } from "./dom.js";
import { feetOf } from "./family.js";
import { lineage } from "./focus.js";
import { HoverCard } from "./tree_card.js";
import { counts, layers, marks, pictures, tickText } from "./tree_draw.js";
import { meaning, target } from "./tree_keys.js";
import { isBack, place, Scale } from "./tree_scale.js";
import { tidied } from "./tree_tidy.js";

const DOUBLE = 700; // ms since the first of two clicks

const sizeOf = (host) => `${host.clientWidth} x ${host.clientHeight}`;

export class TreeView {
  // onSelect(id, open); onPin(id) to compare with it; onFocus(id) to dim all else; onMore(lane, step) when a person wants to see the nodes that are only counted. Ids are the keys
  // of family.js, lanes what it makes of them.
  constructor(host, card, { onSelect, onPin, onFocus, onMore }) {
    Object.assign(this, { host, onSelect, onPin, onFocus, onMore, pinned: null, focus: null, filter: null, waiting: new Set(), lane: null, head: null, selected: null, view: {} });
    Object.assign(this, { pending: false, ready: false, boxed: "", picked: new Set() }); // picked: whom a person is choosing
    this.card = new HoverCard(card, this);
    host.addEventListener("keydown", (event) => this.onKey(event));
    new ResizeObserver(() => this.size !== sizeOf(host) && this.redraw()).observe(host);
    new MutationObserver(() => this.redraw()).observe(document.body, { attributeFilter: ["class"] });
  }

  show(lane, head, view) {
    Object.assign(this, { lane, head, view });
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

  // -- what is drawn --------------------------------------------------------------------------------------------

  // Rows with a place. A selected one that is only counted stands at the foot of its step.
  drawn() {
    if (!this.lane) return [];
    const path = this.path();
    let rows = [...this.lane.rows.values()].filter((row) => row.y !== null);
    if (!this.view.pruned) rows = rows.filter((row) => row.state !== "pruned" || path.has(row.id) || this.isWanted(row.id));
    if (this.view.tidy) rows = tidied(rows);
    const foot = this.lane.base || this.height(rows);
    for (const id of new Set([this.selected, this.pinned, ...this.origins().keys()])) {
      const row = this.lane.rows.get(id);
      if (row && row.y === null) rows = [...rows, { ...row, y: foot + 0.4, h: 0.8 }];
    }
    return rows;
  }

  // Of a tree with branches the height is that of all of them, at whatever time is shown: no node moves meanwhile.
  height(rows) {
    return Math.max(6, (!this.view.tidy && this.lane.units) || 0, ...rows.map((row) => row.y + row.h / 2));
  }

  // (row) -> whether it is dimmed, for what is in focus and what the filter wants; null where nothing is.
  dimmer() {
    if (!this.lane || (this.focus === null && !this.filter)) return null;
    const scope = this.focus === null ? null : lineage(this.lane.rows, this.focus);
    const scene = { path: this.path(), steps: this.head.steps };
    return (row) => Boolean((scope && !scope.has(row.id)) || (this.filter && !this.filter(row, scene)));
  }

  // How many nodes are not dimmed, of how many.
  matching() {
    const dim = this.dimmer();
    const rows = [...this.lane.rows.values()];
    return { count: dim ? rows.filter((row) => !dim(row)).length : rows.length, of: rows.length };
  }

  origins() {
    return (this.lane && this.lane.origins) || new Map();
  }

  isWanted(id) {
    return id === this.selected || id === this.pinned || this.origins().has(id);
  }

  path() {
    return new Set(this.lane && this.lane.facts ? this.lane.facts.path : []);
  }

  feet() {
    if (!this.view.pruned || !this.lane) return [];
    return this.lane.feet || feetOf(this.lane, null, null);
  }

  scale(rows = this.drawn()) {
    const foot = this.feet().length && !this.lane.feet ? 1 : 0;
    const before = rows.some((row) => isBack(row, this.lane.rows));
    return new Scale(this.host, { steps: this.head.steps.length, units: this.height(rows) + foot, before }, this.shownSpans());
  }

  // What the axes span on screen once a person zoomed; null before that.
  shownSpans() {
    if (!this.ready || this.boxed !== this.box()) return null;
    const { xaxis, yaxis } = this.host._fullLayout;
    return [xaxis, yaxis].map((axis) => Math.abs(axis.range[1] - axis.range[0]));
  }

  // While this stays the same a zoom does too.
  box() {
    const rows = this.drawn();
    const arcs = rows.some((row) => isBack(row, this.lane.rows));
    return [this.lane && this.lane.run, Scale.isDown(), this.height(rows), this.head.steps.length, arcs].join();
  }

  // -- drawing --------------------------------------------------------------------------------------------------

  draw() {
    if (!window.Plotly || !this.host.clientWidth) return;
    this.size = sizeOf(this.host);
    const rows = this.drawn();
    const scene = {
      rows, byId: new Map(rows.map((row) => [row.id, row])), path: this.path(), scale: this.scale(rows), head: this.head,
      run: this.lane && this.lane.run, selected: this.selected, picked: this.picked, origins: this.origins(), pinned: this.pinned, waiting: this.waiting, dim: this.dimmer() || (() => false), view: this.view, colours: palette(this.host), feet: this.feet(),
    };
    const config = { displayModeBar: false, responsive: false, doubleClick: "reset", showTips: false };
    window.Plotly.react(this.host, layers(scene), this.layout(scene), config);
    if (!this.ready) this.listen();
  }

  layout(scene) {
    const { scale, colours } = scene;
    const { down, spans } = scale;
    const labels = this.head.steps;
    const common = { zeroline: false, showgrid: false, fixedrange: down, tickfont: { size: 12, color: colours.muted } };
    const step = {
      ...common, range: down ? [...spans.step].reverse() : spans.step, showgrid: true, gridcolor: colours.line,
      tickmode: "array", tickvals: labels.map((_, i) => i), ticktext: tickText(labels, scale), ticklen: 0,
    };
    const unit = { ...common, range: down ? spans.unit : [...spans.unit].reverse(), showticklabels: false };
    return {
      xaxis: down ? unit : step, yaxis: down ? step : unit, margin: scale.margin, showlegend: false,
      width: scale.width, height: scale.height, hovermode: "closest", hoverdistance: 14, dragmode: down ? false : "zoom",
      uirevision: `${this.lane ? this.lane.run : ""}${down}${this.view.tidy}${this.view.pruned}`,
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: colours.font, size: 12, color: colours.muted },
      images: this.view.thumbnails ? pictures(scene) : [], annotations: [...counts(scene), ...marks(scene)],
    };
  }

  // -- pointing -------------------------------------------------------------------------------------------------

  listen() {
    this.ready = true;
    this.host.on("plotly_click", ({ points, event }) => this.choose(points[0].customdata, event));
    this.host.on("plotly_doubleclick", () => this.clicked && performance.now() - this.clicked.at < DOUBLE && this.onFocus(this.clicked.id));
    this.host.on("plotly_hover", (event) => this.card.hover(event.points[0].customdata));
    this.host.on("plotly_unhover", () => this.card.leave());
    this.host.on("plotly_relayout", () => this.redraw());
    this.host.on("plotly_afterplot", () => (this.boxed = this.box()));
    this.host.on("plotly_clickannotation", ({ index }) => {
      const foot = this.feet()[index];
      if (foot) this.onMore(foot.lane, foot.step);
    });
  }

  choose(id, event) {
    this.card.leave();
    if (event && event.shiftKey) return this.onPin(id);
    this.clicked = { id, at: performance.now() };
    this.onSelect(id, true);
  }

  onKey(event) {
    const move = meaning(event, Scale.isDown());
    if (!move || !this.lane) return;
    event.preventDefault();
    event.stopPropagation();
    const scope = this.focus === null ? null : lineage(this.lane.rows, this.focus);
    const found = target(move, this.lane, scope ? this.drawn().filter((row) => scope.has(row.id)) : this.drawn(), this.selected);
    if (found && move === "focus") return this.onFocus(found.id);
    if (found && (move === "pin" || (move === "open" && event.shiftKey))) this.onPin(found.id);
    else if (found) this.onSelect(found.id, move === "open");
  }

  // Where a node is on the page, in px from the host's corner.
  where(row) {
    const layout = this.host._fullLayout;
    const [x, y] = place(row, Scale.isDown());
    return { x: layout.xaxis._offset + layout.xaxis.d2p(x), y: layout.yaxis._offset + layout.yaxis.d2p(y) };
  }
}
