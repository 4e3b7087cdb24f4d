// The title of the page tells how far a run is, for people who look at other tabs meanwhile.

import { number } from "./dom.js";
import { strings } from "/page/strings.js";

const SHORT = 40; // characters of a prompt

function titleOf({ head, live, lanes: [{ facts }] }) {
  const prompt = head.prompt.length > SHORT ? `${head.prompt.slice(0, SHORT - 1)}…` : head.prompt;
  const ending = `${prompt} · ${strings.title.name}`;
  if (!facts) return live ? `${strings.title.waiting} · ${ending}` : ending;
  if (live) {
    const share = head.planned_gflop ? Math.min(99, Math.floor((100 * facts.gflop) / head.planned_gflop)) : 0;
    return `${share} % · ${ending}`;
  }
  return facts.best ? `✓ ${number(facts.best.score, 2)} · ${ending}` : ending;
}

// A recorded run that a first visit or a lesson shows is nobody's: the page keeps its own title.
export function mountTitle(stage) {
  const explores = Boolean(document.getElementById("bs-search"));
  stage.on("frame", () => {
    if (explores && !stage.recorded) document.title = titleOf(stage.comparison);
  });
}
