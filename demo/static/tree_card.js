// The card beside a node that the pointer rests on: its preview and what is known of it.

import { el, imageUrl } from "./dom.js";
import { named } from "./tree_keys.js";
import { strings } from "/page/strings.js";

const REST = 120; // ms

export class HoverCard {
  constructor(element, tree) {
    Object.assign(this, { element, tree });
  }

  hover(id) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.open(id), REST);
  }

  leave() {
    clearTimeout(this.timer);
    this.element.hidden = true;
  }

  open(id) {
    const row = this.tree.drawn().find((one) => one.id === id);
    if (!row) return;
    const score = row.score === null ? "not scored" : `score ${row.score.toFixed(3)}`;
    const rank = row.rank === null ? "" : ` · rank ${row.rank + 1} of ${row.of}`;
    const picture = row.image
      ? el("img", { src: imageUrl(row.run || this.tree.lane.run, row.own ?? id, row.image), width: 256, height: 256, alt: "" })
      : el("p", { class: "bs-empty", text: this.tree.waiting.has(id) ? strings.tree.decoding : strings.tree.undecoded });
    const line = el("p", { text: `${named(row)} · ${this.tree.head.steps[row.x]} · ${score}${rank} · ${row.state}` });
    this.element.replaceChildren(picture, line);
    this.element.hidden = false;
    this.put(row);
  }

  // Beside the node, and within the window.
  put(row) {
    if (!this.element.offsetParent) return; // a phone has no card
    const at = this.tree.where(row);
    const home = this.element.offsetParent.getBoundingClientRect();
    const host = this.tree.host.getBoundingClientRect();
    const gap = this.tree.scale().size(row) / 2 + 8;
    const [width, height] = [this.element.offsetWidth, this.element.offsetHeight];
    const x = host.left + at.x;
    const left = x + gap + width < innerWidth - 8 ? x + gap : Math.max(8, x - gap - width);
    const top = Math.max(8, Math.min(host.top + at.y - 60, innerHeight - height - 8));
    Object.assign(this.element.style, { left: `${left - home.left}px`, top: `${top - home.top}px` });
  }
}
