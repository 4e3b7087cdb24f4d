// One sentence on who is ahead, and by how little that may mean.

import { el, gflop, number, setText } from "./dom.js";
import { strings } from "/page/strings.js";

const CLOSE = 0.02; // of the verifier's range: less is not called a lead
const words = strings.verdict;

const fill = (sentence, values) => sentence.replace(/\{(\w+)\}/g, (_, name) => values[name]);

// What may be said of one run of each lane; "" if there is nothing to compare.
export function verdict({ head, lanes, live }) {
  if (head.origin && head.origin.said) return head.origin.said;
  if (lanes.length < 2 || head.earlier) return "";
  const [first, second] = lanes.map((lane) => ({ label: lane.label, best: lane.facts && lane.facts.best, facts: lane.facts }));
  if (!first.best && !second.best) return words.nothing;
  const values = {
    verifier: head.verifier, gflop: gflop(head.planned_gflop), first: first.label, second: second.label,
    a: first.best ? number(first.best.score) : words.none, b: second.best ? number(second.best.score) : words.none,
  };
  const over = !live && lanes.every((lane) => lane.shown === lane.frames.length) && first.best && second.best;
  if (!over) return fill(words.sofar, values);
  const gap = first.best.score - second.best.score;
  const close = Math.abs(gap) < CLOSE * (head.span[1] - head.span[0]);
  const ahead = close ? words.close : fill(words.ahead, { name: gap > 0 ? first.label : second.label });
  return [fill(words.scores, values), ahead, words.hedge].join(" ");
}

export function mountVerdict(stage, host) {
  const sentence = el("p", { class: "bs-finding" });
  host.append(sentence);
  let secret = false;
  const show = () => {
    setText(sentence, stage.comparison && !secret ? verdict(stage.comparison) : "");
    sentence.hidden = secret || Boolean(stage.series && stage.series.finding); // of all seeds more can be said
  };
  stage.on("frame", show);
  stage.on("series", show);
  return {
    hide: (hidden) => {
      secret = hidden;
      show();
    },
  };
}
