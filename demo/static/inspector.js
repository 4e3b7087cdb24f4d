// The inspector: everything that is known of the selected node, and what can be done with it.

import { mountActions } from "./actions.js";
import { get, post } from "./api.js";
import { el, setText } from "./dom.js";
import { answers, factRows, marginBar, scoreRows } from "./facts.js";
import { Picture } from "./picture.js";
import { describe } from "./tree_keys.js";
import { strings } from "/page/strings.js";

const text = strings.inspector;
const LONG = 14; // pictures of a path: of more the pictures are smaller
const REFRESH = 250; // ms after a node has changed before it is asked for again

class Inspector {
  constructor(stage) {
    this.stage = stage;
    this.heading = el("h2", { tabindex: "-1", text: text.title });
    this.close = el("button", { type: "button", class: "bs-close", "aria-label": text.close, text: "×", onclick: () => stage.unpick() });
    this.body = el("div", { class: "bs-inspector-body", tabindex: "0", role: "group", "aria-label": text.facts });
    this.picture = new Picture(stage.slots.dialogs, (asked) => this.decode(asked));
    this.actions = mountActions(stage);
    this.element = el("aside", { class: "bs-inspector", "aria-label": text.title, onkeydown: (event) => this.onKey(event) },
      [el("header", {}, [this.heading, this.close]), this.body]);
    this.clear();
  }

  // On a phone the inspector lies over the page: Escape closes it and nothing else.
  onKey(event) {
    if (event.key !== "Escape" || !this.element.classList.contains("bs-open")) return;
    event.preventDefault();
    event.stopPropagation();
    this.stage.unpick();
  }

  async decode(asked) {
    await post("/data/decode", asked);
    this.stage.refresh();
    await this.stage.inspectAgain();
  }

  clear() {
    setText(this.heading, text.title);
    this.body.replaceChildren(el("div", { class: "bs-picture bs-empty", text: text.empty }), el("p", { class: "bs-muted", text: text.hint }));
    this.element.classList.remove("bs-open");
  }

  fail(message) {
    setText(this.heading, text.title);
    this.body.replaceChildren(el("p", { class: "bs-error", role: "alert", text: message }));
  }

  show(facts, open) {
    const kept = this.facts && this.facts.id === facts.id && this.facts.run === facts.run ? this.body.scrollTop : 0;
    this.facts = facts;
    const branch = this.stage.comparison.all.find((lane) => lane.run === facts.run)?.branch;
    setText(this.heading, branch ? `${branch.name} · ${facts.title}` : facts.title);
    this.body.replaceChildren(...[
      this.picture.show(facts), this.path(facts),
      el("p", { class: `bs-why bs-why-${facts.state}`, text: facts.why }),
      facts.otherwise && el("p", { class: "bs-muted", text: facts.otherwise }),
      facts.margin && marginBar(facts.margin),
      this.actions.show(facts),
      facts.scores.length ? scoreRows(facts.scores) : null,
      facts.answers.length ? answers(facts.answers) : null,
      factRows(facts.pairs)].filter(Boolean));
    this.body.scrollTop = kept;
    if (open) this.element.classList.add("bs-open");
  }

  // A step of the path may belong to the run that this one goes on from.
  pick({ id, run }) {
    const lane = this.stage.comparison.all.findIndex((one) => one.run === run);
    if (lane >= 0) this.stage.pick(id, lane, true);
  }

  path(facts) {
    const long = facts.path.length > LONG ? " bs-long" : "";
    return el("ol", { class: `bs-path${long}`, "aria-label": text.path }, facts.path.map((step) => el("li", {}, el("button", {
      type: "button", title: step.label, "aria-label": step.label, "aria-current": step.id === facts.id && step.run === facts.run ? "true" : null,
      onclick: () => this.pick(step),
    }, step.image ? el("img", { src: step.image, width: 32, height: 32, alt: "" }) : el("span", { text: step.short })))));
  }
}

export function mountInspector(stage) {
  const inspector = new Inspector(stage);
  let seen = null; // the row of the selected node when it was last asked for
  let timer = null;
  stage.slots.inspector.append(inspector.element);

  async function ask(id, lane, open) {
    const shown = stage.comparison.all[lane];
    seen = shown.rows.get(id);
    try {
      const facts = await get("/data/inspect", { run: shown.run, node: id });
      if (stage.selected === id && stage.lane === lane) inspector.show(facts, open);
    } catch (error) {
      if (stage.selected === id && stage.lane === lane) inspector.fail(error.message);
    }
  }

  // What is known of a node grows while the run goes on.
  function refresh() {
    const { selected, lane, comparison } = stage;
    if (selected === null || !comparison.all[lane] || comparison.all[lane].rows.get(selected) === seen) return;
    clearTimeout(timer);
    timer = setTimeout(() => stage.selected === selected && stage.lane === lane && ask(selected, lane, false), REFRESH);
  }

  for (const event of ["pinned", "focus"]) stage.on(event, () => inspector.facts && stage.selected !== null && inspector.show(inspector.facts, false));
  stage.inspectAgain = () => stage.selected !== null && ask(stage.selected, stage.lane, false);
  stage.on("frame", () => stage.following && refresh());
  stage.on("live", () => stage.comparison && stage.inspectAgain());
  stage.on("select", (id, lane, open) => {
    clearTimeout(timer);
    if (id === null) return inspector.clear();
    const { rows, head, branch } = stage.comparison.all[lane];
    if (rows.get(id)) stage.emit("say", `${branch ? `${branch.name}, ` : ""}${describe(rows.get(id), head)}`);
    ask(id, lane, open);
  });
}
