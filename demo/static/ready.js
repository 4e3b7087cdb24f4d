// Whether a search can begin, and why not yet: no prompt, or models that are still being loaded. The Search button says
// so itself, and enables itself when nothing is missing any more.

import { get } from "./api.js";
import { el, setText } from "./dom.js";
import { strings } from "/page/strings.js";

const PAUSE = 600; // ms between two questions for the models
const LATER = 3000; // ms until the price of a search should be there
const text = strings.ready;
const fill = (sentence, values) => sentence.replace(/\{(\w+)\}/g, (_, name) => values[name]);
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const isEmpty = (prompt) => !/[^\p{C}\p{Z}]/u.test(prompt || ""); // blanks and signs that nobody sees are no prompt

class Readiness {
  constructor(stage, button) {
    Object.assign(this, { stage, button, models: { ready: true } });
    this.fill = el("i");
    this.bar = el("span", { class: "bs-loading-bar", "aria-hidden": "true" }, this.fill);
    this.sentence = el("span");
    this.line = el("p", { class: "bs-why-not", id: "bs-why-not", role: "status" }, [this.bar, this.sentence]);
    document.getElementById("bs-hint").prepend(this.line);
    button.setAttribute("aria-describedby", "bs-why-not");
    const field = document.querySelector("#bs-prompt textarea, #bs-prompt input");
    this.prompt = field ? field.value : "";
    document.addEventListener("beamscope:prompt", ({ detail }) => this.type(detail));
    document.addEventListener("input", ({ target }) => target.closest?.("#bs-prompt") && this.type(target.value), true);
    document.addEventListener("keydown", (event) => this.key(event), true);
    this.show();
    this.follow();
  }

  type(prompt) {
    this.prompt = prompt;
    this.line.classList.remove("bs-urged");
    this.show();
  }

  // What would start a search points at what is missing instead.
  key(event) {
    if (event.key !== "Enter" || !this.button.disabled || !event.target.closest?.("#bs-prompt")) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    this.line.classList.add("bs-urged");
  }

  async follow() {
    let waited = false;
    while (true) {
      this.models = await get("/data/models").catch(() => this.models);
      this.show();
      if (this.models.ready || this.models.problem) break;
      waited = true;
      await wait(PAUSE);
    }
    if (waited) this.stage.trigger("ready", {});
    else this.lookAgain();
  }

  // The price of a search may have been asked for a moment too early.
  async lookAgain() {
    await wait(LATER);
    const estimate = document.querySelector("#bs-estimate");
    if (estimate && estimate.textContent.includes(text.unpriced)) this.stage.trigger("ready", {});
  }

  show() {
    const { ready, problem, loading, done, of, seconds } = this.models;
    const empty = isEmpty(this.prompt);
    const missing = problem || (!ready && (loading ? fill(text.loading, { name: loading, done: done + 1, of, seconds: Math.round(seconds) }) : text.starting));
    this.button.disabled = Boolean(missing) || empty;
    if (missing) this.button.dataset.wait = problem ? text.none : text.wait;
    else delete this.button.dataset.wait;
    setText(this.sentence, missing || (empty ? text.empty : ""));
    this.line.hidden = !missing && !empty;
    this.line.classList.toggle("bs-broken", Boolean(problem));
    this.bar.hidden = !missing || Boolean(problem);
    this.fill.style.width = `${of ? (100 * done) / of : 0}%`;
  }
}

export function mountReady(stage) {
  new Readiness(stage, document.getElementById("bs-search"));
}
