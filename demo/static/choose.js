// You are the verifier: the search waits, the candidates' previews lie before you, and you say which of them go on.

import { post } from "./api.js";
import { el, imageUrl, setText } from "./dom.js";
import { strings } from "/page/strings.js";

const text = strings.choose;
const GAP = 8; // px between previews
const [SMALLEST, LARGEST] = [78, 150]; // px of a preview
const fill = (sentence, values) => sentence.replace(/\{(\w+)\}/g, (_, name) => values[name]);

class Choice {
  constructor(stage) {
    Object.assign(this, { stage, question: null, chosen: [], shown: true, judged: null, agreed: 0, of: 0 });
    this.title = el("h3", { class: "bs-ballot-title" });
    this.hint = el("p", { class: "bs-muted" });
    this.grid = el("div", { class: "bs-candidates", role: "group", "aria-label": text.candidates });
    this.tray = el("div", { class: "bs-ballot", hidden: true }, [el("div", {}, [this.title, this.hint]), this.grid]);
    const button = (label, onclick, primary) => el("button", { type: "button", class: `bs-action${primary ? " bs-primary" : ""}`, text: label, onclick });
    this.count = el("strong", { class: "bs-ballot-count", role: "status" });
    this.toggle = button(text.tree, () => this.show(!this.shown));
    this.leave = button(text.leave, () => this.answer({ keep: null }));
    this.rest = button(text.rest, () => this.answer({ keep: null, rest: true }));
    this.go = button(text.go, () => this.answer({ keep: this.chosen }), true);
    this.leave.title = text.leaveHelp;
    this.rest.title = text.restHelp;
    this.told = el("span", { class: "bs-error", role: "alert" });
    this.bar = el("div", { class: "bs-ballot-bar", role: "group", "aria-label": text.label, hidden: true }, [this.count, this.told, this.toggle, this.rest, this.leave, this.go]);
    stage.slots.tree.parentElement.append(this.tray);
    stage.slots.player.append(this.bar);
    new ResizeObserver(() => this.fit()).observe(this.grid);
  }

  // What the search asks now, if it asks this visitor and they look at what is newest.
  open() {
    const { comparison, following } = this.stage;
    if (!comparison || !comparison.own || !comparison.live || !following) return null;
    const newest = comparison.lanes[0].frames.at(-1);
    return (newest && newest.asked) || null;
  }

  update() {
    const question = this.open();
    this.compare();
    if ((question && question.seq) === (this.question && this.question.seq)) return this.refresh();
    this.question = question;
    this.chosen = [];
    this.bar.hidden = !question;
    if (!question) {
      this.tray.hidden = true;
      return this.mark();
    }
    this.ask();
  }

  ask() {
    const { step, label, keep, candidates, last } = this.question;
    const rows = this.stage.comparison.lanes[0].rows;
    const sentence = fill(last ? text.last : text.ask, { step, label, keep, of: candidates.length });
    setText(this.title, sentence);
    setText(this.hint, [this.told.textContent, this.agreement(), last ? text.lastHint : text.hint].filter(Boolean).join(" "));
    this.chosen = candidates.filter((id) => rows.get(id)?.mark === "pin").slice(0, keep);
    const order = [...candidates].sort((a, b) => a - b); // as they were drawn: the verifier's opinion is not given away
    this.buttons = new Map(order.map((id) => [id, this.candidate(id, rows.get(id))]));
    this.grid.replaceChildren(...this.buttons.values());
    this.show(true);
    this.stage.emit("say", sentence);
    this.refresh();
  }

  candidate(id, row) {
    const picture = row && row.image
      ? el("img", { src: imageUrl(this.stage.comparison.lanes[0].run, id, row.image), width: 128, height: 128, alt: "" })
      : el("span", { class: "bs-empty", text: String(id) });
    return el("button", { type: "button", class: "bs-candidate", "aria-pressed": "false", "aria-label": fill(text.candidate, { node: id }), onclick: () => this.flip(id) },
      [picture, el("span", { class: "bs-order", "aria-hidden": "true" })]);
  }

  flip(id) {
    if (this.stage.selected !== id) this.stage.pick(id, 0, false);
    if (this.chosen.includes(id)) this.chosen = this.chosen.filter((other) => other !== id);
    else if (this.question.keep === 1) this.chosen = [id];
    else if (this.chosen.length < this.question.keep) this.chosen = [...this.chosen, id];
    this.refresh();
  }

  refresh() {
    if (!this.question) return;
    const rows = this.stage.comparison.lanes[0].rows;
    const full = this.question.keep > 1 && this.chosen.length >= this.question.keep;
    for (const [id, button] of this.buttons) {
      const place = this.chosen.indexOf(id);
      button.setAttribute("aria-pressed", String(place >= 0));
      button.classList.toggle("bs-banned", rows.get(id)?.mark === "forbid");
      button.disabled = rows.get(id)?.mark === "forbid" || (full && place < 0);
      setText(button.lastChild, place >= 0 ? String(place + 1) : "");
    }
    setText(this.count, fill(text.count, { chosen: this.chosen.length, keep: this.question.keep }));
    this.go.disabled = !this.chosen.length;
    this.mark();
  }

  // As large as they can be with all of them in sight; where that is too small, they are scrolled.
  fit() {
    const [width, height] = [this.grid.clientWidth - GAP, this.grid.clientHeight - GAP];
    if (!this.question || width <= 0) return;
    const count = this.question.candidates.length;
    const size = (columns) => Math.min(LARGEST, Math.floor((width - (columns - 1) * GAP) / columns));
    const most = Math.max(1, Math.floor((width + GAP) / (SMALLEST + GAP)));
    let columns = 1;
    while (columns < most && Math.ceil(count / columns) * (size(columns) + GAP) - GAP > height) columns += 1;
    this.grid.style.gridTemplateColumns = `repeat(${columns}, ${size(columns)}px)`;
  }

  // Shown: the previews; else the tree, on which candidates can be clicked as well.
  show(shown) {
    this.shown = shown;
    this.tray.hidden = !shown;
    this.fit();
    setText(this.toggle, shown ? text.tree : text.previews);
  }

  mark() {
    const [tree] = this.stage.trees;
    tree.picked = new Set(this.question ? this.chosen : []);
    tree.redraw();
  }

  async answer(keep) {
    if (!this.question) return;
    const asked = this.question.seq;
    setText(this.told, "");
    this.bar.classList.add("bs-busy");
    try {
      this.judged = keep.keep;
      await post("/data/choose", { run: this.stage.comparison.run, asked, ...keep });
    } catch (error) {
      setText(this.told, error.message);
    } finally {
      this.bar.classList.remove("bs-busy");
    }
  }

  // How many of those that the person chose the verifier would have kept too, once the choice is in the log.
  compare() {
    if (!this.judged || !this.stage.comparison) return;
    const rows = this.judged.map((id) => this.stage.comparison.lanes[0].rows.get(id));
    if (rows.some((row) => !row || row.rank === null)) return;
    this.latest = [rows.filter((row) => row.rank < rows.length).length, rows.length];
    this.agreed += this.latest[0];
    this.of += this.latest[1];
    this.judged = null;
  }

  agreement() {
    return this.latest ? fill(text.agreed, { agreed: this.latest[0], of: this.latest[1], all: this.agreed, total: this.of }) : "";
  }

  forget() {
    Object.assign(this, { judged: null, latest: null, agreed: 0, of: 0 });
    setText(this.told, "");
  }
}

export function mountChoose(stage) {
  const choice = new Choice(stage);
  stage.on("run", () => choice.forget());
  stage.on("frame", () => choice.update());
  stage.on("live", () => choice.update());
  stage.on("select", (id, lane, open) => {
    const asked = choice.question && !choice.shown && open && lane === 0 && choice.question.candidates.includes(id);
    if (asked) choice.flip(id);
  });
}
