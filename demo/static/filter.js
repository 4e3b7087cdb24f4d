// What the filter box understands: "score>0.6 scale:3 pruned" are nodes for which all of that holds. Pure.
//
//   score>0.6  rank<=3  scale:3  step>2  node:23     a number compared; ":" and "=" mean equal; scale also by name, scale:3x3
//   kept  pruned  finished  live  best  pinned  forbidden  R2      a state, the best path, a mark, a branch
//   -pruned                                           not

import { strings } from "/page/strings.js";

const words = strings.filter;
const fill = (sentence, values) => sentence.replace(/\{(\w+)\}/g, (_, name) => values[name]);

const NUMBERS = {
  score: (row) => row.score, rank: (row) => (row.rank === null ? null : row.rank + 1), scale: (row) => row.x, step: (row) => row.x,
  node: (row) => row.own ?? row.id,
};
const STATES = ["kept", "pruned", "finished", "live"];
const FLAGS = {
  best: (row, { path }) => path.has(row.id), pinned: (row) => row.mark === "pin", forbidden: (row) => row.mark === "forbid",
  ...Object.fromEntries(STATES.map((state) => [state, (row) => row.state === state])),
  kept: (row) => row.state === "kept" || row.state === "finished",
};
const SIGNS = {
  ">": (a, b) => a > b, "<": (a, b) => a < b, ">=": (a, b) => a >= b, "<=": (a, b) => a <= b, "=": (a, b) => a === b, ":": (a, b) => a === b,
};
const COMPARED = /^([a-z]+)(>=|<=|>|<|=|:)(.*)$/;

export const NAMES = [...Object.keys(NUMBERS), ...Object.keys(FLAGS)];

// A predicate (row, {path, steps}) of one word. Throws an Error whose message teaches.
function term(word) {
  if (word.startsWith("-") && word.length > 1) {
    const other = term(word.slice(1));
    return (row, scene) => !other(row, scene);
  }
  if (Object.hasOwn(FLAGS, word)) return FLAGS[word];
  if (/^r\d+$/.test(word)) return (row) => (row.branch || "").toLowerCase() === word;
  const [, name, sign, value] = COMPARED.exec(word) || [];
  if (!name) throw new Error(Object.hasOwn(NUMBERS, word) ? fill(words.noValue, { word }) : fill(words.unknown, { word }));
  if (!Object.hasOwn(NUMBERS, name)) throw new Error(fill(words.unknown, { word: name }));
  if (!value) throw new Error(fill(words.noValue, { word: name }));
  return compared(name, sign, value);
}

function compared(name, sign, value) {
  const label = ["scale", "step"].includes(name) && [":", "="].includes(sign) && !/^-?[\d.]+$/.test(value);
  if (label) return (row, { steps }) => (steps[row.x] || "").toLowerCase() === value;
  const number = Number(value);
  if (!Number.isFinite(number)) throw new Error(fill(words.noNumber, { name, value }));
  return (row) => NUMBERS[name](row) !== null && SIGNS[sign](NUMBERS[name](row), number);
}

// The predicate of a whole text; null for an empty one. Throws as `term` does.
export function parseFilter(text) {
  const terms = text.toLowerCase().replace(/\s*(>=|<=|>|<|=|:)\s*/g, "$1").split(/\s+/).filter(Boolean).map(term);
  return terms.length ? (row, scene) => terms.every((holds) => holds(row, scene)) : null;
}
