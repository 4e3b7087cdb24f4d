// The stage: attaches to a run, pulls its frames from the server, and lets a person go through them. One path serves a
// live run, a reload, a second tab and a recorded run: pull what is missing after the last known frame, then show it.

import { drawChart } from "./chart.js";
import { el, gflop, number, reducedMotion, setText } from "./dom.js";
import { Inspector, Pictures, StatusLine } from "./panels.js";
import { Comparison } from "./store.js";
import { describe, TreeView } from "./tree.js";

const REPLAY_SECONDS = 7; // the whole of a recorded run
const SIDE_BY_SIDE = 1200; // px of width, as in page.css
const PAUSE = 70; // ms between two questions: more frames a second would only be drawn over
const EARLY = 0.9; // of the planned compute: what spends less has ended early
const RETRY = 1500; // ms between tries while the server cannot be reached

// Above the stage, and not beside it, open settings would push the tree off the screen.
function foldSettings() {
  const opener = document.querySelector("#bs-panel button.label-wrap.open");
  if (opener) opener.click();
}

function loadPlotly() {
  if (window.Plotly) return Promise.resolve();
  return new Promise((resolve, reject) => {
    document.head.append(el("script", { src: "/page/plotly.min.js", onload: resolve, onerror: reject }));
  });
}

// Both may spend the same; a side that spent clearly less is not called equal.
function fairness({ planned_gflop: planned }, search, baseline) {
  const less = (facts) => facts && facts.state === "done" && facts.gflop < planned * EARLY;
  if (less(search)) return `ended early, after ${gflop(search.gflop)} of ${gflop(planned)} GFLOP`;
  if (less(baseline)) return `at most ${gflop(planned)} GFLOP each, and whole images only`;
  return `equal total FLOPs: ${gflop(planned)} GFLOP each`;
}

class Stage {
  constructor(element, { server, trigger }) {
    Object.assign(this, { server, trigger, comparison: null, ticket: 0, following: true, playing: null, selected: null });
    this.build(element.querySelector(".bs-stage"));
    document.addEventListener("keydown", (event) => this.shortcut(event));
    loadPlotly().then(() => this.show(), () => this.warn("The drawing library did not load: reload the page."));
  }

  build(root) {
    this.status = new StatusLine();
    this.inspector = new Inspector({ onSelect: (id) => this.pick(id, true), onClose: () => this.unpick() });
    this.pictures = new Pictures();
    this.plot = el("div", { class: "bs-plot", tabindex: "0", role: "application",
      "aria-label": "Search tree. Arrow keys move from node to node, Enter opens the inspector." });
    this.card = el("div", { class: "bs-card", hidden: true, "aria-hidden": "true" });
    this.chart = el("div", { class: "bs-chart", role: "img", "aria-label": "Best score so far against total compute" });
    this.spoken = el("div", { class: "bs-hidden", role: "status", "aria-live": "polite" });
    this.heading = el("p", { class: "bs-title", text: "No run yet: type a prompt and press Search." });
    this.notice = el("p", { class: "bs-notice", role: "alert", hidden: true });
    root.replaceChildren(
      this.status.element, this.status.announcer, this.spoken, this.notice,
      el("div", { class: "bs-main" }, [
        el("section", { class: "bs-treepane", "aria-label": "Search tree" },
          [el("div", { class: "bs-toolbar" }, [this.heading, this.player()]),
            el("div", { class: "bs-canvas" }, [this.plot, this.card]), this.legend()]),
        this.inspector.element]),
      this.results());
    this.tree = new TreeView(this.plot, this.card, { onSelect: (id, open) => this.pick(id, open) });
    new ResizeObserver(() => this.draw()).observe(this.chart);
    new MutationObserver(() => this.draw()).observe(document.body, { attributeFilter: ["class"] });
  }

  player() {
    this.play = el("button", { type: "button", class: "bs-play", text: "Replay", disabled: true, onclick: () => this.togglePlay() });
    this.slider = el("input", { type: "range", min: "0", max: "0", value: "0", disabled: true, "aria-label": "Step of the run",
      oninput: () => this.seek(Number(this.slider.value)) });
    this.place = el("span", { class: "bs-place" });
    return el("div", { class: "bs-player" }, [this.play, this.slider, this.place]);
  }

  legend() {
    this.ends = [el("span", { class: "bs-end" }), el("span", { class: "bs-end" })];
    const item = (kind, text) => el("span", { class: "bs-key" }, [el("i", { class: `bs-swatch bs-swatch-${kind}` }), text]);
    return el("div", { class: "bs-legend" }, [
      item("best", "best path"), item("kept", "kept"), item("pruned", "pruned"), this.back = item("back", "back into noise"),
      el("span", { class: "bs-key bs-scale" }, ["score", this.ends[0], el("i", { class: "bs-cividis" }), this.ends[1]]),
      el("span", { class: "bs-key bs-wide", text: "drag to zoom, double-click for all" }),
    ]);
  }

  results() {
    const key = (kind, text) => el("span", { class: "bs-key" }, [el("i", { class: `bs-line bs-line-${kind}` }), text]);
    this.keys = [key("first", "search"), key("second", "beside it")];
    return el("div", { class: "bs-results" }, [
      el("section", { "aria-label": "Any-time chart" }, [el("div", { class: "bs-subtitle" },
        [el("h2", { text: "Score against compute" }), ...this.keys]), this.chart]),
      el("section", { "aria-label": "Best images" }, [el("div", { class: "bs-subtitle" },
        [this.both = el("h2", { text: "Best image of each" }), this.equal = el("span", { class: "bs-muted", text: "equal total FLOPs" })]),
      this.pictures.element]),
    ]);
  }

  // -- which run ------------------------------------------------------------------------------------------------

  attach(value) {
    if (!value || !value.run || value.ticket === this.asked) return;
    this.asked = value.ticket;
    this.stopPlaying();
    this.unpick();
    this.comparison = null;
    this.following = !value.replay;
    this.recorded = Boolean(value.replay);
    if (!value.replay) history.replaceState(null, "", `?run=${encodeURIComponent(value.run)}`);
    this.pull(value.run, (this.ticket += 1));
  }

  async pull(run, ticket) {
    while (ticket === this.ticket) {
      const since = this.comparison ? this.comparison.since() : [];
      let reply;
      try {
        reply = await this.server.frames({ run, since });
      } catch {
        reply = null;
      }
      if (ticket !== this.ticket) return;
      if (!reply) {
        this.warn("Connection lost. Every finished step is kept at the server; trying again …");
        await new Promise((resolve) => setTimeout(resolve, RETRY));
        continue;
      }
      this.warn(reply.error || reply.notice);
      if (reply.error) return this.settle(false);
      this.receive(reply);
      if (!reply.live) return;
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }

  receive(reply) {
    const first = !this.comparison;
    if (first) this.comparison = new Comparison(reply);
    else this.comparison.merge(reply);
    if (this.following) this.comparison.showAll();
    this.settle(reply.live);
    if (first && this.recorded) this.startRecorded();
    this.show();
  }

  // The controls belong to the page around the stage; it is told when a run begins and ends.
  settle(live) {
    if (this.lively === live) return;
    this.lively = live;
    this.trigger("live", { live });
  }

  startRecorded() {
    if (reducedMotion()) this.seek(this.comparison.length);
    else this.startPlaying(0);
  }

  // -- time -----------------------------------------------------------------------------------------------------

  seek(position) {
    if (!this.comparison) return;
    this.stopPlaying();
    this.jump(position);
  }

  jump(position) {
    this.comparison.goto(position);
    this.following = this.comparison.live && position >= this.comparison.length;
    this.show();
  }

  togglePlay() {
    if (!this.comparison) return;
    if (this.playing) return this.stopPlaying();
    const { position, length } = this.comparison;
    this.startPlaying(position >= length ? 0 : position);
  }

  startPlaying(from) {
    this.jump(from);
    const pause = Math.min(400, (REPLAY_SECONDS * 1000) / Math.max(1, this.comparison.length));
    const began = performance.now();
    this.playing = setInterval(() => {
      const position = Math.min(this.comparison.length, from + Math.ceil((performance.now() - began) / pause));
      if (position >= this.comparison.length) this.stopPlaying();
      this.jump(position);
    }, Math.max(50, pause));
    setText(this.play, "Pause");
  }

  stopPlaying() {
    clearInterval(this.playing);
    this.playing = null;
    setText(this.play, "Replay");
  }

  // -- one node -------------------------------------------------------------------------------------------------

  async pick(id, open) {
    if (!this.comparison) return;
    this.selected = id;
    this.tree.select(id);
    const row = this.comparison.lanes[0].rows.get(id);
    if (row) setText(this.spoken, describe(row, this.comparison.head));
    const reply = await this.server.inspect({ run: this.comparison.run, node: id }).catch(() => ({ error: "The server did not answer." }));
    if (this.selected !== id) return;
    if (reply.error) this.inspector.fail(reply.error);
    else this.inspector.show(reply, open);
  }

  unpick() {
    this.selected = null;
    this.inspector.clear();
    this.tree && this.tree.select(null);
  }

  // -- showing --------------------------------------------------------------------------------------------------

  show() {
    if (!this.comparison) return;
    const { comparison } = this;
    this.tree.show(comparison.lanes[0], comparison.head);
    this.status.show(comparison, this.playing ? "replaying" : null);
    this.pictures.show(comparison);
    this.showTitles();
    this.showPlace();
    this.draw();
  }

  showTitles() {
    const { head, lanes } = this.comparison;
    setText(this.heading, `${this.recorded ? "Recorded run" : "Run"}: “${head.prompt}” · ${head.method} · seed ${head.seed}`);
    this.back.hidden = ![...lanes[0].rows.values()].some((row) => this.tree.isBack(row));
    this.heading.title = this.heading.textContent;
    head.span.forEach((end, index) => setText(this.ends[index], number(end, 2)));
    this.keys.forEach((key, index) => {
      key.hidden = !lanes[index];
      if (lanes[index]) key.lastChild.textContent = lanes[index].label;
    });
    setText(this.both, lanes.length < 2 ? "Best image" : "Best image of each");
    this.equal.hidden = lanes.length < 2;
    setText(this.equal, fairness(head, lanes[0].facts, lanes[1]?.facts));
    const message = lanes.map((lane) => lane.facts && lane.facts.message).find(Boolean);
    if (message) this.warn(message);
  }

  showPlace() {
    const { length, position } = this.comparison;
    this.slider.max = String(length);
    this.slider.value = String(position);
    this.slider.disabled = this.play.disabled = !length;
    setText(this.place, `step ${position} of ${length}`);
  }

  draw() {
    if (!this.comparison || this.drawing) return;
    this.drawing = true;
    requestAnimationFrame(() => {
      this.drawing = false;
      drawChart(this.chart, this.comparison);
    });
  }

  warn(message) {
    this.notice.hidden = !message;
    setText(this.notice, message || "");
  }

  // -- keys -----------------------------------------------------------------------------------------------------

  shortcut(event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      document.querySelector("#bs-search").click();
    } else if (event.key === "Escape" && !event.defaultPrevented) {
      document.querySelector("#bs-stop").click();
    }
  }
}

export function mount(element, api) {
  const stage = new Stage(element, api);
  if (innerWidth < SIDE_BY_SIDE) foldSettings();
  api.watch("value", () => stage.attach(api.props.value));
  stage.attach(api.props.value);
}
