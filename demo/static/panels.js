// Everything around the tree: status line, inspector, the two pictures. Each panel is built once at its final size and
// then only filled, so nothing on the page moves while a run goes on.

import { el, gflop, imageUrl, number, plural, setText } from "./dom.js";

const LONG = 14; // pictures of a path: of more the pictures are smaller
const STATES = {
  waiting: "waiting", running: "searching", done: "done", budget: "done, budget used", cancelled: "stopped",
  failed: "failed", interrupted: "interrupted", idle: "no run yet",
};

export class StatusLine {
  constructor() {
    this.state = el("strong", { class: "bs-state", text: "no run yet" });
    this.fill = el("span", { class: "bs-bar-fill" });
    this.bar = el("span", { class: "bs-bar", "aria-hidden": "true" }, this.fill);
    this.facts = ["compute", "seconds", "nodes", "best", "queue", "origin"].map((name) => [name, el("span", { class: `bs-fact bs-${name}` })]);
    const parts = Object.fromEntries(this.facts);
    this.parts = parts;
    this.element = el("div", { class: "bs-status" },
      [this.state, this.bar, parts.compute, parts.seconds, parts.nodes, parts.best, parts.queue, parts.origin]);
    this.announcer = el("div", { class: "bs-hidden", role: "status", "aria-live": "polite" });
    this.lastSaid = 0;
  }

  show(comparison, note) {
    const [lane] = comparison.lanes;
    const facts = lane.facts;
    const state = note || this.stateOf(comparison, lane);
    const planned = comparison.head.planned_gflop;
    const spent = facts ? facts.gflop : 0;
    setText(this.state, state);
    this.element.dataset.state = facts ? facts.state : "waiting";
    this.fill.style.width = `${planned ? Math.min(100, (100 * spent) / planned) : 0}%`;
    setText(this.parts.compute, `${gflop(spent)} of ${gflop(planned)} GFLOP`);
    setText(this.parts.seconds, `${number(facts ? facts.seconds : 0, 1)} s`);
    setText(this.parts.nodes, facts ? `${plural(facts.nodes_total, "node")}: ${facts.kept} kept, ${facts.pruned} pruned` : "0 nodes");
    setText(this.parts.best, facts && facts.best ? `best ${number(facts.best.score)}` : "no finished image yet");
    setText(this.parts.queue, comparison.queue ? `${plural(comparison.queue, "search").replace("searchs", "searches")} ahead` : "");
    this.tellOrigin(comparison.head.origin);
    this.say(facts, state);
  }

  // Where a resumed run comes from, with the way back to it.
  tellOrigin(origin) {
    const key = JSON.stringify(origin);
    if (key === this.origin) return;
    this.origin = key;
    const { origin: place } = this.parts;
    place.replaceChildren(...(origin ? [
      `from node ${origin.node} of `,
      el("a", { href: `?run=${encodeURIComponent(origin.run)}`, title: origin.run, text: "an earlier run" }),
      origin.regret ? `: ${origin.regret}` : "",
    ] : []));
  }

  stateOf({ live, queue }, { facts, shown, frames }) {
    if (!facts) return queue ? "waiting" : "starting";
    const newest = shown === frames.length;
    if (!live && newest && facts.state === "running") return "interrupted";
    if (live && newest && facts.state === "done") return "done, diffusion goes on";
    return STATES[facts.state];
  }

  // At most one progress sentence in five seconds, and always one at the end.
  say(facts, state) {
    const over = facts && !["waiting", "running"].includes(facts.state);
    const now = Date.now();
    if (!facts || (!over && now - this.lastSaid < 5000)) return;
    this.lastSaid = now;
    const best = facts.best ? `, best score ${number(facts.best.score)}` : "";
    setText(this.announcer, `Search ${state}: ${gflop(facts.gflop)} GFLOP, ${facts.nodes_total} nodes${best}.`);
  }
}

function factRows(pairs) {
  return el("dl", { class: "bs-facts" }, pairs.flatMap(([term, value, mark]) => [
    el("dt", { text: term, class: mark ? "bs-guide" : null }), el("dd", { text: value, class: mark ? "bs-guide" : null }),
  ]));
}

export class Inspector {
  constructor({ onSelect, onClose }) {
    this.onSelect = onSelect;
    this.heading = el("h2", { tabindex: "-1", text: "Node" });
    this.close = el("button", { type: "button", class: "bs-close", "aria-label": "Close the inspector", text: "×", onclick: onClose });
    this.body = el("div", { class: "bs-inspector-body" });
    this.element = el("aside", { class: "bs-inspector", "aria-label": "Inspector" },
      [el("header", {}, [this.heading, this.close]), this.body]);
    this.clear();
  }

  clear() {
    setText(this.heading, "Node inspector");
    this.body.replaceChildren(
      el("div", { class: "bs-picture bs-empty", text: "Click any node, even a faded one" }),
      el("p", { class: "bs-muted", text: "Or give the tree the focus and use the arrow keys. You will see the picture at that step, "
        + "what every verifier says of it, what it cost and why it was kept or pruned." }));
    this.element.classList.remove("bs-open");
  }

  fail(message) {
    setText(this.heading, "Node inspector");
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
    return el("ol", { class: `bs-path${long}`, "aria-label": "Path from the prompt" }, facts.path.map((step) => el("li", {}, el("button", {
      type: "button", title: step.label, "aria-label": step.label, "aria-current": step.id === facts.id ? "true" : null,
      onclick: () => this.onSelect(step.id),
    }, step.image ? el("img", { src: step.image, width: 32, height: 32, alt: "" }) : el("span", { text: step.short })))));
  }
}

function pictureOf(lane) {
  const best = lane.facts && lane.facts.best;
  return best ? { url: imageUrl(lane.run, best.node, best.image), best } : null;
}

function scoresOf(best, head) {
  const judged = best.judged === null ? "" : `${head.judge} ${number(best.judged)} · `;
  return `${judged}${head.verifier} ${number(best.score)}`;
}

export class Pictures {
  constructor() {
    this.figures = [this.figure("bs-first"), this.figure("bs-second")];
    this.element = el("div", { class: "bs-pictures" }, this.figures.map((figure) => figure.element));
  }

  figure(kind) {
    const image = el("img", { width: 190, height: 190, alt: "", hidden: true });
    const empty = el("div", { class: "bs-empty", text: "no finished image yet" });
    const [title, score, cost] = [el("strong"), el("span"), el("span")];
    const element = el("figure", { class: `bs-figure ${kind}` },
      [el("div", { class: "bs-frame" }, [image, empty]), el("figcaption", {}, [title, score, cost])]);
    return { element, image, empty, title, score, cost };
  }

  show(comparison) {
    this.figures.forEach((figure, index) => {
      const lane = comparison.lanes[index];
      figure.element.classList.toggle("bs-absent", !lane);
      if (lane) this.fill(figure, lane, comparison.head);
    });
  }

  fill(figure, lane, head) {
    const found = pictureOf(lane);
    setText(figure.title, lane.label);
    setText(figure.score, found ? scoresOf(found.best, head) : "–");
    setText(figure.cost, `${gflop(lane.facts ? lane.facts.gflop : 0)} GFLOP spent`);
    figure.image.hidden = !found;
    figure.empty.hidden = Boolean(found);
    if (!found || figure.image.getAttribute("src") === found.url) return;
    figure.image.src = found.url;
    figure.image.alt = `Best image of ${lane.label} for "${head.prompt}", score ${number(found.best.score)}`;
  }
}
