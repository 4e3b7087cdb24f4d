// The dialog that goes on from a node: by which strategy, with how much compute; says first what that will cost.

import { get, post } from "./api.js";
import { el, gflop, number, setText } from "./dom.js";
import { strings } from "/page/strings.js";

const text = strings.resume;
const PAUSE = 250; // ms after the last change before the price is asked for
const fill = (sentence, values) => sentence.replace(/\{(\w+)\}/g, (_, name) => values[name]);

export class ResumeDialog {
  constructor(stage) {
    this.stage = stage;
    this.heading = el("h2", { id: "bs-resume-title" });
    this.image = el("img", { class: "bs-resume-image", width: 96, height: 96, alt: "" });
    this.about = el("p", { class: "bs-muted" });
    this.strategy = el("select", { class: "bs-select", id: "bs-resume-strategy", onchange: () => this.later() });
    this.budget = el("input", { class: "bs-select", id: "bs-resume-budget", type: "number", min: "0", step: "any", inputmode: "decimal", oninput: () => this.later() });
    this.price = el("p", { class: "bs-price", role: "status" });
    this.start = el("button", { type: "button", class: "bs-action bs-primary", text: text.start, disabled: true, onclick: () => this.begin() });
    const field = (label, control, help) => el("div", { class: "bs-field" }, [el("label", { for: control.id, text: label }), control, help ? el("span", { class: "bs-muted", text: help }) : ""]);
    this.dialog = el("dialog", { class: "bs-dialog", "aria-labelledby": "bs-resume-title" }, [
      el("form", { method: "dialog", class: "bs-dialog-close" }, el("button", { class: "bs-icon", "aria-label": text.close, text: "×" })),
      this.heading, el("div", { class: "bs-resume-node" }, [this.image, this.about]),
      field(text.strategy, this.strategy), field(text.budget, this.budget, text.budgetHelp),
      this.price,
      el("div", { class: "bs-dialog-buttons" }, [el("button", { type: "button", class: "bs-action", text: text.cancel, onclick: () => this.dialog.close() }), this.start])]);
    this.dialog.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.target === this.budget && !this.start.disabled) this.begin();
    });
    stage.slots.dialogs.append(this.dialog);
  }

  open(facts) {
    this.facts = facts;
    setText(this.heading, fill(text.title, { node: facts.id, label: facts.label }));
    this.image.hidden = !facts.image;
    if (facts.image) this.image.src = facts.image;
    setText(this.about, facts.state === "pruned" ? text.aboutPruned : text.about);
    this.strategy.replaceChildren();
    this.budget.value = "";
    this.dialog.showModal();
    this.ask();
  }

  later() {
    clearTimeout(this.timer);
    this.start.disabled = true;
    this.timer = setTimeout(() => this.ask(), PAUSE);
  }

  request() {
    return { run: this.facts.run, node: this.facts.id, strategy: this.strategy.value || null, budget: this.budget.value === "" ? null : Number(this.budget.value) };
  }

  async ask() {
    const ticket = (this.ticket = (this.ticket || 0) + 1);
    this.start.disabled = true;
    setText(this.price, text.pricing);
    this.price.classList.remove("bs-error");
    try {
      const offer = await get("/data/resume", this.request());
      if (ticket === this.ticket) this.show(offer);
    } catch (error) {
      if (ticket === this.ticket) this.refuse(error.message);
    }
  }

  show(offer) {
    if (!this.strategy.options.length) {
      this.strategy.replaceChildren(...offer.strategies.map(({ name, label }) => el("option", { value: name, text: label, selected: name === offer.strategy })));
    }
    if (this.budget.value === "") {
      this.budget.value = String(offer.budget);
      if (document.activeElement === this.budget) this.budget.select(); // what is typed next replaces it
    }
    this.budget.max = String(offer.most);
    const sizes = Object.entries(offer.params).map(([name, value]) => `${name} ${value === null ? text.off : value}`).join(", ");
    const winner = offer.winner === null ? "" : ` ${fill(text.winner, { verifier: offer.verifier, score: number(offer.winner) })}`;
    const seconds = offer.seconds >= 0.5 ? fill(text.seconds, { seconds: Math.ceil(offer.seconds) }) : "";
    setText(this.price, `${fill(text.price, { sizes, gflop: gflop(offer.gflop), way: gflop(offer.way_gflop), seconds })}${winner}`);
    this.start.disabled = false;
  }

  refuse(sentence) {
    setText(this.price, sentence);
    this.price.classList.add("bs-error");
  }

  async begin() {
    this.start.disabled = true;
    try {
      const { run } = await post("/data/resume", this.request());
      this.dialog.close();
      this.stage.attach({ run, ticket: `resumed ${run}` });
    } catch (error) {
      this.refuse(error.message);
      this.start.disabled = false;
    }
  }
}
