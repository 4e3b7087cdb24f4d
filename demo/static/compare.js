// The two results beside each other, at equal cost.

import { el, gflop, imageUrl, number, setText } from "./dom.js";
import { strings } from "/page/strings.js";

const EARLY = 0.9; // of the planned compute: what spends less has ended early

function pictureOf(lane) {
  const best = lane.facts && lane.facts.best;
  return best ? { url: imageUrl(lane.run, best.node, best.image), best } : null;
}

function scoresOf(best, head) {
  const judged = best.judged === null ? "" : `${head.judge} ${number(best.judged)} · `;
  return `${judged}${head.verifier} ${number(best.score)}`;
}

// Both may spend the same; a side that spent clearly less is not called equal.
function fairness({ planned_gflop: planned }, search, baseline) {
  const less = (facts) => facts && facts.state === "done" && facts.gflop < planned * EARLY;
  if (less(search)) return `ended early, after ${gflop(search.gflop)} of ${gflop(planned)} GFLOP`;
  if (less(baseline)) return `at most ${gflop(planned)} GFLOP each, and whole images only`;
  return `equal total FLOPs: ${gflop(planned)} GFLOP each`;
}

class Pictures {
  constructor() {
    this.figures = [this.figure("bs-first"), this.figure("bs-second")];
    this.element = el("div", { class: "bs-pictures" }, this.figures.map((figure) => figure.element));
  }

  figure(kind) {
    const image = el("img", { width: 190, height: 190, alt: "", hidden: true });
    const empty = el("div", { class: "bs-empty", text: strings.stage.unfinished });
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

export function mountCompare(stage) {
  const pictures = new Pictures();
  const both = el("h2", { text: strings.compare.both });
  const equal = el("span", { class: "bs-muted", text: "equal total FLOPs" });
  stage.slots.compare.append(el("div", { class: "bs-subtitle" }, [both, equal]), pictures.element);
  stage.on("frame", () => {
    const { head, lanes } = stage.comparison;
    pictures.show(stage.comparison);
    setText(both, lanes.length < 2 ? strings.compare.one : strings.compare.both);
    equal.hidden = lanes.length < 2;
    setText(equal, fairness(head, lanes[0].facts, lanes[1]?.facts));
  });
}
