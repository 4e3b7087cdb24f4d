// The any-time chart: best score so far against compute, one step line per lane; over several seeds a band of each.

import { el, gflop, imageUrl, number, palette } from "./dom.js";
import { segmented } from "./toolbar.js";
import { strings } from "/page/strings.js";

const LEAST = 0.1; // of the verifier's range
const ROOM = 500; // px: in less the name of a lane does not fit below the axis
const AXES = ["gflop", "nfe", "seconds"];
const words = strings.chart;

const amount = (axis, value) => (axis === "gflop" ? `${gflop(value)} GFLOP` : axis === "nfe" ? `${value} NFE` : `${number(value, 1)} s`);

function points(lane, axis) {
  const curve = [...lane.curve];
  const end = lane.facts ? lane.facts[axis] : 0;
  if (curve.length && end > curve.at(-1)[axis]) curve.push({ ...curve.at(-1), [axis]: end });
  return curve;
}

// The end of a line is named; a line that begins near its end would be covered by more than the score.
function named(curve, axis, whole, lane) {
  const roomy = curve.length && curve.at(-1)[axis] > 0.35 * whole;
  return curve.map(({ score }, i) => (i < curve.length - 1 ? "" : `${roomy ? `${lane.label.split(" · ")[0]} ` : ""}${score.toFixed(3)}`));
}

// The higher of two lines is named above its end, the lower one below, so that names never cover each other.
function side(lanes, lane) {
  const last = (other) => (other.curve.length ? other.curve.at(-1).score : -Infinity);
  const above = lanes.every((other) => other === lane || last(lane) >= last(other));
  return above ? "top left" : "bottom left";
}

function trace(lanes, lane, index, axis, whole, colours) {
  const line = index === 0 ? { color: colours.best, width: 2.5 } : { color: colours.flow, width: 2.5, dash: "dash" };
  const curve = points(lane, axis);
  return {
    x: curve.map((point) => point[axis]), y: curve.map((point) => point.score),
    type: "scatter", mode: "lines+markers+text", name: lane.label, hoverinfo: "none",
    text: named(curve, axis, whole, lane), textposition: side(lanes, lane), textfont: { size: 12, color: line.color }, cliponaxis: false,
    customdata: curve.map((point) => ({ ...point, lane: index })),
    line: { ...line, shape: "hv" }, marker: { size: 7, symbol: index === 0 ? "circle" : "diamond", color: line.color },
  };
}

// Two lines that hold the band between them, and its mean.
function bands(series, axis, colours) {
  return series.lanes.flatMap((lane, index) => {
    const { x, low, high, mean } = lane[axis];
    const color = index === 0 ? colours.best : colours.flow;
    const edge = { x, type: "scatter", mode: "lines", hoverinfo: "skip", line: { width: 0, shape: "hv", color } };
    return [
      { ...edge, y: low }, { ...edge, y: high, fill: "tonexty", fillcolor: `${color}26` },
      { ...edge, y: mean, line: { width: 1, shape: "hv", color, dash: index ? "dot" : "solid" }, opacity: 0.8 },
    ];
  });
}

// The frame holds the whole run from the start: the x axis ends at the planned compute and y at all scores to come.
// Before the first score y is the verifier's own range; of that it never shows less than a tenth, lest noise look large.
function span({ lanes, head }, series) {
  const scores = lanes.flatMap((lane) => lane.frames.filter((f) => f.best).map((f) => f.best.peak));
  if (!scores.length) return head.span;
  if (series) scores.push(...series.lanes.flatMap((lane) => [...lane.gflop.low, ...lane.gflop.high]));
  const [low, high] = [Math.min(...scores), Math.max(...scores)];
  const pad = Math.max((high - low) * 0.2, ((head.span[1] - head.span[0]) * LEAST - (high - low)) / 2);
  return [low - pad, high + pad];
}

function furthest({ lanes, head }, axis, series) {
  const planned = axis === "gflop" ? head.planned_gflop || 0 : 0;
  const spent = lanes.map((lane) => (lane.frames.length ? lane.frames.at(-1)[axis] : 0));
  const others = series ? series.lanes.map((lane) => lane[axis].x.at(-1) || 0) : [];
  return Math.max(1e-9, planned, ...spent, ...others);
}

// Below the axis it says why a chart of a single point is no mistake; the second line is there from the start.
function caption({ head, lanes: [lane] }, width, axis, series) {
  const late = !head.early && lane.curve.length < 2;
  const name = width < ROOM ? words.first : lane.label;
  const note = late ? words.late.replace("{name}", name) : series ? words.band.replace("{count}", series.done)
    : axis === "nfe" ? words.nfe_note : " ";
  return `${words[`${axis}_axis`]}<br>${note}`;
}

// Where the run that is shown stands, while that is not its end.
function cursor(comparison, axis, colours) {
  if (comparison.position >= comparison.length && !comparison.live) return [];
  const x = Math.max(...comparison.lanes.map((lane) => (lane.facts ? lane.facts[axis] : 0)));
  return [{ type: "line", xref: "x", yref: "paper", x0: x, x1: x, y0: 0, y1: 1, line: { color: colours.selected, width: 1, dash: "dot" } }];
}

function drawChart(host, comparison, axis, series) {
  if (!window.Plotly || !host.clientWidth) return;
  const colours = palette(host);
  const common = {
    gridcolor: colours.line, zeroline: false, tickfont: { size: 12, color: colours.muted }, linecolor: colours.line,
    titlefont: { size: 12 }, fixedrange: true, nticks: 6,
  };
  const whole = furthest(comparison, axis, series);
  const title = caption(comparison, host.clientWidth, axis, series);
  const layout = {
    width: host.clientWidth, height: host.clientHeight, margin: { l: 52, r: 16, t: 8, b: 54 }, showlegend: false,
    xaxis: { ...common, range: [0, whole * 1.03], title: { text: title, font: { size: 12 } } },
    yaxis: { ...common, range: span(comparison, series), title: { text: words.y, font: { size: 12 } } },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", dragmode: false, hovermode: "closest",
    font: { family: colours.font, size: 12, color: colours.muted }, shapes: cursor(comparison, axis, colours),
  };
  const traces = comparison.lanes.map((lane, index) => trace(comparison.lanes, lane, index, axis, whole, colours));
  const under = series ? bands(series, axis, colours) : [];
  window.Plotly.react(host, [...under, ...traces], layout, { displayModeBar: false, responsive: false });
}

// The picture behind a point, while the pointer rests on it.
class PointCard {
  constructor(host) {
    this.host = host;
    this.element = el("div", { class: "bs-card bs-point", hidden: true, "aria-hidden": "true" });
    this.listening = false;
  }

  listen(stage) {
    if (this.listening || !this.host.on) return;
    this.listening = true;
    this.host.on("plotly_hover", ({ points: [point] }) => point.customdata && this.open(point, stage));
    this.host.on("plotly_unhover", () => (this.element.hidden = true));
  }

  open({ customdata, xaxis, yaxis, x, y }, stage) {
    const lane = stage.comparison.lanes[customdata.lane];
    if (!lane) return;
    const axis = stage.view.axis;
    this.element.replaceChildren(
      el("img", { src: imageUrl(lane.run, customdata.node, customdata.image), width: 128, height: 128, alt: "" }),
      el("p", { text: `${number(customdata.score)} after ${amount(axis, x)}` }));
    this.element.hidden = false;
    const [left, top] = [xaxis._offset + xaxis.d2p(x), yaxis._offset + yaxis.d2p(y)];
    const right = left + 12 + this.element.offsetWidth < this.host.clientWidth;
    this.element.style.left = `${right ? left + 12 : left - 12 - this.element.offsetWidth}px`;
    this.element.style.top = `${Math.max(-60, Math.min(top - 60, this.host.clientHeight - this.element.offsetHeight))}px`;
  }
}

export function mountChart(stage) {
  stage.setView({ axis: "gflop" });
  const key = (kind, text) => el("span", { class: "bs-key" }, [el("i", { class: `bs-line bs-line-${kind}` }), text]);
  const keys = [key("first", words.first), key("second", words.second)];
  const host = el("div", { class: "bs-chart", role: "img", "aria-label": words.label });
  const card = new PointCard(host);
  const axes = segmented(words.axis, AXES.map((axis) => [axis, words[axis]]), (axis) => stage.setView({ axis }));
  stage.slots.chart.append(el("div", { class: "bs-subtitle" }, [el("h2", { text: words.title }), ...keys, axes.element]),
    el("div", { class: "bs-chartbox" }, [host, card.element]));
  let waiting = false;
  const redraw = () => {
    if (!stage.comparison || waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      if (!stage.comparison) return;
      drawChart(host, stage.comparison, stage.view.axis, stage.series);
      card.listen(stage);
    });
  };
  const show = () => {
    axes.show(stage.view.axis);
    if (!stage.comparison) return;
    keys.forEach((item, index) => {
      const lane = stage.comparison.lanes[index];
      item.hidden = !lane;
      if (lane) item.lastChild.textContent = lane.label;
    });
    redraw();
  };
  for (const event of ["drawable", "frame", "view", "series"]) stage.on(event, show);
  new ResizeObserver(redraw).observe(host);
  new MutationObserver(redraw).observe(document.body, { attributeFilter: ["class"] });
  show();
}
