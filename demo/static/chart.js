// The any-time chart: best score so far against total compute, one step line per lane.

import { el, palette } from "./dom.js";
import { strings } from "/page/strings.js";

const LEAST = 0.1; // of the verifier's range
const ROOM = 500; // px: in less the name of a lane does not fit below the axis

function points(lane, cursor) {
  const x = lane.curve.map((point) => point.gflop);
  const y = lane.curve.map((point) => point.score);
  if (x.length && cursor > x.at(-1)) {
    x.push(cursor);
    y.push(y.at(-1));
  }
  return { x, y };
}

const named = (scores) => scores.map((score, i) => (i === scores.length - 1 ? score.toFixed(3) : ""));

// The higher of two lines is named above its end, the lower one below, so that names never cover each other.
function side(comparison, lane) {
  const last = (other) => (other.curve.length ? other.curve.at(-1).score : -Infinity);
  const above = comparison.lanes.every((other) => other === lane || last(lane) >= last(other));
  return above ? "top right" : "bottom right";
}

function trace(comparison, lane, index, colours) {
  const line = index === 0 ? { color: colours.best, width: 2.5 } : { color: colours.flow, width: 2.5, dash: "dash" };
  const shown = points(lane, lane.facts ? lane.facts.gflop : 0);
  return {
    ...shown, type: "scatter", mode: "lines+markers+text", name: lane.label,
    text: named(shown.y), textposition: side(comparison, lane), textfont: { size: 12, color: line.color },
    cliponaxis: false,
    line: { ...line, shape: "hv" }, marker: { size: 7, symbol: index === 0 ? "circle" : "diamond", color: line.color },
    hovertemplate: "best %{y:.3f} after %{x:.3g} GFLOP<extra>%{fullData.name}</extra>",
  };
}

// The frame holds the whole run from the start: the x axis ends at the planned compute and y at all scores to come.
// Before the first score y is the verifier's own range; of that it never shows less than a tenth, lest noise look large.
function span({ lanes, head }) {
  const scores = lanes.flatMap((lane) => lane.frames.filter((f) => f.best).map((f) => f.best.peak));
  if (!scores.length) return head.span;
  const [low, high] = [Math.min(...scores), Math.max(...scores)];
  const pad = Math.max((high - low) * 0.2, ((head.span[1] - head.span[0]) * LEAST - (high - low)) / 2);
  return [low - pad, high + pad];
}

// Below the axis it says why a chart of a single point is no mistake; the second line is there from the start.
function caption({ head, lanes: [lane] }, width) {
  const late = !head.early && lane.curve.length < 2;
  const whose = width < ROOM ? "search" : lane.label;
  return `total compute, GFLOP<br>${late ? `${whose}: no image is finished before the last step` : " "}`;
}

function drawChart(host, comparison) {
  if (!window.Plotly || !host.clientWidth) return;
  const colours = palette(host);
  const furthest = Math.max(1e-9, comparison.head.planned_gflop || 0,
    ...comparison.lanes.map((lane) => (lane.facts ? lane.facts.gflop : 0)));
  const axis = {
    gridcolor: colours.line, zeroline: false, tickfont: { size: 12, color: colours.muted }, linecolor: colours.line,
    titlefont: { size: 12 }, fixedrange: true, nticks: 6,
  };
  const layout = {
    width: host.clientWidth, height: host.clientHeight, margin: { l: 52, r: 50, t: 8, b: 54 }, showlegend: false,
    xaxis: { ...axis, range: [0, furthest * 1.03], title: { text: caption(comparison, host.clientWidth), font: { size: 12 } } },
    yaxis: { ...axis, range: span(comparison), title: { text: "best score so far", font: { size: 12 } } },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", dragmode: false,
    font: { family: colours.font, size: 12, color: colours.muted },
    hoverlabel: { bgcolor: colours.panel, bordercolor: colours.muted, font: { color: colours.ink } },
  };
  const traces = comparison.lanes.map((lane, index) => trace(comparison, lane, index, colours));
  window.Plotly.react(host, traces, layout, { displayModeBar: false, responsive: false });
}

export function mountChart(stage) {
  const key = (kind, text) => el("span", { class: "bs-key" }, [el("i", { class: `bs-line bs-line-${kind}` }), text]);
  const keys = [key("first", strings.chart.first), key("second", strings.chart.second)];
  const host = el("div", { class: "bs-chart", role: "img", "aria-label": strings.chart.label });
  stage.slots.chart.append(el("div", { class: "bs-subtitle" }, [el("h2", { text: strings.chart.title }), ...keys]), host);
  let waiting = false;
  const redraw = () => {
    if (!stage.comparison || waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      if (stage.comparison) drawChart(host, stage.comparison);
    });
  };
  stage.on("drawable", redraw);
  stage.on("frame", () => {
    keys.forEach((item, index) => {
      const lane = stage.comparison.lanes[index];
      item.hidden = !lane;
      if (lane) item.lastChild.textContent = lane.label;
    });
    redraw();
  });
  new ResizeObserver(redraw).observe(host);
  new MutationObserver(redraw).observe(document.body, { attributeFilter: ["class"] });
}
