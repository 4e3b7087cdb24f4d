// The fixed places of the stage. Each has its final size before anything is known, so that nothing moves later.

import { el } from "./dom.js";
import { strings } from "/page/strings.js";

const text = strings.stage;

export function buildSlots(root) {
  const slot = (name, tag = "div", attributes = {}) => el(tag, { class: `bs-slot-${name}`, ...attributes });
  const slots = {
    status: slot("status"),
    toolbar: slot("toolbar", "div", { class: "bs-toolbar" }),
    tree: slot("tree"),
    second: slot("second"),
    player: slot("player"),
    inspector: slot("inspector"),
    chart: slot("chart", "section", { "aria-label": text.chart }),
    compare: slot("compare", "section", { "aria-label": text.compare }),
    share: slot("share"),
    dialogs: slot("dialogs"),
  };
  const trees = el("div", { class: "bs-canvas" }, [slots.tree, slots.second]);
  const pane = el("section", { class: "bs-treepane", "aria-label": text.tree }, [slots.toolbar, trees, slots.player]);
  root.replaceChildren(
    slots.status,
    el("div", { class: "bs-main" }, [pane, slots.inspector]),
    el("div", { class: "bs-results" }, [slots.chart, slots.compare]),
    slots.dialogs);
  slots.toolbar.append(slots.share);
  return slots;
}
