// A way out of the line, for the visitor whose run waits in it.

import { post } from "./api.js";
import { el } from "./dom.js";
import { strings } from "/page/strings.js";

export function mountQueue(stage) {
  const button = el("button", { type: "button", class: "bs-chip bs-leave", text: strings.queue.leave, hidden: true, onclick: () => leave() });
  stage.slots.status.querySelector(".bs-queue").after(button);

  async function leave() {
    button.disabled = true;
    try {
      await post("/data/control", { run: stage.comparison.run, action: "stop" });
      stage.emit("say", strings.queue.left);
    } catch (error) {
      stage.emit("warn", error.message);
    }
    button.disabled = false;
  }

  const show = () => {
    const { comparison } = stage;
    button.hidden = !(comparison && comparison.live && comparison.queue && comparison.own);
  };
  for (const event of ["run", "reply"]) stage.on(event, show);
}
