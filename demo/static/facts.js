// Facts of one node as elements: terms and values, scores, the margin of a choice, a verifier's answers.

import { el, number } from "./dom.js";
import { strings } from "/page/strings.js";

const text = strings.inspector;
const percent = (share) => `${Math.max(0, Math.min(100, 100 * share)).toFixed(1)}%`;

export function factRows(pairs) {
  return el("dl", { class: "bs-facts" }, pairs.flatMap(([term, value]) => [el("dt", { text: term }), el("dd", { text: value })]));
}

// Raw scores, and as bars where they lie between the least and the most of each verifier.
export function scoreRows(scores) {
  return el("dl", { class: "bs-scores" }, scores.flatMap(({ name, value, part, at }) => [
    el("dt", { text: part ? `${name} (${part})` : name, class: part ? "bs-guide" : null }),
    el("dd", { class: part ? "bs-guide" : null, title: text.height.replace("{percent}", percent(at)) }, [
      el("span", { class: "bs-meter", "aria-hidden": "true" }, el("i", { style: `width:${percent(at)}` })), number(value)]),
  ]));
}

// Between the worst and the best candidate: the line that was drawn, and where the node lies.
export function marginBar(margin) {
  const { low, high, score, cut, by, toss_up: tossUp, said } = margin;
  const place = (value) => percent(high > low ? (value - low) / (high - low) : 0.5);
  const [left, right] = [Math.min(score, cut), Math.max(score, cut)];
  return el("div", { class: `bs-margin${by < 0 ? " bs-below" : ""}` }, [
    el("div", { class: "bs-margin-bar", "aria-hidden": "true" }, [
      el("i", { class: "bs-margin-gap", style: `left:${place(left)};right:calc(100% - ${place(right)})` }),
      el("i", { class: "bs-margin-cut", style: `left:${place(cut)}` }),
      el("i", { class: "bs-margin-score", style: `left:${place(score)}` })]),
    el("div", { class: "bs-margin-ends", "aria-hidden": "true" }, [el("span", { text: number(low) }), el("span", { text: text.candidates }), el("span", { text: number(high) })]),
    said ? el("p", { class: "bs-muted" }, [tossUp ? el("strong", { class: "bs-badge", text: text.tossUp }) : "", said]) : null,
  ]);
}

export function answers(rows) {
  return el("section", { "aria-label": text.answers }, [
    el("h3", { class: "bs-answers-title", text: text.answers }),
    el("ul", { class: "bs-answers" }, rows.map(({ text: question, yes, by }) => el("li", { class: yes > 0.5 ? "bs-yes" : "bs-no" }, [
      el("span", { class: "bs-answer", "aria-hidden": "true", text: yes > 0.5 ? "✓" : "✗" }),
      el("span", { text: question }), el("span", { class: "bs-muted", text: `${yes > 0.5 ? text.yes : text.no}, ${by} ${number(yes, 2)}` })])))]);
}
