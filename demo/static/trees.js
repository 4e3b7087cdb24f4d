// The trees on the stage: title, drawing area, legend.

import { el, number, setText } from "./dom.js";
import { TreeView } from "./tree.js";
import { strings } from "/page/strings.js";

function legend() {
  const ends = [el("span", { class: "bs-end" }), el("span", { class: "bs-end" })];
  const item = (kind, text) => el("span", { class: "bs-key" }, [el("i", { class: `bs-swatch bs-swatch-${kind}` }), text]);
  const back = item("back", strings.legend.back);
  const element = el("div", { class: "bs-legend" }, [
    item("best", strings.legend.best), item("kept", strings.legend.kept), item("pruned", strings.legend.pruned), back,
    el("span", { class: "bs-key bs-scale" }, [strings.legend.score, ends[0], el("i", { class: "bs-cividis" }), ends[1]]),
    el("span", { class: "bs-key bs-wide", text: strings.legend.zoom }),
  ]);
  return { element, ends, back };
}

export function mountTrees(stage) {
  const { slots } = stage;
  const heading = el("p", { class: "bs-title", text: strings.stage.idle });
  const plot = el("div", { class: "bs-plot", tabindex: "0", role: "application", "aria-label": strings.tree.help });
  const card = el("div", { class: "bs-card", hidden: true, "aria-hidden": "true" });
  const key = legend();
  slots.toolbar.prepend(heading);
  slots.tree.append(plot, card);
  slots.player.after(key.element);
  const tree = new TreeView(plot, card, { onSelect: (id, open) => stage.pick(id, 0, open) });
  stage.trees = [tree];
  stage.on("drawable", () => tree.redraw());
  stage.on("select", (id) => tree.select(id));
  stage.on("frame", () => {
    const { head, lanes } = stage.comparison;
    tree.show(lanes[0], head);
    setText(heading, `${stage.recorded ? "Recorded run" : "Run"}: “${head.prompt}” · ${head.method} · seed ${head.seed}`);
    heading.title = heading.textContent;
    key.back.hidden = ![...lanes[0].rows.values()].some((row) => tree.isBack(row));
    head.span.forEach((end, index) => setText(key.ends[index], number(end, 2)));
  });
}
