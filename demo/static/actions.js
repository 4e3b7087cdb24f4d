// What can be done with the node in the inspector: go on from it, pin or forbid it, take it elsewhere.

import { post } from "./api.js";
import { el, setText } from "./dom.js";
import { ResumeDialog } from "./resume.js";
import { strings } from "/page/strings.js";

const text = strings.actions;
const TOLD = 2500; // ms that the outcome of an action stays

async function copy(words) {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(words);
  const field = el("textarea", { class: "bs-hidden", "aria-hidden": "true", text: words });
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  if (!done) throw new Error(text.notCopied);
}

function linkTo({ run, id }) {
  return `${location.origin}${location.pathname}?run=${encodeURIComponent(run)}&node=${id}`;
}

class Actions {
  constructor(stage) {
    this.stage = stage;
    this.resume = new ResumeDialog(stage);
    this.told = el("p", { class: "bs-told", role: "status" });
  }

  show(facts) {
    this.facts = facts;
    setText(this.told, "");
    const button = (label, onclick, more = {}) => el("button", { type: "button", class: "bs-action", text: label, onclick, ...more });
    const { comparison } = this.stage;
    const steerable = comparison && comparison.own && comparison.live && facts.steer.length && facts.run === comparison.run;
    const refused = facts.resume !== null;
    return el("div", { class: "bs-actions", role: "group", "aria-label": text.label }, [
      button(text.resume, () => this.resume.open(facts), { class: "bs-action bs-primary", disabled: refused, title: refused ? facts.resume : text.resumeHelp }),
      ...(steerable ? facts.steer.map((action) => button(text[action], () => this.steer(action), { title: text[`${action}Help`] })) : []),
      button(this.isPinned() ? text.unpin : text.compare, () => this.pin(), { title: text.compareHelp, "aria-pressed": String(this.isPinned()) }),
      button(this.isFocused() ? text.whole : text.focus, () => this.stage.focus(this.node), { title: text.focusHelp, "aria-pressed": String(this.isFocused()) }),
      button(text.link, () => this.take(linkTo(facts))), button(text.json, () => this.take(JSON.stringify(facts, null, 2))),
      this.told]);
  }

  get node() {
    return { lane: this.stage.comparison.all.findIndex((lane) => lane.run === this.facts.run), id: this.facts.id };
  }

  isPinned() {
    const { pinned } = this.stage;
    return Boolean(pinned) && pinned.id === this.facts.id && pinned.lane === this.node.lane;
  }

  isFocused() {
    const { focused } = this.stage;
    return Boolean(focused) && focused.id === this.facts.id && focused.lane === this.node.lane;
  }

  pin() {
    this.stage.pin(this.node);
    this.tell(this.isPinned() ? text.compared : "");
  }

  async steer(action) {
    const { run, id } = this.facts;
    try {
      await post("/data/steer", { run, node: id, action });
      this.tell(text[`${action}Done`]);
    } catch (error) {
      this.tell(error.message);
    }
  }

  take(words) {
    copy(words).then(() => this.tell(text.copied), (error) => this.tell(error.message));
  }

  tell(sentence) {
    setText(this.told, sentence);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => setText(this.told, ""), TOLD);
  }
}

export const mountActions = (stage) => new Actions(stage);
