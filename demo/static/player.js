// Time: which step of the run is shown. One slider drives trees, pictures, chart and status together.

import { el, gflop, reducedMotion, setText } from "./dom.js";
import { panesOf } from "./family.js";
import { segmented } from "./toolbar.js";
import { strings } from "/page/strings.js";

const REPLAY_SECONDS = 7; // the whole of a run at its usual speed
const FASTEST = 50; // ms between two pictures
const SPEEDS = [0.5, 1, 2];
const THUMB = 16; // px: half of it lies beyond the end of the slider's way
const ROOM = 34; // px that the label of a tick needs
const words = strings.player;

class Player {
  constructor(stage) {
    Object.assign(this, { stage, timer: null, speed: 1, marks: "" });
    const button = (text, label, onclick) => el("button", { type: "button", class: "bs-step", text, title: label, "aria-label": label, disabled: true, onclick });
    this.play = el("button", { type: "button", class: "bs-play", text: words.play, title: words.play_help, disabled: true, onclick: () => this.toggle() });
    this.steps = [button("‹", words.back, () => this.nudge(-1)), button("›", words.forth, () => this.nudge(1))];
    this.slider = el("input", { type: "range", min: "0", max: "0", value: "0", disabled: true, "aria-label": words.slider,
      oninput: () => this.seek(Number(this.slider.value)) });
    this.ticks = el("div", { class: "bs-ticks", "aria-hidden": "true" });
    this.place = el("span", { class: "bs-place" });
    this.live = el("button", { type: "button", class: "bs-chip bs-live", text: words.live, hidden: true, onclick: () => this.seek(Infinity) });
    this.speeds = segmented(words.speed, SPEEDS.map((speed) => [speed, `${speed}×`]), (speed) => this.setSpeed(speed));
    this.speeds.show(this.speed);
    this.element = el("div", { class: "bs-player" }, [this.play, ...this.steps,
      el("div", { class: "bs-track" }, [this.slider, this.ticks]), this.place, this.live, this.speeds.element]);
    new ResizeObserver(() => this.stage.comparison && this.mark(this.stage.comparison)).observe(this.ticks);
  }

  // -- going through time -----------------------------------------------------------------------------------------

  seek(position) {
    if (!this.stage.comparison) return;
    this.pause();
    this.stage.jump(Math.max(0, Math.min(position, this.stage.comparison.length)));
  }

  nudge(by) {
    this.seek(this.stage.position + by);
  }

  toggle() {
    if (!this.stage.comparison) return;
    if (this.timer) return this.pause();
    const { position, length } = this.stage.comparison;
    this.start(position >= length ? 0 : position);
  }

  start(from) {
    this.pause();
    this.stage.playing = true;
    setText(this.play, words.pause);
    this.stage.jump(from);
    const pause = () => Math.min(400, (REPLAY_SECONDS * 1000) / Math.max(1, this.stage.comparison.length)) / this.speed;
    const began = performance.now();
    this.timer = setInterval(() => {
      const { length } = this.stage.comparison;
      const position = Math.min(length, from + Math.ceil((performance.now() - began) / pause()));
      if (position >= length) this.pause();
      this.stage.jump(position);
    }, Math.max(FASTEST, pause()));
  }

  pause() {
    clearInterval(this.timer);
    this.timer = null;
    this.stage.playing = false;
    setText(this.play, words.play);
  }

  setSpeed(speed) {
    this.speed = speed;
    this.speeds.show(speed);
    if (this.timer) this.start(this.stage.position);
  }

  // -- showing ----------------------------------------------------------------------------------------------------

  show(comparison) {
    const { length, position, live } = comparison;
    const facts = comparison.lanes[0].facts;
    const past = (live || comparison.growing) && !this.stage.following && !this.timer;
    this.slider.max = String(length);
    this.slider.value = String(position);
    for (const control of [this.slider, this.play, ...this.steps]) control.disabled = !length;
    const place = `step ${position} of ${length}`;
    setText(this.place, past ? words.past.replace("{step}", position) : place);
    this.live.hidden = !past;
    this.slider.setAttribute("aria-valuetext", facts ? `${place}, ${gflop(facts.gflop)} GFLOP` : place);
    this.mark(comparison);
  }

  // Where the search reaches its next step, by name where there is room.
  mark(comparison) {
    const { length } = comparison;
    const width = this.ticks.clientWidth - THUMB;
    const key = [comparison.run, length, width].join();
    if (key === this.marks || width <= 0) return;
    this.marks = key;
    let free = 0;
    this.ticks.replaceChildren(...firsts(comparison).map(([position, label]) => {
      const x = THUMB / 2 + (width * position) / Math.max(1, length);
      const named = x >= free && x < width + THUMB / 2 - ROOM / 2;
      if (named) free = x + ROOM;
      return el("span", { class: "bs-tick", style: `left: ${x.toFixed(1)}px`, text: named ? label : "" });
    }));
  }
}

// [[position, label]]: how many frames of the comparison it takes until a node of each step of the first tree is there,
// and until each of its branches begins.
export function firsts(comparison) {
  const [{ host, branches }] = panesOf(comparison).filter((pane) => [pane.host, ...pane.branches].includes(0));
  const found = [];
  const taken = comparison.all.map(() => 0);
  let furthest = 0;
  comparison.timeline().forEach((index, position) => {
    const lane = comparison.all[index];
    const frame = lane.frames[taken[index]];
    taken[index] += 1;
    if (branches.includes(index) && taken[index] === 1) found.push([position + 1, lane.branch.name]);
    if (index !== host) return;
    const step = Math.max(0, ...frame.nodes.map((row) => row.x || 0));
    if (step <= furthest) return;
    furthest = step;
    found.push([position + 1, lane.head.steps[step] || ""]);
  });
  return found;
}

const TYPING = "input, textarea, select, [contenteditable=true], [role=listbox], [role=dialog] *";

function onKey(player, event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.target.matches?.(TYPING)) return;
  const onButton = event.target.matches?.("button, a, summary, [role=tab], [role=option]");
  const act = {
    ",": () => player.nudge(-1), ".": () => player.nudge(1), Home: () => player.seek(0), End: () => player.seek(Infinity),
    " ": onButton ? null : () => player.toggle(),
  }[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}

export function mountPlayer(stage) {
  const player = new Player(stage);
  stage.slots.player.append(player.element);
  stage.seek = (position) => player.seek(position);
  stage.play = (from = 0) => player.start(from);
  stage.pause = () => player.pause();
  stage.on("frame", () => player.show(stage.comparison));
  stage.on("run", () => player.pause());
  stage.on("recorded", () => (reducedMotion() ? player.seek(Infinity) : player.start(0)));
  document.addEventListener("keydown", (event) => onKey(player, event));
}
