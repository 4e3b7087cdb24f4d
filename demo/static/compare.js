// The two results beside each other at equal cost, in several ways of looking; and what may be said of them.

import { el, gflop, imageUrl, number, setText } from "./dom.js";
import { Blind } from "./blind.js";
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
  if (earlier) return strings.insights.goesOn.replace("{node}", origin.node);
  const less = (facts) => facts && facts.state === "done" && facts.gflop < planned * EARLY;
  if (less(search)) return `ended early, after ${gflop(search.gflop)} of ${gflop(planned)} GFLOP`;
  if (less(baseline)) return `at most ${gflop(planned)} GFLOP each, and whole images only`;
  return `equal total FLOPs: ${gflop(planned)} GFLOP each`;
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

  show(lane, head, secret) {
    const found = pictureOf(lane);
    setText(this.title, secret || lane.label);
    setText(this.score, secret ? "" : found ? scoresOf(found.best, head) : "–");
    setText(this.cost, secret ? "" : `${gflop(lane.facts ? lane.facts.gflop : 0)} GFLOP spent`);
    this.image.hidden = !found;
    this.empty.hidden = Boolean(found);
    if (!found) return;
    if (this.image.getAttribute("src") !== found.url) this.image.src = found.url;
    this.image.alt = secret ? `${words.picture} ${secret}` : `Best image of ${lane.label} for "${head.prompt}", score ${number(found.best.score)}`;
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

  show(lanes, mode) {
    this.mode = mode;
    this.element.dataset.mode = mode;
    const found = lanes.map(pictureOf);
    const ready = found.length === 2 && found.every(Boolean);
    this.empty.hidden = ready;
    this.images.forEach((image, index) => {
      image.hidden = !ready;
      if (ready && image.getAttribute("src") !== found[index].url) image.src = found[index].url;
      if (ready) image.alt = mode === "difference" && index === 0 ? words.difference_alt : lanes[index].label;
    });
    this.slider.hidden = this.edge.hidden = !ready || mode !== "slider";
    const texts = mode === "slider" ? lanes.map((lane) => lane.label) : [words.difference_help, ""];
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
  stage.slots.compare.append(
    el("div", { class: "bs-subtitle" }, [both, modes.element]), el("div", { class: "bs-looks" }, [pair, overlay.element, aside]));
  overlay.element.hidden = true; // one way of comparing at a time, before there is a run too
  const verdict = mountVerdict(stage, aside);
  mountSeries(stage, aside);

  function show() {
    if (!stage.comparison) return;
    const { head, lanes, run } = stage.comparison;
    const mode = lanes.length < 2 ? "side" : stage.view.mode;
    const secrets = mode === "blind" ? blind.secrets(run) : null;
    modes.show(mode);
    modes.element.hidden = lanes.length < 2;
    pair.hidden = mode === "slider" || mode === "difference";
    overlay.element.hidden = !pair.hidden;
    pair.classList.toggle("bs-secret", Boolean(secrets));
    figures.forEach((figure, place) => {
      const lane = lanes[secrets ? secrets.order[place] : place];
      figure.element.classList.toggle("bs-absent", !lane);
      if (lane) figure.show(lane, head, secrets && "AB"[place]);
    });
    if (overlay.element.hidden === false) overlay.show(lanes, mode);
    blind.show(mode === "blind" ? stage.comparison : null);
    verdict.hide(Boolean(secrets));
    setText(both, lanes.length < 2 ? words.one : words.both);
    equal.hidden = lanes.length < 2;
    setText(equal, fairness(head, lanes[0].facts, lanes[1]?.facts));
  }
  stage.on("frame", show);
  stage.on("view", show);
}
