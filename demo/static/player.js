// Time: which step of the run is shown. One slider drives tree, pictures, chart and status together.

import { el, reducedMotion, setText } from "./dom.js";
import { strings } from "/page/strings.js";

const REPLAY_SECONDS = 7; // the whole of a recorded run

class Player {
  constructor(stage) {
    Object.assign(this, { stage, timer: null });
    this.play = el("button", { type: "button", class: "bs-play", text: strings.player.play, disabled: true, onclick: () => this.toggle() });
    this.slider = el("input", { type: "range", min: "0", max: "0", value: "0", disabled: true, "aria-label": strings.player.slider,
      oninput: () => this.seek(Number(this.slider.value)) });
    this.place = el("span", { class: "bs-place" });
    this.element = el("div", { class: "bs-player" }, [this.play, this.slider, this.place]);
  }

  seek(position) {
    if (!this.stage.comparison) return;
    this.pause();
    this.stage.jump(position);
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
    setText(this.play, strings.player.pause);
    this.stage.jump(from);
    const pause = Math.min(400, (REPLAY_SECONDS * 1000) / Math.max(1, this.stage.comparison.length));
    const began = performance.now();
    this.timer = setInterval(() => {
      const { length } = this.stage.comparison;
      const position = Math.min(length, from + Math.ceil((performance.now() - began) / pause));
      if (position >= length) this.pause();
      this.stage.jump(position);
    }, Math.max(50, pause));
  }

  pause() {
    clearInterval(this.timer);
    this.timer = null;
    this.stage.playing = false;
    setText(this.play, strings.player.play);
  }

  show({ length, position }) {
    this.slider.max = String(length);
    this.slider.value = String(position);
    this.slider.disabled = this.play.disabled = !length;
    setText(this.place, `step ${position} of ${length}`);
  }
}

export function mountPlayer(stage) {
  const player = new Player(stage);
  stage.slots.player.append(player.element);
  stage.seek = (position) => player.seek(position);
  stage.play = (from = 0) => player.start(from);
  stage.pause = () => player.pause();
  stage.on("frame", () => player.show(stage.comparison));
  stage.on("run", () => player.pause());
  stage.on("recorded", () => (reducedMotion() ? player.seek(stage.comparison.length) : player.start(0)));
}
