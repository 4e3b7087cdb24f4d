// Once more and smaller, where memory was too small for a run.

import { post } from "./api.js";
import { el, setText } from "./dom.js";

export function mountRetry(stage) {
  const button = el("button", { type: "button", class: "bs-button bs-primary", hidden: true, onclick: () => begin() });
  stage.slots.status.querySelector(".bs-warning").append(button);

  async function begin() {
    const { run: short } = stage.comparison;
    button.disabled = true;
    try {
      const { run } = await post("/data/retry", { run: short });
      stage.attach({ run, ticket: `retried ${run}` });
    } catch (error) {
      stage.emit("warn", error.message);
    }
    button.disabled = false;
  }

  function show() {
    const { comparison } = stage;
    const offer = comparison && !comparison.live && comparison.retry;
    button.hidden = !offer;
    setText(button, offer || "");
  }

  for (const event of ["run", "reply"]) stage.on(event, show);
}
