// The status line: what the run is doing, what it has spent, its best score; and the line of warnings below it.

import { el, gflop, number, plural, setText } from "./dom.js";
import { strings } from "/page/strings.js";

const KNOWN = 0.1; // of the planned compute: of less nothing can be foretold
const QUIET = 5000; // ms between two progress sentences for people who listen

function inLine(queue) {
  if (!queue) return "";
  const place = queue.place === 1 ? strings.queue.next : strings.queue.place.replace("{place}", queue.place);
  return strings.queue.wait.replace("{place}", place).replace("{seconds}", Math.max(1, Math.round(queue.seconds)));
}

// How long it will take yet, once enough is spent to tell: both runs, at the pace they had.
function ahead({ lanes, head, live, state }) {
  const planned = head.planned_gflop;
  const known = lanes.map((lane) => lane.frames.at(-1)).filter((frame) => frame && frame.gflop > KNOWN * planned);
  if (!live || state !== "running" || known.length < lanes.length) return "";
  const left = known.reduce((sum, frame) => sum + Math.max(0, (frame.seconds * (planned - frame.gflop)) / frame.gflop), 0);
  return left >= 1 ? `, ${strings.stage.left.replace("{seconds}", Math.round(left))}` : "";
}

class StatusLine {
  constructor() {
    this.state = el("strong", { class: "bs-state", text: strings.states.idle });
    this.fill = el("span", { class: "bs-bar-fill" });
    this.bar = el("span", { class: "bs-bar", "aria-hidden": "true" }, this.fill);
    const names = ["compute", "seconds", "nodes", "best", "queue", "origin"];
    this.parts = Object.fromEntries(names.map((name) => [name, el("span", { class: `bs-fact bs-${name}` })]));
    this.title = el("p", { class: "bs-title", text: strings.stage.idle });
    const { origin, ...facts } = this.parts;
    this.element = el("div", { class: "bs-status" }, [this.state, this.bar, ...Object.values(facts), el("div", { class: "bs-whose" }, [origin, this.title])]);
    this.announcer = el("div", { class: "bs-hidden", role: "status", "aria-live": "polite" });
    this.lastSaid = 0;
  }

  show(comparison, note, recorded) {
    const { head } = comparison;
    setText(this.title, `${recorded ? strings.stage.recorded : strings.stage.run}: “${head.prompt}” · ${head.method}${head.origin ? "" : ` · seed ${head.seed}`}`);
    const [lane] = comparison.lanes;
    const facts = lane.facts;
    const state = note || this.stateOf(comparison, lane);
    const planned = comparison.head.planned_gflop;
    const spent = facts ? facts.gflop : 0;
    setText(this.state, state);
    this.element.dataset.state = facts ? facts.state : "waiting";
    this.fill.style.width = `${planned ? Math.min(100, (100 * spent) / planned) : 0}%`;
    setText(this.parts.compute, `${gflop(spent)} of ${gflop(planned)} GFLOP`);
    setText(this.parts.seconds, `${number(facts ? facts.seconds : 0, 1)} s${ahead(comparison)}`);
    setText(this.parts.nodes, facts ? `${plural(facts.nodes_total, "node")}: ${facts.kept} kept, ${facts.pruned} pruned` : "0 nodes");
    setText(this.parts.best, facts && facts.best ? `best ${number(facts.best.score)}` : strings.stage.unfinished);
    setText(this.parts.queue, inLine(comparison.queue));
    this.tellOrigin(comparison.head.origin, lane.branch?.name);
    this.say(facts, state);
  }

  // Where a resumed run comes from, with the way back to it.
  tellOrigin(origin, name) {
    const key = JSON.stringify([origin, name]);
    if (key === this.origin) return;
    this.origin = key;
    const { origin: place } = this.parts;
    place.replaceChildren(...(origin ? [
      `${name ? `${name} ` : ""}from node ${origin.node} of `,
      el("a", { href: `?run=${encodeURIComponent(origin.run)}`, title: origin.run, text: "an earlier run" }),
      origin.regret ? `: ${origin.regret}` : "",
    ] : []));
  }

  stateOf({ live, queue, state: doing, own }, { facts, shown, frames }) {
    if (!facts && frames.length) return strings.states.past; // a branch before it began
    if (!facts) return queue ? strings.states.waiting : strings.states.starting;
    const newest = shown === frames.length;
    if (newest && ["asking", "paused"].includes(doing)) return own ? strings.states[doing] : strings.states.elsewhere;
    if (!live && facts.state === "running") return newest ? strings.states.interrupted : strings.states.past;
    if (live && newest && facts.state === "done") return strings.states.beside;
    return facts.short ? strings.states.short.replace("{at}", facts.short) : strings.states[facts.state];
  }

  // At most one progress sentence in five seconds, and always one at the end.
  say(facts, state) {
    const over = facts && !["waiting", "running"].includes(facts.state);
    const now = Date.now();
    if (!facts || (!over && now - this.lastSaid < QUIET)) return;
    this.lastSaid = now;
    const best = facts.best ? `, best score ${number(facts.best.score)}` : "";
    setText(this.announcer, `Search ${state}: ${gflop(facts.gflop)} GFLOP, ${facts.nodes_total} nodes${best}.`);
  }
}

export function mountStatus(stage) {
  const line = new StatusLine();
  const notice = el("p", { class: "bs-notice", role: "alert", hidden: true });
  const spoken = el("div", { class: "bs-hidden", role: "status", "aria-live": "polite" });
  stage.slots.status.replaceChildren(line.element, line.announcer, spoken, el("div", { class: "bs-warning" }, notice));
  stage.on("frame", () => line.show(stage.comparison, stage.playing ? strings.states.replaying : null, stage.recorded));
  stage.on("warn", (message) => {
    notice.hidden = !message;
    setText(notice, message ? message[0].toUpperCase() + message.slice(1) : "");
  });
  stage.on("say", (sentence) => setText(spoken, sentence));
}
