// One subtree in focus: a node, all above and all below it; the rest is dimmed until the whole tree is wanted again.

import { el, setText } from "./dom.js";
import { strings } from "/page/strings.js";

const words = strings.focus;

// Keys of the node, its ancestors and its descendants; rows: by key.
export function lineage(rows, key) {
  const kept = new Set();
  for (let row = rows.get(key); row && !kept.has(row.id); row = rows.get(row.parent)) kept.add(row.id);
  const below = new Set([key]); // rows stand in the order in which they were made, so parents before children
  for (const row of rows.values()) if (below.has(row.parent)) below.add(row.id);
  return new Set([...kept, ...below]);
}

// The way back, beside the name of the tree.
export class FocusChip {
  constructor(stage) {
    this.name = el("span", {});
    this.element = el("span", { class: "bs-focus", hidden: true }, [this.name,
      el("button", { type: "button", class: "bs-chip", text: words.whole, title: words.wholeHelp, onclick: () => stage.focus(null) })]);
  }

  show(key) {
    this.element.hidden = key === null;
    if (key !== null) setText(this.name, words.on.replace("{id}", key));
  }
}

export function mountFocus(stage) {
  stage.focused = null;
  // Focus on a node {lane, id}; the same one again, or null, shows the whole tree.
  stage.focus = (node) => {
    const { focused } = stage;
    const again = node && focused && node.lane === focused.lane && node.id === focused.id;
    stage.focused = again ? null : node;
    stage.touched = true;
    stage.emit("say", stage.focused ? words.said.replace("{id}", stage.focused.id) : words.unsaid);
    stage.emit("focus", stage.focused);
  };
  // Escape stops a run. Only in the tree, or while none goes on, it leads back to the whole tree first.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.defaultPrevented || !stage.focused) return;
    const live = stage.comparison && stage.comparison.live;
    if (live && !event.target.closest?.(".bs-treepane")) return;
    event.preventDefault();
    stage.focus(null);
  });
  stage.on("run", () => (stage.focused = null));
}
