// A node pinned as B, to be compared with the selected one, or where none is selected with the best image.

import { el, imageUrl, number, setText } from "./dom.js";
import { strings } from "/page/strings.js";

const words = strings.pinned;
const fill = (sentence, values) => sentence.replace(/\{(\w+)\}/g, (_, name) => values[name]);

// What is known of one node for a comparison; url is null where it has no picture, or is not there at this time.
function side({ all, head }, { lane: index, id }) {
  const lane = all[index];
  const row = lane.rows.get(id);
  const name = [lane.branch ? lane.branch.name : (lane.name || lane.label).split(" · ")[0], fill(words.node, { id })];
  if (row) name.push(lane.head.steps[row.x]);
  const title = name.join(" · ");
  if (!row) return { url: null, title, why: words.later, score: "–", cost: "" };
  const score = row.score === null ? words.unscored : `${head.verifier} ${number(row.score)}`;
  return { url: row.image ? imageUrl(lane.run, id, row.image) : null, title, why: words.bare, score, cost: row.state, value: row.score };
}

const same = (one, other) => Boolean(one && other) && one.lane === other.lane && one.id === other.id;

// [A, B] while a node is pinned, else null. best: what A is while no other node with a picture is selected.
export function pinnedPair(stage, best) {
  const { comparison, pinned, selected, lane } = stage;
  if (!comparison || !pinned || !comparison.all[pinned.lane]) return null;
  const chosen = selected === null ? null : { lane, id: selected };
  const other = chosen && !same(chosen, pinned) ? side(comparison, chosen) : null;
  const pair = [other && other.url ? other : best(), side(comparison, pinned)];
  return pair.map((one, index) => ({ ...one, title: `${"AB"[index]} · ${one.title}` }));
}

function told([a, b], { verifier }) {
  if (typeof a.value !== "number" || typeof b.value !== "number") return "";
  return fill(words.gap, { gap: `${a.value >= b.value ? "+" : "−"}${Math.abs(a.value - b.value).toFixed(3)}`, verifier });
}

// The note beside the pictures, with the way back.
export class PinNote {
  constructor(stage) {
    this.what = el("p", { class: "bs-finding", role: "status" });
    this.element = el("div", { class: "bs-pinned", hidden: true }, [
      this.what, el("p", { class: "bs-muted", text: words.help }),
      el("button", { type: "button", class: "bs-chip", text: words.unpin, "aria-label": words.unpinLong, onclick: () => stage.pin(null) })]);
  }

  show(pair, head) {
    this.element.hidden = !pair;
    setText(this.what, pair ? `${fill(words.compared, { a: pair[0].title, b: pair[1].title })} ${told(pair, head)}` : "");
  }
}

export function mountPinned(stage) {
  stage.pinned = null;
  // Pin a node as B; the same one again, or null, for none.
  stage.pin = (node) => {
    stage.pinned = same(node, stage.pinned) ? null : node;
    const { pinned } = stage;
    stage.emit("say", pinned ? fill(words.said, { id: pinned.id }) : words.unpinned);
    stage.emit("pinned", pinned);
  };
  stage.on("run", () => (stage.pinned = null));
}
