// The file that replays a run: trees, results, chart and a scrubber, from the data inside it. It has no server and
// asks for nothing. demo/replay_page.py puts it together.

import { el, gflop, number, reducedMotion, setText } from "./dom.js";
import { ReplayTree } from "./replay_tree.js";
import { Comparison } from "./store.js";

const SECONDS = 8; // of the whole replay at speed 1
const CHART = { width: 460, height: 190, left: 48, right: 52, top: 12, bottom: 34 };

class Replay {
  constructor(root, { reply, lanes, strings }) {
    Object.assign(this, { texts: strings, stored: lanes, comparison: new Comparison(reply), timer: null, speed: 1, selected: null });
    this.trees = this.comparison.lanes.map((lane, index) => new ReplayTree(lane, lanes[index].thumbs, lane.label, (id) => this.select(index, id)));
    this.build(root);
    document.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(root);
    this.jump(this.comparison.length);
    if (!reducedMotion()) this.play(0);
  }

  build(root) {
    const { head, lanes } = this.comparison;
    this.status = el("p", { class: "status", role: "status" });
    this.detail = el("aside", { class: "panel detail", "aria-label": this.texts.node }, el("p", { class: "muted", text: this.texts.hint }));
    this.figures = lanes.map((lane, index) => this.figure(lane, index));
    this.chart = el("div", { class: "chart" });
    root.replaceChildren(
      el("header", {}, [el("p", { class: "brand", text: this.texts.brand }), el("h1", { text: `“${head.prompt}”` }),
        el("p", { class: "muted", text: `${head.method} · seed ${head.seed} · ${head.verifier}` })]),
      el("section", { class: "panel player", "aria-label": this.texts.player }, [...this.player(), this.status]),
      el("div", { class: "split" }, [
        el("div", { class: "trees" }, this.trees.map((tree, index) => el("section", { class: "panel" }, [this.heading(lanes[index], index), tree.element]))),
        el("div", { class: "side" }, [
          el("section", { class: "panel", "aria-label": this.texts.results }, [el("h2", { text: this.texts.results }), el("div", { class: "figures" }, this.figures.map((figure) => figure.element))]),
          el("section", { class: "panel", "aria-label": this.texts.chart }, [el("h2", { text: this.texts.chart }), this.chart]),
          this.detail])]),
      el("footer", { class: "muted", text: this.texts.footer }));
  }

  heading(lane, index) {
    return el("h2", {}, [el("i", { class: `line line-${index}` }), lane.label]);
  }

  player() {
    this.button = el("button", { type: "button", class: "play", onclick: () => this.toggle() });
    this.slider = el("input", { type: "range", min: "0", max: String(this.comparison.length), "aria-label": this.texts.slider,
      oninput: () => (this.pause(), this.jump(Number(this.slider.value))) });
    this.place = el("span", { class: "place" });
    const speeds = [0.5, 1, 2].map((speed) => el("button", { type: "button", class: "speed", "aria-pressed": String(speed === 1), text: `${speed}×`,
      onclick: (event) => this.pace(speed, event.currentTarget) }));
    this.speeds = speeds;
    return [this.button, this.slider, this.place, ...speeds];
  }

  figure(lane, index) {
    const [image, score] = [el("img", { alt: "", hidden: true }), el("span", {})];
    const empty = el("span", { class: "empty", text: this.texts.empty });
    const caption = el("figcaption", {}, [el("strong", { text: lane.label }), score]);
    return { element: el("figure", { class: `lane-${index}` }, [el("div", { class: "frame" }, [image, empty]), caption]), image, empty, score };
  }

  // -- time -------------------------------------------------------------------------------------------------------

  jump(position) {
    this.comparison.goto(position);
    this.draw();
  }

  toggle() {
    if (this.timer) return this.pause();
    const { position, length } = this.comparison;
    this.play(position >= length ? 0 : position);
  }

  play(from) {
    this.pause();
    const { length } = this.comparison;
    const began = performance.now();
    const each = (SECONDS * 1000) / Math.max(1, length) / this.speed;
    this.timer = setInterval(() => {
      const position = Math.min(length, from + Math.ceil((performance.now() - began) / each));
      if (position >= length) this.pause();
      this.jump(position);
    }, Math.max(50, each));
    this.jump(from);
  }

  pause() {
    clearInterval(this.timer);
    this.timer = null;
    setText(this.button, this.texts.play);
  }

  pace(speed, pressed) {
    this.speed = speed;
    this.speeds.forEach((button) => button.setAttribute("aria-pressed", String(button === pressed)));
    if (this.timer) this.play(this.comparison.position);
  }

  key(event) {
    if (event.target.closest("button, input") && event.key === " ") return;
    const { position, length } = this.comparison;
    const to = { ",": position - 1, ".": position + 1, Home: 0, End: length }[event.key];
    if (event.key === " ") this.toggle();
    else if (to === undefined || (event.target === this.slider && to !== position - 1 && to !== position + 1)) return;
    else {
      this.pause();
      this.jump(Math.max(0, Math.min(length, to)));
    }
    event.preventDefault();
  }

  // -- showing ----------------------------------------------------------------------------------------------------

  draw() {
    const { comparison } = this;
    this.slider.value = String(comparison.position);
    setText(this.button, this.timer ? this.texts.pause : this.texts.play);
    setText(this.place, `${comparison.position} / ${comparison.length}`);
    this.trees.forEach((tree) => tree.draw());
    this.figures.forEach((figure, index) => this.fill(figure, comparison.lanes[index], this.stored[index]));
    this.drawChart();
    const [{ facts }] = comparison.lanes;
    setText(this.status, facts ? `${gflop(facts.gflop)} GFLOP · ${facts.nodes_total} nodes: ${facts.kept} kept, ${facts.pruned} pruned` : this.texts.begin);
  }

  fill(figure, lane, stored) {
    const best = lane.facts && lane.facts.best;
    const source = best && (stored.large[best.node] || stored.thumbs[best.node]);
    figure.image.hidden = !source;
    figure.empty.hidden = Boolean(source);
    setText(figure.score, best ? `${this.comparison.head.verifier} ${number(best.score)} · ${gflop(lane.facts.gflop)} GFLOP` : "–");
    if (!source || figure.image.getAttribute("src") === source) return;
    figure.image.src = source;
    figure.image.alt = `${lane.label}, score ${number(best.score)}`;
  }

  select(index, id) {
    this.trees.forEach((tree, other) => (tree.selected = other === index ? id : null));
    this.trees.forEach((tree) => tree.draw());
    const lane = this.comparison.lanes[index];
    const row = lane.rows.get(id);
    const { large, thumbs, why } = this.stored[index];
    const source = row.image && (large[id] || thumbs[id]);
    const score = row.score === null ? this.texts.unscored : `score ${number(row.score)}`;
    const rank = row.rank === null ? "" : ` · rank ${row.rank + 1} of ${row.of}`;
    this.detail.classList.add("open");
    this.detail.replaceChildren(
      el("header", {}, el("button", { type: "button", text: this.texts.close, onclick: () => this.detail.classList.remove("open") })),
      el("h2", { text: row.parent === null ? lane.head.steps[row.x] : `Node ${id} · ${lane.head.steps[row.x]}` }),
      source ? el("img", { src: source, alt: `Node ${id}, ${score}, ${row.state}` }) : "",
      el("p", { text: `${score}${rank} · ${row.state}` }), el("p", { class: "muted", text: why[id] || "" }));
  }

  // Best score so far against total compute, one step line a lane.
  drawChart() {
    const c = CHART;
    const { lanes, head } = this.comparison;
    const peaks = lanes.flatMap((lane) => lane.frames.filter((frame) => frame.best).map((frame) => frame.best.peak));
    const [low, high] = peaks.length ? [Math.min(...peaks), Math.max(...peaks)] : head.span;
    const pad = Math.max((high - low) * 0.2, (head.span[1] - head.span[0]) * 0.04, 1e-6);
    const most = Math.max(1e-9, head.planned_gflop || 0, ...lanes.map((lane) => (lane.frames.length ? lane.frames.at(-1).gflop : 0)));
    const x = (value) => c.left + ((c.width - c.left - c.right) * value) / most;
    const y = (value) => c.top + ((c.height - c.top - c.bottom) * (high + pad - value)) / (high - low + 2 * pad);
    const text = (at, words, more = {}) => shape("text", { ...at, ...more }, [words]);
    const shapes = [shape("path", { d: `M${c.left},${c.top} V${c.height - c.bottom} H${c.width - c.right}`, class: "axis" }),
      text({ x: c.left - 6, y: y(high) + 4 }, number(high, 2), { "text-anchor": "end" }),
      ...(y(low) - y(high) > 14 ? [text({ x: c.left - 6, y: y(low) + 4 }, number(low, 2), { "text-anchor": "end" })] : []),
      text({ x: c.width - c.right, y: c.height - 8 }, `${gflop(most)} GFLOP`, { "text-anchor": "end" }), text({ x: c.left, y: c.height - 8 }, "0")];
    lanes.forEach((lane, index) => {
      if (!lane.curve.length) return;
      const now = lane.facts.gflop;
      const points = lane.curve.map((point, i) => `${i ? `H${x(point.gflop)} V` : `M${x(point.gflop)},`}${y(point.score)}`);
      shapes.push(shape("path", { d: `${points.join(" ")} H${x(now)}`, class: `curve curve-${index}` }),
        ...lane.curve.map((point) => shape("circle", { cx: x(point.gflop), cy: y(point.score), r: 3, class: `dot dot-${index}` })),
        text({ x: x(now) + 5, y: y(lane.curve.at(-1).score) + (index ? 14 : -2) }, number(lane.curve.at(-1).score, 3), { class: `value-${index}` }));
    });
    this.chart.replaceChildren(shape("svg", { viewBox: `0 0 ${c.width} ${c.height}`, role: "img", "aria-label": this.texts.chart }, shapes));
  }
}

const inside = document.getElementById("run");
if (inside) new Replay(document.getElementById("replay"), JSON.parse(inside.textContent));
