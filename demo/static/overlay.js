// Up to four runs over each other: any-time curves in one chart, best images and settings below it.

import { get } from "./api.js";
import { el, gflop, number, palette, setText } from "./dom.js";
import { loadPlotly } from "./plotly.js";
import { strings } from "/page/strings.js";

const text = strings.overlay;
const AXES = { gflop: text.axisGflop, nfe: text.axisNfe, seconds: text.axisSeconds };
const LOOKS = [
  { light: "#b34a00", dark: "#f0904a", symbol: "circle" }, { light: "#00639c", dark: "#56b4e9", symbol: "diamond" },
  { light: "#00705a", dark: "#2fc39d", symbol: "square" }, { light: "#9a3d76", dark: "#e08fc0", symbol: "triangle-up" },
];
const CLOSE = 0.02; // of the range of the scores: what is nearer is called even

const fill = (sentence, values) => sentence.replace(/\{(\w+)\}/g, (_, name) => values[name]);
const isDark = () => document.body.classList.contains("dark");
const letter = (index) => "ABCD"[index];
const amount = (axis, value) => (axis === "gflop" ? `${gflop(value)} GFLOP` : axis === "nfe" ? `${value} NFE` : `${number(value, 1)} s`);

// Names of verifiers that scored every improvement of every run: by these the runs can be compared.
function common(runs) {
  const points = runs.flatMap((run) => run.lanes[0].points);
  const all = points.map((point) => Object.keys(point.scores));
  return all.length ? all[0].filter((name) => all.every((names) => names.includes(name))) : [];
}

class Overlay {
  constructor(root, runs) {
    Object.assign(this, { runs, axis: "gflop", beside: false, names: common(runs) });
    const guides = new Set(runs.map((run) => run.verifier));
    this.guided = guides.size === 1;
    this.by = this.guided && this.names.includes(runs[0].verifier) ? runs[0].verifier : this.names[0];
    this.chart = el("div", { class: "bs-overlay-chart", role: "img", "aria-label": text.chart });
    this.verdict = el("p", { class: "bs-verdict", role: "status" });
    this.notes = el("p", { class: "bs-muted" });
    root.replaceChildren(el("p", {}, el("a", { href: "/gallery", text: `← ${text.back}` })), el("h1", { text: text.heading }),
      this.tools(), el("section", { class: "bs-panel-box" }, [el("h2", { text: text.chart }), this.chart, this.verdict, this.notes]),
      this.pictures(), this.table());
    new ResizeObserver(() => this.show()).observe(this.chart);
    new MutationObserver(() => this.show()).observe(document.body, { attributeFilter: ["class"] });
    loadPlotly().then(() => this.show());
  }

  tools() {
    const axes = Object.keys(AXES).map((name) => el("button", { type: "button", class: "bs-tab", "aria-pressed": String(name === this.axis),
      text: text[name], onclick: (event) => {
        this.axis = name;
        for (const other of event.currentTarget.parentElement.children) other.setAttribute("aria-pressed", String(other === event.currentTarget));
        this.show();
      } }));
    const parts = [el("span", { class: "bs-label", text: text.axis }), el("div", { class: "bs-tabs", role: "group", "aria-label": text.axis }, axes)];
    if (this.names.length > 1) {
      const choice = el("select", { class: "bs-select", "aria-label": text.score, onchange: () => { this.by = choice.value; this.show(); } },
        this.names.map((name) => el("option", { value: name, text: name, selected: name === this.by })));
      parts.push(el("label", { class: "bs-labelled" }, [el("span", { class: "bs-label", text: text.score }), choice]));
    }
    if (this.runs.some((run) => run.lanes.length > 1)) {
      const box = el("input", { type: "checkbox", onchange: () => { this.beside = box.checked; this.show(); } });
      parts.push(el("label", { class: "bs-choice" }, [box, text.beside]));
    }
    return el("div", { class: "bs-tools" }, parts);
  }

  value(point) {
    const value = this.by ? point.scores[this.by] : point.score;
    return value === undefined ? null : value;
  }

  curves() {
    return this.runs.flatMap((run, index) => run.lanes.slice(0, this.beside ? 2 : 1).map((lane, second) => ({
      name: `${letter(index)}${second ? ` · ${lane.generator} beside it` : ""}`, index, second, lane,
      points: lane.points.map((point) => [point[this.axis], this.value(point)]).filter(([, y]) => y !== null),
      end: lane.end[this.axis],
    })));
  }

  trace(curve) {
    const look = LOOKS[curve.index];
    const color = isDark() ? look.dark : look.light;
    const x = curve.points.map(([cost]) => cost);
    const y = curve.points.map(([, score]) => score);
    const marks = x.length;
    if (marks) {
      x.push(curve.end);
      y.push(y.at(-1));
    }
    return { x, y, type: "scatter", mode: "lines+markers", name: curve.name, cliponaxis: false, line: { shape: "hv", color, width: 2.5, dash: curve.second ? "dot" : "solid" },
      marker: { color, symbol: look.symbol, size: x.map((_, i) => (i < marks ? 8 : 0.1)) },
      hovertemplate: "best %{y:.3f} after %{x:.3g}<extra>%{fullData.name}</extra>" };
  }

  // From its end on a run stays what it was: a faint line to the edge, where its letter stands.
  tail(curve, furthest) {
    const color = LOOKS[curve.index][isDark() ? "dark" : "light"];
    const last = curve.points.at(-1)[1];
    return { x: [curve.end, furthest], y: [last, last], type: "scatter", mode: "lines", hoverinfo: "skip", line: { color, width: 1, dash: "dot" } };
  }

  // The letters at the edge, moved apart where they would cover each other.
  letters(curves, [low, high]) {
    const gap = (high - low) * (16 / Math.max(60, this.chart.clientHeight - 60));
    let above = Infinity;
    return [...curves].sort((a, b) => b.points.at(-1)[1] - a.points.at(-1)[1]).map((curve) => {
      const y = Math.min(curve.points.at(-1)[1], above - gap);
      above = y;
      return { xref: "paper", x: 1, xanchor: "left", y, yanchor: "middle", showarrow: false, text: ` <b>${letter(curve.index)}${curve.second ? "′" : ""}</b>`,
        font: { size: 13, color: LOOKS[curve.index][isDark() ? "dark" : "light"] } };
    });
  }

  show() {
    this.judge();
    if (!window.Plotly || !this.chart.clientWidth) return;
    const colours = palette(this.chart);
    const axis = { gridcolor: colours.line, zeroline: false, linecolor: colours.line, tickfont: { size: 12, color: colours.muted }, fixedrange: true, nticks: 7 };
    const curves = this.curves();
    const drawn = curves.filter((curve) => curve.points.length);
    const furthest = Math.max(1e-9, ...curves.map((curve) => curve.end)) * 1.03;
    const span = this.span(drawn);
    const title = this.by ? `best so far by ${this.by}` : "best score so far";
    window.Plotly.react(this.chart, [...drawn.map((curve) => this.tail(curve, furthest)), ...drawn.map((curve) => this.trace(curve))], {
      width: this.chart.clientWidth, height: this.chart.clientHeight, margin: { l: 58, r: 34, t: 10, b: 46 }, showlegend: false, dragmode: false,
      xaxis: { ...axis, range: [0, furthest], title: { text: AXES[this.axis], font: { size: 12 } } },
      annotations: this.letters(drawn, span), yaxis: { ...axis, range: span, title: { text: title, font: { size: 12 } } },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { family: colours.font, size: 12, color: colours.muted },
      hoverlabel: { bgcolor: colours.panel, bordercolor: colours.muted, font: { color: colours.ink } },
    }, { displayModeBar: false });
  }

  span(curves) {
    const scores = curves.flatMap((curve) => curve.points.map(([, score]) => score));
    if (!scores.length) return [0, 1];
    const pad = Math.max(0.05, (Math.max(...scores) - Math.min(...scores)) * 0.12);
    return [Math.min(...scores) - pad, Math.max(...scores) + pad];
  }

  // What the curves say at the largest cost that every run reached, with the caution that it needs.
  judge() {
    const mains = this.runs.map((run, index) => ({ index, lane: run.lanes[0] }));
    const cost = Math.min(...mains.map(({ lane }) => lane.end[this.axis]));
    const at = ({ index, lane }) => {
      const reached = lane.points.filter((point) => point[this.axis] <= cost).at(-1);
      return { name: letter(index), value: reached ? this.value(reached) : null };
    };
    const prompts = new Set(this.runs.map((run) => run.prompt)).size;
    const ranked = mains.map(at).filter(({ value }) => value !== null).sort((a, b) => b.value - a.value);
    setText(this.verdict, prompts > 1 ? this.ends().trim() : this.sentence(ranked, amount(this.axis, cost)));
    const notes = [prompts > 1 ? text.prompts : null,
      this.guided ? null : fill(text.guides, { name: this.by })];
    setText(this.notes, notes.filter(Boolean).join(" "));
  }

  sentence([first, second], cost) {
    const name = this.by || text.score;
    if (!first) return "";
    if (!second) return fill(text.alone, { cost, name, first: first.name, value: number(first.value, 2) }) + this.ends();
    const values = this.runs.flatMap((run) => run.lanes[0].points).map((point) => this.value(point)).filter((value) => value !== null);
    const range = Math.max(...values) - Math.min(...values);
    if (first.value - second.value <= CLOSE * range) return fill(text.even, { cost, name, gap: number(Math.max(0.01, first.value - second.value), 2) });
    return fill(text.leads, { cost, name, first: first.name, value: number(first.value, 2), second: second.name, other: number(second.value, 2) });
  }

  // What every run came to, each at its own cost.
  ends() {
    if (this.runs.length < 2) return "";
    const told = this.runs.map((run, index) => {
      const best = run.lanes[0].points.at(-1);
      const value = best ? this.value(best) : null;
      return `${letter(index)} ${value === null ? text.unscored : `${number(value, 2)} ${fill(text.after, { cost: amount(this.axis, run.lanes[0].end[this.axis]) })}`}`;
    });
    return ` ${fill(text.ends, { told: told.join(", ") })}`;
  }

  pictures() {
    return el("ul", { class: "bs-versus" }, this.runs.map((run, index) => el("li", { class: `bs-run bs-look-${index}` }, [
      el("a", { class: "bs-shots", href: `/?run=${run.run}` }, run.best
        ? el("img", { src: run.best.image, width: 220, height: 220, alt: `${text.best} of ${letter(index)}, “${run.prompt}”, score ${number(run.best.score)}` })
        : el("span", { class: "bs-empty", text: strings.gallery.noImage })),
      el("div", { class: "bs-run-words" }, [el("h2", {}, [el("strong", { class: "bs-letter", text: letter(index) }), ` ${run.prompt}`]),
        el("p", { class: "bs-run-score", text: run.best ? `${run.verifier} ${number(run.best.score, 3)}` : "–" }),
        el("p", { class: "bs-muted", text: `${run.strategy} · ${fill(text.after, { cost: amount("gflop", run.gflop) })}` })]),
    ])));
  }

  table() {
    const settings = this.runs.map((run) => ({ [text.prompt]: run.prompt, ...run.settings }));
    const rows = [...new Set(settings.flatMap(Object.keys))].map((name) => {
      const values = settings.map((one) => one[name] ?? "–");
      return [name, values, new Set(values).size > 1];
    });
    const head = el("tr", {}, [el("th", { scope: "col", text: text.setting }), ...this.runs.map((_, index) => el("th", { scope: "col", text: letter(index) }))]);
    const body = rows.map(([name, values, differs]) => el("tr", { class: differs ? "bs-differs" : null },
      [el("th", { scope: "row", text: name }), ...values.map((value) => el("td", { text: value }))]));
    return el("section", { class: "bs-panel-box" }, [el("h2", { text: text.settings }),
      el("p", { class: "bs-muted", text: rows.some(([, , differs]) => differs) ? text.differ : text.same }),
      el("div", { class: "bs-scroll", tabindex: "0", role: "region", "aria-label": text.setting }, el("table", { class: "bs-table" }, [el("thead", {}, head), el("tbody", {}, body)]))]);
  }
}

async function start(root) {
  const asked = new URLSearchParams(location.search).get("runs") || "";
  const heading = [el("h1", { text: text.heading })];
  const way = el("p", {}, el("a", { href: "/gallery", text: text.back }));
  if (!asked) return root.replaceChildren(...heading, el("p", { class: "bs-intro", text: text.none }), way);
  try {
    const { runs } = await get("/data/compare", { runs: asked });
    new Overlay(root, runs);
  } catch (error) {
    root.replaceChildren(...heading, el("p", { class: "bs-notice", role: "alert", text: error.message }), way);
  }
}

start(document.getElementById("bs-root"));
