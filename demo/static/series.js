// The comparison repeated with other seeds: a button, how far it is, and what all of them say. What was repeated before
// is shown again when the run is opened.

import { get, post } from "./api.js";
import { el, setText } from "./dom.js";
import { strings } from "/page/strings.js";

const SEEDS = 8;
const PAUSE = 1500; // ms between two questions
const words = strings.series;

export function mountSeries(stage, host) {
  const button = el("button", { type: "button", class: "bs-button", text: words.begin, title: words.help, onclick: () => begin() });
  const progress = el("p", { class: "bs-muted", role: "status" });
  const finding = el("p", { class: "bs-finding bs-series" });
  let recalled = null; // the run that the server was asked about
  host.append(finding, button, progress);

  async function begin() {
    const { run } = stage.comparison;
    button.disabled = true;
    try {
      await post("/data/repeat", { run, seeds: SEEDS });
      await follow(run);
    } catch (error) {
      if (stage.comparison && stage.comparison.run === run) setText(progress, error.message);
    }
    button.disabled = false;
  }

  async function follow(run) {
    while (stage.comparison && stage.comparison.run === run) {
      const series = await get("/data/series", { id: run, seeds: SEEDS });
      if (!take(run, series) || series.done >= series.count) return show();
      setText(progress, series.problem || words.going.replace("{done}", series.done).replace("{count}", series.count));
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }

  // Whether it is still of interest.
  function take(run, series) {
    if (!stage.comparison || stage.comparison.run !== run) return false;
    stage.series = series.done > 1 ? series : null;
    stage.emit("series");
    return true;
  }

  async function recall(run) {
    recalled = run;
    const series = await get("/data/series", { id: run }).catch(() => null);
    if (series && !button.disabled) take(run, series);
  }

  function show() {
    const { comparison, series, view } = stage;
    const over = comparison && !comparison.live && !comparison.head.earlier && comparison.lanes.length === 2 && comparison.lanes.every((lane) => lane.facts && lane.facts.best);
    const complete = series && series.done >= SEEDS;
    if (over && recalled !== comparison.run) recall(comparison.run);
    const secret = view.mode === "blind";
    button.hidden = !over || Boolean(complete) || secret || comparison.position < comparison.length;
    setText(finding, (series && series.finding) || "");
    finding.hidden = !finding.textContent || secret;
    if (!button.disabled || complete) setText(progress, "");
  }

  stage.on("run", () => {
    stage.series = null;
    setText(progress, "");
    show();
  });
  for (const event of ["frame", "view", "series"]) stage.on(event, show);
  show();
}
