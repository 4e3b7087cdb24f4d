// The blind vote: which picture is better, before it is said whose it is. Votes stay in this browser.

import { el, number, setText } from "./dom.js";
import { strings } from "/page/strings.js";

const KEPT = "beamscope.votes";
const words = strings.blind;

function votes() {
  try {
    return JSON.parse(localStorage.getItem(KEPT)) || {};
  } catch {
    return {};
  }
}

function keep(all) {
  try {
    localStorage.setItem(KEPT, JSON.stringify(all));
  } catch {
    // a browser that keeps nothing forgets the votes with the page
  }
}

export class Blind {
  constructor(onVote) {
    Object.assign(this, { onVote, orders: new Map(), votes: votes() });
    const button = (place, text) => el("button", { type: "button", class: "bs-vote", text, onclick: () => this.vote(place) });
    this.ask = el("p", { text: words.ask });
    this.buttons = el("div", { class: "bs-votes" }, [button(0, words.first), button(1, words.second), button(null, words.neither)]);
    this.told = el("p", { class: "bs-told", role: "status" });
    this.element = el("div", { class: "bs-blind", hidden: true }, [this.ask, this.buttons, this.told]);
  }

  // Which lane stands where: by chance, and the same as long as the page is open.
  order(run) {
    if (!this.orders.has(run)) this.orders.set(run, Math.random() < 0.5 ? [0, 1] : [1, 0]);
    return this.orders.get(run);
  }

  // {order} while it is a secret whose picture is whose, null once the person has voted.
  secrets(run) {
    return this.votes[run] ? null : { order: this.order(run) };
  }

  vote(place) {
    const { run, lanes, head } = this.comparison;
    const scores = lanes.map((lane) => lane.facts.best.score);
    const chosen = place === null ? null : this.order(run)[place];
    const preferred = Math.abs(scores[0] - scores[1]) < 5e-4 ? null : scores[0] > scores[1] ? 0 : 1;
    this.votes[run] = { chosen, preferred, verifier: head.verifier };
    keep(this.votes);
    this.onVote();
  }

  // The comparison that is judged blindly; null for no vote.
  show(comparison) {
    this.comparison = comparison;
    this.element.hidden = !comparison;
    if (!comparison) return;
    const { run, lanes, head, live } = comparison;
    const ready = !live && lanes.every((lane) => lane.facts && lane.facts.best);
    const vote = this.votes[run];
    this.ask.hidden = this.buttons.hidden = Boolean(vote);
    this.buttons.querySelectorAll("button").forEach((button) => (button.disabled = !ready));
    setText(this.ask, ready ? words.ask : words.wait);
    setText(this.told, vote ? this.tell(vote, lanes, head) : "");
  }

  tell({ chosen, preferred }, lanes, head) {
    const name = (index) => lanes[index].label;
    const yours = chosen === null ? words.undecided : words.chose.replace("{name}", name(chosen));
    const gap = Math.abs(lanes[0].facts.best.score - lanes[1].facts.best.score);
    const theirs = preferred === null ? words.even : words.prefers.replace("{name}", name(preferred)).replace("{gap}", number(gap));
    return [yours, theirs.replace("{verifier}", head.verifier), this.tally()].join(" ");
  }

  tally() {
    const clear = Object.values(this.votes).filter((vote) => vote.chosen !== null && vote.preferred !== null);
    const agreed = clear.filter((vote) => vote.chosen === vote.preferred).length;
    return clear.length ? words.tally.replace("{agreed}", agreed).replace("{count}", clear.length) : "";
  }
}
