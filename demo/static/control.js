// Pause, step and go on: for the visitor whose run it is, while it runs.

import { post } from "./api.js";
import { el, setText } from "./dom.js";
import { strings } from "/page/strings.js";

const words = strings.control;

export function mountControl(stage) {
  const button = (onclick) => el("button", { type: "button", class: "bs-chip", onclick });
  const pause = button(() => ask(paused() ? "go" : "pause"));
  const step = button(() => ask("step"));
  step.textContent = words.step;
  step.title = words.step_help;
  const host = el("span", { class: "bs-control", role: "group", "aria-label": words.label, hidden: true }, [pause, step]);
  stage.slots.status.querySelector(".bs-bar").after(host);
  let told = null; // what the server said last, until its next frames

  const state = () => told || (stage.comparison && stage.comparison.state);
  const paused = () => ["paused", "stepping"].includes(state());

  async function ask(action) {
    const { run } = stage.comparison;
    for (const one of [pause, step]) one.disabled = true;
    try {
      told = (await post("/data/control", { run, action })).state;
    } catch (error) {
      stage.emit("warn", error.message);
    }
    for (const one of [pause, step]) one.disabled = false;
    show();
  }

  function show() {
    const { comparison } = stage;
    host.hidden = !(comparison && comparison.live && comparison.own && ["running", "paused", "stepping"].includes(state()));
    setText(pause, paused() ? words.go : words.pause);
    pause.title = paused() ? words.go_help : words.pause_help;
  }

  stage.on("reply", () => {
    told = null;
    show();
  });
  stage.on("run", () => {
    told = null;
    show();
  });
  for (const event of ["frame", "live"]) stage.on(event, show);
}
