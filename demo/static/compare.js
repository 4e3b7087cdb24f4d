// The two results beside each other at equal cost, in several ways of looking; and what may be said of them.

import { el, gflop, imageUrl, number, setText } from "./dom.js";
import { Blind } from "./blind.js";
import { PinNote, pinnedPair } from "./pinned.js";
import { mountSeries } from "./series.js";
import { segmented } from "./toolbar.js";
import { mountVerdict } from "./verdict.js";
import { strings } from "/page/strings.js";

const EARLY = 0.9; // of the planned compute: what spends less has ended early
const MODES = ["side", "slider", "difference", "blind"];
const PHONE = "(max-width: 699px)"; // as in page.css
const words = strings.compare;

export function pictureOf(lane) {
  const best = lane && lane.facts && lane.facts.best;
  return best ? { url: imageUrl(lane.run, best.node, best.image), best } : null;
}

function scoresOf(best, head) {
  const judged = best.judged === null ? "" : `${head.judge} ${number(best.judged)} · `;
  return `${judged}${head.verifier} ${number(best.score)}`;
}

// Both may spend the same; a side that spent clearly less is not called equal.
export function fairness({ planned_gflop: planned, earlier, origin }, search, baseline) {
  if (earlier) return origin ? strings.insights.goesOn.replace("{node}", origin.node) : ""; // told with the first event
  const less = (facts) => facts && facts.state === "done" && facts.gflop < planned * EARLY;
  if (less(search)) return `ended early, after ${gflop(search.gflop)} of ${gflop(planned)} GFLOP`;
  if (less(baseline)) return `at most ${gflop(planned)} GFLOP each, and whole images only`;
  return `equal total FLOPs: ${gflop(planned)} GFLOP each`;
}

// A lane's best image as one side of a comparison.
function best(lane, head) {
  const found = pictureOf(lane);
  return {
    url: found && found.url, title: lane.label, why: strings.stage.unfinished, score: found ? scoresOf(found.best, head) : "–",
    cost: `${gflop(lane.facts ? lane.facts.gflop : 0)} GFLOP spent`, value: found ? found.best.score : null,
    alt: found ? `Best image of ${lane.label} for "${head.prompt}", score ${number(found.best.score)}` : "",
  };
}

// One picture with its caption.
class Figure {
  constructor(kind) {
    this.image = el("img", { width: 190, height: 190, alt: "", hidden: true });
    this.empty = el("div", { class: "bs-empty", text: strings.stage.unfinished });
    [this.title, this.score, this.cost] = [el("strong"), el("span"), el("span")];
    this.frame = el("div", { class: "bs-frame" }, [this.image, this.empty]);
    this.element = el("figure", { class: `bs-figure ${kind}` }, [this.frame, el("figcaption", {}, [this.title, this.score, this.cost])]);
  }

  // side: as `best` makes it; secret: what it is called while nobody may know whose it is.
  show(side, secret) {
    setText(this.title, secret || side.title);
    setText(this.score, secret ? "" : side.score);
    setText(this.cost, secret ? "" : side.cost);
    setText(this.empty, side.why);
    this.image.hidden = !side.url;
    this.empty.hidden = Boolean(side.url);
    if (!side.url) return;
    if (this.image.getAttribute("src") !== side.url) this.image.src = side.url;
    this.image.alt = secret ? `${words.picture} ${secret}` : side.alt || side.title;
  }
}

// Both pictures in one frame: the second over the first, cut at the slider or subtracted.
class Overlay {
  constructor() {
    this.images = [el("img", { width: 190, height: 190, alt: "" }), el("img", { width: 190, height: 190, alt: "" })];
    this.empty = el("div", { class: "bs-empty", text: words.both_needed });
    this.slider = el("input", { type: "range", min: "0", max: "100", value: "50", class: "bs-cut", "aria-label": words.cut, oninput: () => this.cut() });
    this.edge = el("i", { class: "bs-edge", "aria-hidden": "true" });
    this.stack = el("div", { class: "bs-stack" }, [...this.images, this.edge, this.slider, this.empty]);
    this.labels = [el("span"), el("span")];
    this.element = el("div", { class: "bs-overlay" }, [this.stack, this.note = el("p", { class: "bs-ends" }, this.labels)]);
    this.cut();
  }

  cut() {
    const share = Number(this.slider.value);
    this.images[1].style.clipPath = this.mode === "slider" ? `inset(0 0 0 ${share}%)` : "none";
    this.edge.style.left = `${share}%`;
  }

  show(sides, mode) {
    this.mode = mode;
    this.element.dataset.mode = mode;
    const ready = sides.length === 2 && sides.every((side) => side.url);
    this.empty.hidden = ready;
    this.images.forEach((image, index) => {
      image.hidden = !ready;
      if (ready && image.getAttribute("src") !== sides[index].url) image.src = sides[index].url;
      if (ready) image.alt = mode === "difference" && index === 0 ? words.difference_alt : sides[index].title;
    });
    this.slider.hidden = this.edge.hidden = !ready || mode !== "slider";
    const texts = mode === "slider" ? sides.map((side) => side.title) : [words.difference_help, ""];
    this.labels.forEach((label, index) => setText(label, texts[index] || ""));
    this.cut();
  }
}

export function mountCompare(stage) {
  stage.setView({ mode: matchMedia(PHONE).matches ? "slider" : "side" });
  const figures = [new Figure("bs-first"), new Figure("bs-second")];
  const overlay = new Overlay();
  const blind = new Blind(() => show());
  const modes = segmented(words.modes, MODES.map((mode) => [mode, words[mode]]), (mode) => stage.setView({ mode }));
  const both = el("h2", { text: words.both });
  const equal = el("p", { class: "bs-muted bs-equal", text: "" });
  const pair = el("div", { class: "bs-pictures" }, figures.map((figure) => figure.element));
  const aside = el("div", { class: "bs-aside" }, [equal, blind.element]);
  const note = new PinNote(stage);
  stage.slots.compare.append(
    el("div", { class: "bs-subtitle" }, [both, modes.element]), el("div", { class: "bs-looks" }, [pair, overlay.element, aside, note.element]));
  overlay.element.hidden = true; // one way of comparing at a time, before there is a run too
  const verdict = mountVerdict(stage, aside);
  mountSeries(stage, aside);

  function show() {
    if (!stage.comparison) return;
    const { head, lanes, run } = stage.comparison;
    const chosen = pinnedPair(stage, () => best(lanes[0], head));
    const asked = chosen && stage.view.mode === "blind" ? "side" : stage.view.mode; // one's own choice is no secret
    const mode = lanes.length < 2 && !chosen ? "side" : asked;
    const sides = chosen || lanes.map((lane) => best(lane, head));
    const secrets = mode === "blind" ? blind.secrets(run) : null;
    modes.show(mode);
    modes.element.hidden = sides.length < 2;
    modes.buttons.get("blind").hidden = Boolean(chosen);
    note.show(chosen, head);
    aside.hidden = Boolean(chosen);
    pair.hidden = mode === "slider" || mode === "difference";
    overlay.element.hidden = !pair.hidden;
    pair.classList.toggle("bs-secret", Boolean(secrets));
    figures.forEach((figure, place) => {
      const side = sides[secrets ? secrets.order[place] : place];
      figure.element.classList.toggle("bs-absent", !side);
      if (side) figure.show(side, secrets && "AB"[place]);
    });
    if (overlay.element.hidden === false) overlay.show(sides, mode);
    blind.show(mode === "blind" ? stage.comparison : null);
    verdict.hide(Boolean(secrets));
    setText(both, chosen ? words.two : lanes.length < 2 ? words.one : words.both);
    equal.hidden = lanes.length < 2;
    setText(equal, fairness(head, lanes[0].facts, lanes[1]?.facts));
  }
  for (const event of ["frame", "view", "pinned", "select"]) stage.on(event, show);
}
