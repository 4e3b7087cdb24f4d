// The trees of a comparison beside each other: whose tree it is, the drawing, the legend.

import { el, number, setText } from "./dom.js";
import { MoreNodes } from "./more.js";
import { TreeView } from "./tree.js";
import { strings } from "/page/strings.js";

const text = strings.tree;
const BACK = ["renoise", "neighbour"]; // ways to be made that lead back into noise

function legend() {
  const ends = [el("span", { class: "bs-end" }), el("span", { class: "bs-end" })];
  const item = (kind, label) => el("span", { class: "bs-key" }, [el("i", { class: `bs-swatch bs-swatch-${kind}` }), label]);
  const back = item("back", strings.legend.back);
  const element = el("div", { class: "bs-legend" }, [
    item("best", strings.legend.best), item("kept", strings.legend.kept), item("pruned", strings.legend.pruned), back,
    el("span", { class: "bs-key bs-scale" }, [strings.legend.score, ends[0], el("i", { class: "bs-cividis" }), ends[1]]),
    el("span", { class: "bs-key bs-wide", text: strings.legend.zoom }),
  ]);
  return { element, ends, back };
}

class Pane {
  constructor(stage, slot, index, card) {
    Object.assign(this, { stage, slot, index });
    this.title = el("p", { class: "bs-lane", text: "" });
    this.plot = el("div", { class: index ? "bs-plot-second" : "bs-plot", tabindex: "0", role: "application", "aria-label": text.help });
    this.more = new MoreNodes((id) => stage.pick(id, index, true));
    slot.append(this.title, el("div", { class: "bs-drawing" }, [this.plot]), this.more.element);
    this.tree = new TreeView(this.plot, card, {
      onSelect: (id, open) => stage.pick(id, index, open),
      onMore: (step) => this.more.open(this.tree.lane, this.tree.head, step),
    });
  }

  show(comparison) {
    const lane = comparison.lanes[this.index];
    this.slot.hidden = !isShown(this.stage, this.index);
    if (!lane) return;
    const mark = el("i", { class: `bs-line${this.index ? " bs-line-second" : ""}` });
    if (this.title.lastChild?.textContent !== lane.label) this.title.replaceChildren(mark, el("span", { text: lane.label }));
    this.plot.setAttribute("aria-label", `${lane.label}. ${text.help}`);
    this.tree.origin = this.index && comparison.head.earlier ? comparison.head.origin.node : null;
    this.tree.show(lane, lane.head, this.stage.view);
  }
}

function isShown({ comparison, view }, index) {
  if (!comparison || comparison.lanes.length < 2) return index === 0;
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
    panes.forEach((pane) => pane.show(stage.comparison));
    const { head } = stage.comparison;
    key.back.hidden = !stage.comparison.lanes.some((lane) => [...lane.rows.values()].some((row) => BACK.includes(row.made)));
    head.span.forEach((end, index) => setText(key.ends[index], number(end, 2)));
  };
  stage.on("drawable", () => stage.trees.forEach((tree) => tree.redraw()));
  stage.on("select", (id, lane) => panes.forEach((pane) => pane.tree.select(pane.index === lane ? id : null)));
  stage.on("frame", show);
  stage.on("view", show);
}
