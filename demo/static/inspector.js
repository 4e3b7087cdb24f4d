// The inspector: everything that is known of the selected node.

import { get } from "./api.js";
import { el, number, setText } from "./dom.js";
import { describe } from "./tree_keys.js";
import { strings } from "/page/strings.js";

const LONG = 14; // pictures of a path: of more the pictures are smaller

function factRows(pairs) {
  return el("dl", { class: "bs-facts" }, pairs.flatMap(([term, value, mark]) => [
    el("dt", { text: term, class: mark ? "bs-guide" : null }), el("dd", { text: value, class: mark ? "bs-guide" : null }),
  ]));
}

class Inspector {
  constructor({ onSelect, onClose }) {
    this.onSelect = onSelect;
    this.heading = el("h2", { tabindex: "-1", text: strings.inspector.title });
    this.close = el("button", { type: "button", class: "bs-close", "aria-label": strings.inspector.close, text: "×", onclick: onClose });
    this.body = el("div", { class: "bs-inspector-body" });
    this.element = el("aside", { class: "bs-inspector", "aria-label": "Inspector" },
      [el("header", {}, [this.heading, this.close]), this.body]);
    this.clear();
  }

  clear() {
    setText(this.heading, strings.inspector.title);
    this.body.replaceChildren(
      el("div", { class: "bs-picture bs-empty", text: strings.inspector.empty }),
      el("p", { class: "bs-muted", text: strings.inspector.hint }));
    this.element.classList.remove("bs-open");
  }

  fail(message) {
    setText(this.heading, strings.inspector.title);
    this.body.replaceChildren(el("p", { class: "bs-error", role: "alert", text: message }));
  }

  show(facts, open) {
    setText(this.heading, facts.title);
    const picture = facts.image
      ? el("img", { class: "bs-picture", src: facts.image, width: 256, height: 256, alt: facts.alt })
      : el("div", { class: "bs-picture bs-empty", text: facts.alt });
    this.body.replaceChildren(
      picture, this.path(facts),
      el("p", { class: `bs-why bs-why-${facts.state}`, text: facts.why }),
      factRows(facts.scores.map((score) => [score.part ? `${score.name} (${score.part})` : score.name, number(score.value), score.part])),
      factRows(facts.answers.map((answer) => [answer.text, `${answer.yes > 0.5 ? "yes" : "no"}, ${answer.by} ${number(answer.yes)}`])),
      factRows(facts.pairs));
    if (open) this.element.classList.add("bs-open");
  }

  path(facts) {
    const long = facts.path.length > LONG ? " bs-long" : "";
    return el("ol", { class: `bs-path${long}`, "aria-label": strings.inspector.path }, facts.path.map((step) => el("li", {}, el("button", {
      type: "button", title: step.label, "aria-label": step.label, "aria-current": step.id === facts.id ? "true" : null,
      onclick: () => this.onSelect(step.id),
    }, step.image ? el("img", { src: step.image, width: 32, height: 32, alt: "" }) : el("span", { text: step.short })))));
  }
}

export function mountInspector(stage) {
  const inspector = new Inspector({ onSelect: (id) => stage.pick(id, stage.lane, true), onClose: () => stage.unpick() });
  stage.slots.inspector.append(inspector.element);
  stage.on("select", async (id, lane, open) => {
    if (id === null) return inspector.clear();
    const shown = stage.comparison.lanes[lane];
    const row = shown.rows.get(id);
    if (row) stage.emit("say", describe(row, shown.head));
    try {
      const facts = await get("/data/inspect", { run: shown.run, node: id });
      if (stage.selected === id && stage.lane === lane) inspector.show(facts, open);
    } catch (error) {
      if (stage.selected === id && stage.lane === lane) inspector.fail(error.message);
    }
  });
}
