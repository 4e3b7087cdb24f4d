// What all stored runs together say: how far early scores foretell the final ones, and what became of pruned nodes.

import { get } from "./api.js";
import { el, number, palette, setText } from "./dom.js";
import { loadPlotly } from "./plotly.js";
import { strings } from "/page/strings.js";

const text = strings.insights;
const fill = (sentence, values) => sentence.replace(/\{(\w+)\}/g, (_, name) => values[name]);
const AGAIN = 400; // ms until the server is asked for the runs that it had no time to read
const FEW = 8; // runs: of fewer no pattern is sure
const CLEAR = 0.5; // rank correlation from which a score tells more than it hides

function layoutOf(host, colours, xaxis, yaxis) {
  const axis = { gridcolor: colours.line, zeroline: false, linecolor: colours.line, fixedrange: true, tickfont: { size: 12, color: colours.muted } };
  return {
    width: host.clientWidth, height: host.clientHeight, margin: { l: 54, r: 14, t: 8, b: 52 }, showlegend: false, dragmode: false,
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { family: colours.font, size: 12, color: colours.muted },
    hoverlabel: { bgcolor: colours.panel, bordercolor: colours.muted, font: { color: colours.ink } },
    xaxis: { ...axis, ...xaxis }, yaxis: { ...axis, ...yaxis },
  };
}

class Panel {
  constructor(title, label) {
    this.chart = el("div", { class: "bs-insight-chart", role: "img", "aria-label": label });
    this.empty = el("p", { class: "bs-empty bs-insight-empty", hidden: true });
    this.said = el("p", { class: "bs-muted" });
    this.element = el("section", { class: "bs-insight", "aria-label": title }, [el("h3", { text: title }), el("div", { class: "bs-insight-frame" }, [this.chart, this.empty]), this.said]);
  }

  // traces: null for the sentence that says why there is nothing to draw.
  draw(traces, layout, sentence) {
    this.empty.hidden = Boolean(traces);
    this.chart.hidden = !traces;
    setText(traces ? this.said : this.empty, sentence);
    if (!traces) return setText(this.said, "");
    if (this.chart.clientWidth) window.Plotly.react(this.chart, traces, layout(), { displayModeBar: false, responsive: false });
  }
}

class Insights {
  constructor(stage) {
    Object.assign(this, { stage, reliability: null, regret: null });
    this.first = new Panel(text.reliability, text.reliabilityLabel);
    this.second = new Panel(text.regret, text.regretLabel);
    this.pending = el("p", { class: "bs-muted", role: "status" });
    this.element = el("details", { class: "bs-insights" }, [
      el("summary", {}, [el("h2", { text: text.title }), el("span", { class: "bs-muted", text: text.about })]),
      el("div", { class: "bs-insight-pair" }, [this.first.element, this.second.element]), this.pending]);
    this.element.addEventListener("toggle", () => this.load());
    new ResizeObserver(() => this.show()).observe(this.first.chart);
    new MutationObserver(() => this.show()).observe(document.body, { attributeFilter: ["class"] });
  }

  async load() {
    const { comparison } = this.stage;
    if (!this.element.open || !comparison) return;
    const ticket = (this.ticket = (this.ticket || 0) + 1);
    try {
      const [reliability, regret] = await Promise.all([get("/data/reliability", { run: comparison.run }), get("/data/regret"), loadPlotly()]);
      if (ticket !== this.ticket) return;
      Object.assign(this, { reliability, regret });
      const left = Math.max(reliability.pending, regret.pending);
      setText(this.pending, left ? fill(text.pending, { left }) : "");
      this.show();
      if (left) setTimeout(() => ticket === this.ticket && this.load(), AGAIN);
    } catch (error) {
      if (ticket === this.ticket) setText(this.pending, error.message);
    }
  }

  show() {
    if (!this.element.open || !window.Plotly) return;
    if (this.reliability) this.showReliability(this.reliability);
    if (this.regret) this.showRegret(this.regret.points);
  }

  showReliability({ steps, labels, runs, generator, verifier, look }) {
    const colours = palette(this.first.chart);
    const facts = { runs, generator, verifier, look: text.looks[look] || fill(text.ahead, { step: look }) };
    if (!steps.length) return this.first.draw(null, null, fill(text.noReliability, facts));
    const clear = steps.find((at) => at.correlation >= CLEAR);
    const trace = {
      x: steps.map((at) => at.step), y: steps.map((at) => at.correlation), type: "scatter", mode: "lines+markers",
      line: { color: colours.best, width: 2.5 }, marker: { size: 8, color: colours.best },
      error_y: { type: "data", array: steps.map((at) => at.error ?? 0), color: colours.muted, thickness: 1.2, width: 4 },
      customdata: steps.map((at) => [at.label, at.runs, at.pairs]),
      hovertemplate: `%{customdata[0]}: %{y:.2f}<br>${text.hoverRuns}<extra></extra>`,
    };
    const layout = () => layoutOf(this.first.chart, colours,
      { title: { text: text.step, font: { size: 12 } }, range: [0.5, labels.length - 0.5], tickvals: labels.slice(0, -1).map((_, i) => i + 1), ticktext: labels.slice(0, -1) },
      { title: { text: text.correlation, font: { size: 12 } }, range: [-1.05, 1.05], zeroline: true, zerolinecolor: colours.faint });
    const few = runs < FEW ? ` ${text.few}` : "";
    const told = clear ? fill(text.clearFrom, { label: clear.label }) : text.neverClear;
    this.first.draw([trace], layout, `${fill(text.basis, facts)} ${told}${few}`);
  }

  // A point a run: score when pruned against its final score; a thin line leads to the winner it is measured by.
  showRegret(points) {
    const colours = palette(this.second.chart);
    if (!points.length) return this.second.draw(null, null, text.noRegret);
    const group = (loss) => points.filter((point) => point.value > 0 === loss);
    const dots = (found, symbol, color) => ({
      x: found.map((p) => p.score), y: found.map((p) => p.final), type: "scatter", mode: "markers",
      marker: { size: 10, symbol, color, line: { width: 1.5, color: colours.ink } },
      customdata: found.map((p) => [p.run, p.prompt.slice(0, 60).replaceAll("<", "&lt;"), p.node, p.label, p.value > 0 ? `+${number(p.value)}` : number(p.value)]),
      hovertemplate: `%{customdata[1]}<br>${text.hoverRegret}<extra></extra>`,
    });
    const lines = { x: points.flatMap((p) => [p.score, p.score, null]), y: points.flatMap((p) => [p.final, p.winner, null]), type: "scatter", mode: "lines", hoverinfo: "skip", line: { color: colours.faint, width: 1, dash: "dot" } };
    const layout = () => layoutOf(this.second.chart, colours, { title: { text: text.scoreThen, font: { size: 12 } } }, { title: { text: text.scoreFinal, font: { size: 12 } } });
    const losses = group(true).length;
    this.second.draw([lines, dots(group(false), "circle", colours.flow), dots(group(true), "triangle-up", colours.best)], layout,
      fill(text.regretSaid, { count: points.length, right: points.length - losses, wrong: losses }));
    if (this.listening) return;
    this.listening = true;
    this.second.chart.on("plotly_click", ({ points: [point] }) => point.customdata && this.stage.attach({ run: point.customdata[0], ticket: `point ${point.customdata[0]}` }));
  }
}

export function mountInsights(stage) {
  const insights = new Insights(stage);
  stage.slots.dialogs.before(insights.element);
  stage.on("run", () => {
    insights.reliability = null;
    setTimeout(() => insights.load(), AGAIN);
  });
  stage.on("live", (live) => !live && insights.load());
}
