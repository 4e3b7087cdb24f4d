// The nodes of one step that the tree only counts, as a list over the tree.

import { el, imageUrl, number } from "./dom.js";
import { strings } from "/page/strings.js";

const MOST = 120; // pictures; of more only the best are listed

export class MoreNodes {
  constructor(onSelect) {
    this.onSelect = onSelect;
    this.element = el("div", { class: "bs-more", role: "dialog", "aria-modal": "false", hidden: true });
    this.element.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      this.close();
    });
  }

  // lane: the one that the nodes are of.
  open(lane, head, step) {
    const rows = [...lane.rows.values()].filter((row) => row.x === step && row.y === null);
    rows.sort((a, b) => (b.score ?? -Infinity) - (a.score ?? -Infinity));
    const label = `${rows.length} ${strings.tree.more} ${head.steps[step]}`;
    const close = el("button", { type: "button", class: "bs-chip", text: strings.tree.close, onclick: () => this.close() });
    const items = rows.slice(0, MOST).map((row) => this.item(lane, row));
    const rest = rows.length > MOST ? [el("p", { class: "bs-muted", text: strings.tree.rest.replace("{count}", rows.length - MOST) })] : [];
    this.element.setAttribute("aria-label", label);
    this.element.replaceChildren(el("header", {}, [el("strong", { text: label }), close]), el("div", { class: "bs-more-list" }, items), ...rest);
    this.element.hidden = false;
    close.focus();
  }

  item(lane, row) {
    const picture = row.image ? el("img", { src: imageUrl(lane.run, row.id, row.image, 64), width: 40, height: 40, alt: "", loading: "lazy" }) : null;
    const label = `Node ${row.id}, ${row.state}, score ${number(row.score)}`;
    const choose = () => {
      this.close();
      this.onSelect(row.id);
    };
    return el("button", { type: "button", title: label, "aria-label": label, onclick: choose }, [picture, el("span", { text: number(row.score, 2) })]);
  }

  close() {
    this.element.hidden = true;
  }
}
