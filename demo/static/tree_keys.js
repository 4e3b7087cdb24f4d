// Walking the tree with keys.

import { plural } from "./dom.js";

const ACROSS = { ArrowRight: "child", ArrowLeft: "parent", ArrowUp: "before", ArrowDown: "after" };
const DOWN = { ArrowDown: "child", ArrowUp: "parent", ArrowLeft: "before", ArrowRight: "after" };

export function meaning(event, down) {
  if (event.ctrlKey || event.metaKey || event.altKey) return null;
  return { ...(down ? DOWN : ACROSS), Home: "root", End: "best", Enter: "open", b: "pin", f: "focus" }[event.key] || null;
}

export function target(move, lane, rows, selected) {
  const first = (list) => list.reduce((a, b) => (a && a.y <= b.y ? a : b), null);
  const row = rows.find((one) => one.id === selected);
  if (move === "best") return lane.facts && lane.rows.get(lane.best ?? lane.facts.path.at(-1));
  if (!row && (move === "pin" || move === "focus")) return null;
  if (!row || move === "root") return lane.rows.get(0);
  if (move === "parent") return lane.rows.get(row.parent);
  const below = rows.filter((other) => other.parent === row.id);
  if (move === "child") return first(below.filter((other) => other.x > row.x)) || first(below);
  if (["open", "pin", "focus"].includes(move)) return row;
  const column = rows.filter((other) => other.x === row.x).sort((a, b) => a.y - b.y);
  return column[column.indexOf(row) + (move === "after" ? 1 : -1)];
}

// A node by its number, one of a branch with the branch's name.
export const named = (row) => (row.branch ? `${row.branch} · Node ${row.own}` : `Node ${row.id}`);

export function describe(row, head) {
  const score = row.score === null ? "not scored" : `score ${row.score.toFixed(3)}`;
  const rank = row.rank === null ? "" : `, rank ${row.rank + 1} of ${row.of}`;
  return `Node ${row.id}, ${head.steps[row.x]}, ${score}${rank}, ${row.state}, ${plural(row.children, "child").replace("childs", "children")}`;
}
