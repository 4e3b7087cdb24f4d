// The trees of a comparison beside each other: whose tree it is, the drawing, the legend.

import { el, number, setText } from "./dom.js";
import { Grove, panesOf } from "./family.js";
import { FocusChip } from "./focus.js";
import { MoreNodes } from "./more.js";
import { TreeView } from "./tree.js";
import { strings } from "/page/strings.js";

const text = strings.tree;
const PHONE = "(max-width: 699px)"; // as in page.css
const MOST = 1.1; // times the usual height that branches may add
const EDGES = 0.2; // units beyond the nodes, as in tree_scale.js
const BACK = ["renoise", "neighbour"]; // ways to be made that lead back into noise

function legend() {
  const ends = [el("span", { class: "bs-end" }), el("span", { class: "bs-end" })];
  const item = (kind, label) => el("span", { class: "bs-key" }, [el("i", { class: `bs-swatch bs-swatch-${kind}` }), label]);
  const back = item("back", strings.legend.back);
  const branch = item("branch", strings.legend.branch);
  const element = el("div", { class: "bs-legend" }, [
    item("best", strings.legend.best), item("kept", strings.legend.kept), item("pruned", strings.legend.pruned), back, branch,
    el("span", { class: "bs-key bs-scale" }, [strings.legend.score, ends[0], el("i", { class: "bs-cividis" }), ends[1]]),
    el("span", { class: "bs-key bs-wide", text: strings.legend.zoom }),
  ]);
  return { element, ends, back, branch };
}

class Pane {
  constructor(stage, slot, index, card) {
    Object.assign(this, { stage, slot, index });
    this.title = el("div", { class: "bs-lane", text: "" });
    this.chip = new FocusChip(stage);
    this.plot = el("div", { class: index ? "bs-plot-second" : "bs-plot", tabindex: "0", role: "application", "aria-label": text.help });
    this.more = new MoreNodes((id) => stage.pick(id, this.opened, true));
    slot.append(this.title, el("div", { class: "bs-drawing" }, [this.plot]), this.more.element);
    this.tree = new TreeView(this.plot, card, {
      onSelect: (key, open) => this.choose(key, open),
      onPin: (key) => stage.pin(this.grove.resolve(key)),
      onFocus: (key) => stage.focus(this.grove.resolve(key)),
      onMore: (lane, step) => this.open(lane, step),
    });
  }

  choose(key, open) {
    const { lane, id } = this.grove.resolve(key);
    this.stage.pick(id, lane, open);
  }

  open(lane, step) {
    this.opened = lane ?? this.grove.host;
    const { all } = this.stage.comparison;
    this.more.open(all[this.opened], all[this.opened].head, step);
  }

  show(comparison, pane, shown) {
    this.slot.hidden = !shown;
    this.grove = pane ? new Grove(comparison, pane) : null;
    if (!pane) return;
    const lane = this.grove.lane();
    this.grow(lane);
    const label = this.grove.title();
    const mark = el("i", { class: `bs-line${this.index ? " bs-line-second" : ""}` });
    if (this.title.children[1]?.textContent !== label) this.title.replaceChildren(mark, el("span", { text: label }), this.chip.element);
    this.scope();
    this.plot.setAttribute("aria-label", `${label}. ${text.help}`);
    this.tree.pinned = this.stage.pinned ? this.grove.key(this.stage.pinned.lane, this.stage.pinned.id) : null;
    this.tree.waiting = comparison.live || comparison.growing ? this.grove.waiting(comparison) : new Set();
    this.tree.show(lane, lane.head, this.stage.view);
  }

  // Room for branches below what stands there, so that this does not move. On a phone steps run downwards: there the
  // tree grows sideways, and all of it becomes smaller.
  grow({ base, units }) {
    const more = base && !matchMedia(PHONE).matches ? Math.min(MOST, (units + EDGES) / (base + EDGES) - 1) : 0;
    this.slot.style.setProperty("--bs-more", more.toFixed(3));
  }

  // What of the tree is not dimmed.
  scope() {
    const { focused, filter } = this.stage;
    const key = focused && this.grove ? this.grove.key(focused.lane, focused.id) : null;
    Object.assign(this.tree, { focus: key, filter });
    this.chip.show(key);
    this.tree.redraw();
  }

  pin(node) {
    this.tree.pinned = node && this.grove ? this.grove.key(node.lane, node.id) : null;
    this.tree.redraw();
  }

  select(id, lane) {
    this.tree.select(this.grove ? this.grove.key(lane, id) : null);
  }
}

export function isShown({ comparison, view }, index) {
  if (!comparison || panesOf(comparison).length < 2) return index === 0;
  return view.lanes === "both" || Number(view.lanes) === index;
}

export function mountTrees(stage) {
  const { slots } = stage;
  const card = el("div", { class: "bs-card", hidden: true, "aria-hidden": "true" });
  slots.second.after(card);
  const panes = [new Pane(stage, slots.tree, 0, card), new Pane(stage, slots.second, 1, card)];
  const key = legend();
  slots.player.before(key.element);
  stage.trees = panes.map((pane) => pane.tree);
  const show = () => {
    if (!stage.comparison) return;
    const { head, all } = stage.comparison;
    const found = panesOf(stage.comparison);
    panes.forEach((pane, index) => pane.show(stage.comparison, found[index], isShown(stage, index)));
    const most = Math.max(...panes.map((pane) => Number(pane.slot.style.getPropertyValue("--bs-more")) || 0));
    slots.tree.parentElement.parentElement.parentElement.style.setProperty("--bs-more", most.toFixed(3));
    key.back.hidden = !all.some((lane) => [...lane.rows.values()].some((row) => BACK.includes(row.made)));
    key.branch.hidden = !all.some((lane) => lane.branch);
    head.span.forEach((end, index) => setText(key.ends[index], number(end, 2)));
  };
  stage.on("drawable", () => stage.trees.forEach((tree) => tree.redraw()));
  for (const event of ["focus", "filter"]) stage.on(event, () => panes.forEach((pane) => pane.scope()));
  stage.on("pinned", (node) => panes.forEach((pane) => pane.pin(node)));
  stage.groves = () => panes.map((pane) => pane.grove);
  stage.on("select", (id, lane) => panes.forEach((pane) => pane.select(id, lane)));
  stage.on("frame", show);
  stage.on("view", show);
}
