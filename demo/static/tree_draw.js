// What is drawn, as Plotly wants it: at most five lines, one layer of markers, few pictures.
// A child that went back into noise stands before its parent, at the end of an arc.

import { imageUrl } from "./dom.js";
import { ABOVE, isBack, isRoot } from "./tree_scale.js";

const ARC = Array.from({ length: 17 }, (_, i) => i / 16); // where an arc is sampled
const MAX_PICTURES = 240; // every candidate of a default search, and of the run beside it
const LEGIBLE = 17; // px a node needs to be named

const isFaded = (row, { selected, path }) => row.state === "pruned" && row.id !== selected && !path.has(row.id);

export function edges(scene) {
  const { rows, byId, path, scale, colours } = scene;
  const lines = { pruned: [[], []], kept: [[], []], best: [[], []], back: [[], []], bestBack: [[], []] };
  for (const row of rows) {
    const parent = row.parent === null ? null : byId.get(row.parent);
    if (!parent) continue;
    const best = path.has(row.id) && path.has(row.parent);
    const back = isBack(row, byId);
    const kind = back ? (best ? "bestBack" : "back") : best ? "best" : row.state === "pruned" ? "pruned" : "kept";
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
  ];
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

export function nodes(scene) {
  const { rows, path, selected, picked, scale, colours, head, view } = scene;
  const [low, high] = head.span;
  const edge = (row) =>
    row.id === selected || picked.has(row.id) ? colours.selected
      : path.has(row.id) ? colours.best
        : row.state === "pruned" ? colours.faint : colours.muted;
  const slim = scale.perUnit < 26; // px: small nodes would be all frame
  const width = (row) => (row.id === selected || picked.has(row.id) ? 4 : path.has(row.id) ? (slim ? 2.5 : 3.5) : row.state === "pruned" || slim ? 1 : 1.5);
  const named = (row) => view.labels && row.score !== null && scale.size(row) >= LEGIBLE;
  return {
    type: "scatter", mode: view.labels ? "markers+text" : "markers", hoverinfo: "none",
    x: rows.map((row) => scale.place(row)[0]),
    y: rows.map((row) => scale.place(row)[1]),
    customdata: rows.map((row) => row.id),
    text: rows.map((row) => (named(row) ? row.score.toFixed(2) : "")), textposition: scale.down ? "bottom center" : "middle right",
    textfont: { size: 11, color: colours.ink },
    marker: {
      size: rows.map((row) => scale.size(row)),
      color: rows.map((row) => (row.score === null ? colours.panel : row.score)), colorscale: "Cividis", cmin: low, cmax: high,
      symbol: rows.map((row) => (isRoot(row) ? "circle" : "square")),
      opacity: rows.map((row) => (isFaded(row, scene) ? 0.5 : 1)),
      line: { color: rows.map(edge), width: rows.map(width) },
    },
  };
}

// Plotly sizes pictures in axis units and markers in pixels; both are made from the current pixels per unit here.
export function pictures(scene) {
  const { path, selected, scale, run } = scene;
  return chosen(scene).map((row) => {
    const frame = path.has(row.id) || row.id === selected ? 8 : row.state === "pruned" ? 4 : 6;
    const inner = Math.max(scale.size(row) * 0.6, scale.size(row) - frame);
    const [x, y] = scale.place(row);
    return {
      source: imageUrl(run, row.id, row.image, 64), x, y, xref: "x", yref: "y",
      sizex: inner / scale.x, sizey: inner / scale.y, sizing: "stretch",
      xanchor: "center", yanchor: "middle", layer: "above", opacity: isFaded(row, scene) ? 0.45 : 1,
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
// The node that another run goes on from is called R2.
export function marks({ rows, scale, colours, origin }) {
  return rows.filter((row) => row.mark || row.id === origin).map((row) => {
    const [x, y] = scale.place(row);
    const corner = scale.size(row) / 2;
    const [text, color] = row.id === origin ? ["<b>R2</b>", colours.selected] : row.mark === "pin" ? ["<b>+</b>", colours.selected] : ["<b>×</b>", colours.best];
    return { x, y, text, showarrow: false, xshift: corner, yshift: corner, font: { size: 13, color }, bgcolor: colours.panel, bordercolor: color, borderpad: 1, opacity: 0.95 };
  });
}

// How many nodes of a step are only counted; a click on it shows them.
export function counts({ hidden, scale, colours }) {
  return Object.entries(hidden).map(([step, count]) => {
    const [x, y] = scale.place({ x: Number(step), y: scale.units - 0.5 });
    return { x, y, text: `<b>+${count}</b>`, showarrow: false, captureevents: true, font: { size: 12, color: colours.selected },
      bgcolor: colours.panel, bordercolor: colours.line, borderpad: 3 };
  });
}
