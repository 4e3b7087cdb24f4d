// The same nodes as a table: for people who cannot see a tree, and for those who want to sort.

import { el, imageUrl, number, setText } from "./dom.js";
import { strings } from "/page/strings.js";

const PAGE = 100; // rows at once
const words = strings.table;
const COLUMNS = [
  ["id", (row) => row.id], ["step", (row) => row.x], ["score", (row) => row.score], ["rank", (row) => row.rank],
  ["state", (row) => row.state], ["parent", (row) => row.parent],
];

class NodeTable {
  constructor(onSelect) {
    Object.assign(this, { onSelect, order: "id", falling: false, count: PAGE, lane: null, selected: null });
    this.heads = COLUMNS.map(([name]) => {
      const button = el("button", { type: "button", text: words[name], onclick: () => this.sort(name) });
      return [name, el("th", { scope: "col" }, button)];
    });
    this.caption = el("caption", {});
    this.body = el("tbody");
    this.more = el("button", { type: "button", class: "bs-chip", text: words.more, onclick: () => this.grow() });
    this.table = el("table", { class: "bs-nodes-table" }, [this.caption,
      el("thead", {}, el("tr", {}, [el("th", { scope: "col", text: words.picture }), ...this.heads.map(([, head]) => head)])), this.body]);
    this.element = el("div", { class: "bs-tablebox", hidden: true, role: "region", "aria-label": words.label, tabindex: "0" }, [this.table, this.more]);
    this.body.addEventListener("click", (event) => {
      const line = event.target.closest("tr");
      if (line) this.onSelect(this.keys.get(line.dataset.id), event.shiftKey);
    });
  }

  sort(name) {
    this.falling = this.order === name ? !this.falling : name === "score";
    this.order = name;
    this.draw();
  }

  grow() {
    this.count += PAGE;
    this.draw();
  }

  // dim(row): whether a row is left out; null for none.
  show(lane, shown, title, dim) {
    Object.assign(this, { title, dim });
    if (this.lane && lane && this.lane.run !== lane.run) this.count = PAGE;
    this.lane = lane;
    this.element.hidden = !shown || !lane;
    if (!this.element.hidden) this.draw();
  }

  select(id) {
    this.selected = id;
    for (const line of this.body.children) line.toggleAttribute("data-chosen", line.dataset.id === String(id));
  }

  draw() {
    const { lane } = this;
    const value = Object.fromEntries(COLUMNS)[this.order];
    const sign = this.falling ? -1 : 1;
    const all = [...lane.rows.values()];
    const rows = (this.dim ? all.filter((row) => !this.dim(row)) : all).sort((a, b) => sign * compared(value(a), value(b)) || compared(a.id, b.id));
    const shown = rows.slice(0, this.count);
    const key = JSON.stringify([lane.run, Boolean(this.dim), all.length, this.order, this.falling, shown.map((row) => [row.id, row.score, row.state, row.image])]);
    if (key === this.drawn) return;
    this.drawn = key;
    this.keys = new Map(shown.map((row) => [String(row.id), row.id]));
    const caption = this.dim ? words.captionSome.replace("{all}", all.length) : words.caption;
    setText(this.caption, caption.replace("{name}", this.title).replace("{shown}", shown.length).replace("{count}", rows.length));
    this.heads.forEach(([name, head]) => {
      head.setAttribute("aria-sort", name !== this.order ? "none" : this.falling ? "descending" : "ascending");
    });
    const path = new Set(lane.facts ? lane.facts.path : []);
    this.body.replaceChildren(...shown.map((row) => this.line(row, path.has(row.id))));
    this.more.hidden = shown.length === rows.length;
  }

  line(row, best) {
    const { lane } = this;
    const picture = row.image ? el("img", { src: imageUrl(row.run || lane.run, row.own ?? row.id, row.image, 64), width: 32, height: 32, alt: "", loading: "lazy" }) : "";
    const rank = row.rank === null ? "–" : `${row.rank + 1} of ${row.of}`;
    const open = el("button", { type: "button", "aria-label": words.open.replace("{id}", row.id), text: row.id });
    const cells = [lane.head.steps[row.x] || "", number(row.score), rank, best ? `${row.state}, ${strings.legend.best}` : row.state,
      row.parent === null ? "–" : row.parent];
    return el("tr", { "data-id": String(row.id), class: best ? "bs-on-path" : null, "data-chosen": row.id === this.selected },
      [el("td", {}, picture), el("th", { scope: "row" }, open), ...cells.map((text) => el("td", { text: String(text) }))]);
  }
}

// Numbers by size, before words by letter; what is not there last.
function compared(a, b) {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return typeof a === "string" ? a.localeCompare(b, undefined, { numeric: true }) : a - b;
}

export function mountTable(stage) {
  const tables = [0, 1].map((index) => new NodeTable((key, pin) => {
    const node = stage.groves()[index].resolve(key);
    if (pin) stage.pin(node);
    else stage.pick(node.id, node.lane, true);
  }));
  stage.slots.tree.append(tables[0].element);
  stage.slots.second.append(tables[1].element);
  const show = () => {
    if (!stage.comparison) return;
    tables.forEach((table, index) => table.show(stage.trees[index].lane, stage.view.table, stage.groves()[index]?.title(), stage.trees[index].dimmer()));
    for (const slot of [stage.slots.tree, stage.slots.second]) slot.classList.toggle("bs-as-table", stage.view.table);
  };
  stage.on("frame", show);
  for (const event of ["view", "focus", "filter"]) stage.on(event, show);
  stage.on("select", (id, lane) => tables.forEach((table, index) => table.select(stage.groves()[index]?.key(lane, id) ?? null)));
}
