// What is drawn, as Plotly wants it: at most five lines, three more of branches, one layer of markers, few pictures.
// A child that went back into noise stands before its parent, at the end of an arc.

import { imageUrl } from "./dom.js";
import { ABOVE, isBack, isRoot } from "./tree_scale.js";

const ARC = Array.from({ length: 17 }, (_, i) => i / 16); // where an arc is sampled
const MAX_PICTURES = 240; // every candidate of a default search, and of the run beside it
const LEGIBLE = 17; // px a node needs to be named

const BRANCH = "8px 2px 2px 2px"; // dashes of what grew from a node later, whatever its colour

const DIM = 0.14; // of what is out of focus or filtered out

const isFaded = (row, { selected, path, origins, pinned }) => row.state === "pruned" && row.id !== selected && !path.has(row.id) && !origins.has(row.id) && row.id !== pinned;

// Each with a name of its own, or Plotly would hand it on to whatever stands in its place later.
export function layers(scene) {
  const named = (name, traces) => traces.map((trace, index) => ({ ...trace, uid: `bs-${name}${index || ""}` }));
  return [...named("edges", edges(scene)), ...named("rings", rings(scene)), ...named("waiting", skeletons(scene)), ...named("nodes", [nodes(scene)])];
}

function edges(scene) {
  const { rows, byId, path, scale, colours, dim } = scene;
  const lines = { pruned: [[], []], kept: [[], []], best: [[], []], back: [[], []], bestBack: [[], []],
    dim: [[], []], branchPruned: [[], []], branchKept: [[], []], branchBest: [[], []] };
  for (const row of rows) {
    const parent = row.parent === null ? null : byId.get(row.parent);
    if (!parent) continue;
    const best = path.has(row.id) && (path.has(row.parent) || row.first);
    const back = isBack(row, byId);
    const plain = best ? "best" : row.state === "pruned" ? "pruned" : "kept";
    const kind = dim(row) ? "dim" : back ? (best ? "bestBack" : "back") : row.branch ? `branch${plain[0].toUpperCase()}${plain.slice(1)}` : plain;
    for (const point of back ? arc(parent, row) : [parent, row]) {
      const [x, y] = scale.place(point);
      lines[kind][0].push(x);
      lines[kind][1].push(y);
    }
    lines[kind].forEach((values) => values.push(null));
  }
  const trace = ([x, y], line) => ({ x, y, line, type: "scatter", mode: "lines", hoverinfo: "skip" });
  return [
    { ...trace(lines.back, { color: colours.back, width: 1.2 }), opacity: 0.45 },
    trace(lines.pruned, { color: colours.faint, width: 1, dash: "dot" }),
    trace(lines.kept, { color: colours.muted, width: 1.5 }),
    trace(lines.bestBack, { color: colours.best, width: 2.5, dash: "dash" }),
    trace(lines.best, { color: colours.best, width: 4 }),
    ...(lines.dim[0].length ? [{ ...trace(lines.dim, { color: colours.faint, width: 1 }), opacity: DIM }] : []),
    ...(scene.origins.size ? [
      { ...trace(lines.branchPruned, { color: colours.faint, width: 1, dash: BRANCH }), opacity: 0.7 },
      trace(lines.branchKept, { color: colours.muted, width: 1.6, dash: BRANCH }),
      trace(lines.branchBest, { color: colours.best, width: 3, dash: BRANCH }),
    ] : []),
  ];
}

// A second outline around the nodes of branches, and around those that they grow from.
function rings({ rows, origins, path, scale, colours, dim }) {
  const ringed = rows.filter((row) => (row.branch || origins.has(row.id)) && !dim(row));
  if (!ringed.length) return [];
  return [{
    type: "scatter", mode: "markers", hoverinfo: "skip",
    x: ringed.map((row) => scale.place(row)[0]), y: ringed.map((row) => scale.place(row)[1]),
    marker: {
      size: ringed.map((row) => scale.outer(row)), symbol: "square-open", line: { width: 1.3 },
      color: ringed.map((row) => (row.branch && path.has(row.id) ? colours.best : row.state === "pruned" && row.branch ? colours.faint : colours.muted)),
    },
  }];
}

// Over the tree and back: a Bezier curve that leaves the parent forwards and comes to the child from before it.
function arc(parent, row) {
  const curve = (top) => ARC.map((t) => {
    const weights = [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t ** 2 * (1 - t), t ** 3];
    const mixed = (values) => values.reduce((sum, value, i) => sum + weights[i] * value, 0);
    return { x: mixed([parent.x, parent.x + 0.45, row.x - 0.45, row.x]), y: mixed([parent.y, top, top, row.y]) };
  });
  let top = -ABOVE;
  let points = curve(top);
  for (let tries = 0; tries < 4; tries += 1) { // until its highest place is in the room above all nodes
    top -= 0.7 * ABOVE + Math.min(...points.map((point) => point.y));
    points = curve(top);
  }
  return points;
}

function nodes(scene) {
  const { rows, path, selected, picked, scale, colours, head, view, dim, waiting } = scene;
  const [low, high] = head.span;
  const edge = (row) =>
    row.id === selected || picked.has(row.id) ? colours.selected
      : path.has(row.id) ? colours.best
        : row.state === "pruned" ? colours.faint : colours.muted;
  const slim = scale.perUnit < 26; // px: small nodes would be all frame
  const width = (row) => (row.id === selected || picked.has(row.id) ? 4 : path.has(row.id) ? (slim ? 2.5 : 3.5) : row.state === "pruned" || slim ? 1 : 1.5);
  const named = (row) => view.labels && row.score !== null && scale.size(row) >= LEGIBLE && !dim(row);
  return {
    type: "scatter", mode: view.labels ? "markers+text" : "markers", hoverinfo: "none",
    x: rows.map((row) => scale.place(row)[0]),
    y: rows.map((row) => scale.place(row)[1]),
    customdata: rows.map((row) => row.id),
    text: rows.map((row) => (named(row) ? row.score.toFixed(2) : "")), textposition: scale.down ? "bottom center" : "middle right",
    textfont: { size: 11, color: colours.ink },
    marker: {
      size: rows.map((row) => scale.size(row)),
      color: rows.map((row) => (waiting.has(row.id) ? "rgba(0,0,0,0)" : row.score === null ? colours.panel : row.score)), colorscale: "Cividis", cmin: low, cmax: high,
      symbol: rows.map((row) => (isRoot(row) ? "circle" : "square")),
      opacity: rows.map((row) => (dim(row) ? DIM : isFaded(row, scene) ? 0.5 : 1)),
      line: { color: rows.map(edge), width: rows.map(width) },
    },
  };
}

// Candidates that are being decoded and judged: hollow, and a shade that comes and goes (stage.css) if motion is welcome.
function skeletons({ rows, waiting, scale, colours, dim }) {
  const shown = rows.filter((row) => waiting.has(row.id) && !dim(row));
  if (!shown.length) return [];
  return [{
    type: "scatter", mode: "markers", hoverinfo: "skip",
    x: shown.map((row) => scale.place(row)[0]), y: shown.map((row) => scale.place(row)[1]),
    marker: { size: shown.map((row) => scale.size(row)), symbol: "square", color: colours.faint, opacity: 1, line: { width: 0 } },
  }];
}

// Plotly sizes pictures in axis units and markers in pixels; both are made from the current pixels per unit here.
export function pictures(scene) {
  const { path, selected, scale, run, dim } = scene;
  return chosen(scene).map((row) => {
    const frame = path.has(row.id) || row.id === selected ? 8 : row.state === "pruned" ? 4 : 6;
    const inner = Math.max(scale.size(row) * 0.6, scale.size(row) - frame);
    const [x, y] = scale.place(row);
    return {
      source: imageUrl(row.run || run, row.own ?? row.id, row.image, 64), x, y, xref: "x", yref: "y",
      sizex: inner / scale.x, sizey: inner / scale.y, sizing: "stretch",
      xanchor: "center", yanchor: "middle", layer: "above", opacity: dim(row) ? DIM : isFaded(row, scene) ? 0.45 : 1,
    };
  });
}

// Best path first, then the newest survivors, then the newest pruned; on a phone no pruned ones.
function chosen({ rows, path, scale }) {
  const last = (row) => [path.has(row.id) ? 0 : 1, row.state === "pruned" ? 1 : 0, -row.x, row.y];
  return rows
    .filter((row) => row.image && !(scale.down && row.state === "pruned"))
    .map((row) => [last(row), row])
    .sort(([a], [b]) => a.reduce((order, value, i) => order || value - b[i], 0))
    .slice(0, MAX_PICTURES).map(([, row]) => row);
}

export function tickText(labels, scale) {
  const every = Math.ceil(labels.length / Math.max(4, Math.floor((scale.down ? scale.height : scale.width) / 48)));
  return labels.map((label, i) => (i % every && i !== labels.length - 1 ? "" : label));
}

// What a person pinned (+) or forbade (x): a sign at the corner, so that it needs no colour.
// The node that a branch grows from bears the branch's name, the one that others are compared with a B.
export function marks({ rows, scale, colours, origins, pinned, dim }) {
  const names = (row) => [...(origins.get(row.id) || []), ...(row.id === pinned ? ["B"] : [])];
  return rows.filter((row) => (row.mark || names(row).length) && !dim(row)).map((row) => {
    const [x, y] = scale.place(row);
    const corner = scale.outer(row) / 2;
    const [text, color] = names(row).length ? [`<b>${names(row).join(" ")}</b>`, colours.selected] : row.mark === "pin" ? ["<b>+</b>", colours.selected] : ["<b>×</b>", colours.best];
    return { x, y, text, showarrow: false, xshift: corner, yshift: corner, font: { size: 13, color }, bgcolor: colours.panel, bordercolor: color, borderpad: 1, opacity: 0.95 };
  });
}

// How many nodes of a step are only counted; a click on it shows them.
export function counts({ feet, scale, colours }) {
  return feet.map(({ step, count, y: foot }) => {
    const [x, y] = scale.place({ x: step, y: foot ?? scale.units - 0.5 });
    return { x, y, text: `<b>+${count}</b>`, showarrow: false, captureevents: true, font: { size: 12, color: colours.selected },
      bgcolor: colours.panel, bordercolor: colours.line, borderpad: 3 };
  });
}
