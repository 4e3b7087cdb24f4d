// About: models and their cards, what a FLOP count includes, words, licences, where runs are kept.

import { get } from "./api.js";
import { el } from "./dom.js";
import { strings } from "/page/strings.js";

const text = strings.about;
const SECTIONS = ["models", "weights", "flops", "definitions", "licences", "data"];
const fill = (sentence, values) => sentence.replace(/\{(\w+)\}/g, (_, name) => values[name]);
const count = (value) => (value === null ? "–" : value >= 1e6 ? `${(value / 1e6).toFixed(1)} million` : value.toLocaleString("en"));

function section(name, children) {
  return el("section", { class: "bs-panel-box", id: name }, [el("h2", { text: text[name] }), ...children]);
}

function paragraphs(sentences) {
  return sentences.map((sentence) => el("p", { text: sentence }));
}

function pairs(entries) {
  return el("dl", { class: "bs-words" }, entries.flatMap(([term, value]) => [el("dt", { text: term }), el("dd", {}, value)]));
}

function models(heading, entries) {
  const rows = entries.map((model) => el("tr", {}, [
    el("th", { scope: "row" }, [model.name, " ", el("code", { text: model.key })]), el("td", { text: model.about }),
    el("td", {}, model.weights.flatMap((name, index) => [index ? ", " : "", el("a", { href: `#card-${name}`, text: name })])),
  ]));
  const head = el("tr", {}, [heading, text.does, text.of].map((name) => el("th", { scope: "col", text: name })));
  return el("div", { class: "bs-scroll", tabindex: "0", role: "region", "aria-label": heading },
    el("table", { class: "bs-table" }, [el("thead", {}, head), el("tbody", {}, rows)]));
}

function card(facts) {
  const told = [
    [text.parameters, count(facts.parameters)], [text.learned, facts.data],
    [text.trained, fill(text.minutes, facts)], [text.images, count(facts.images_seen)], [text.seed, String(facts.seed)],
    [text.command, el("code", { text: facts.command })], [text.digest, el("code", { text: facts.sha256 })],
  ];
  const rows = facts.metrics.map(([name, value]) => el("tr", {}, [el("th", { scope: "row", text: name }), el("td", { text: value })]));
  return el("details", { class: "bs-fold", id: `card-${facts.name}` }, [
    el("summary", {}, [el("strong", { text: facts.name }), el("span", { class: "bs-muted", text: facts.about })]),
    pairs(told),
    rows.length ? el("div", { class: "bs-scroll", tabindex: "0", role: "region", "aria-label": `${text.metrics}: ${facts.name}` },
      el("table", { class: "bs-table" }, el("tbody", {}, rows))) : null,
  ]);
}

// A link to a card opens it.
function openTarget() {
  const target = document.getElementById(location.hash.slice(1));
  if (target && target.tagName === "DETAILS") target.open = true;
  if (target) target.scrollIntoView();
}

async function start(root) {
  const heading = el("h1", { text: text.heading });
  try {
    const facts = await get("/data/about");
    root.replaceChildren(heading, el("p", { class: "bs-intro", text: facts.intro }),
      el("nav", { class: "bs-contents", "aria-label": text.heading }, SECTIONS.map((name) => el("a", { href: `#${name}`, text: text[name] }))),
      section("models", [el("h3", { text: text.generators }), models(text.generators, facts.generators),
        el("h3", { text: text.verifiers }), models(text.verifiers, facts.verifiers)]),
      section("flops", paragraphs(facts.flops)),
      section("definitions", [pairs(Object.entries(facts.words))]),
      section("weights", [el("p", { text: text.weightsIntro }), ...facts.cards.map(card)]),
      section("licences", [pairs(Object.entries(facts.licences))]),
      section("data", paragraphs(facts.data)));
    addEventListener("hashchange", openTarget);
    openTarget();
  } catch (error) {
    root.replaceChildren(heading, el("p", { class: "bs-notice", role: "alert", text: error.message }));
  }
}

start(document.getElementById("bs-root"));
