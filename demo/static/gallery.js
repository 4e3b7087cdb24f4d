// The gallery: cards of runs, searched and filtered; up to four are taken along to be compared.

import { get, post } from "./api.js";
import { el, gflop, number, setText } from "./dom.js";
import { strings } from "/page/strings.js";

const text = strings.gallery;
const TOGETHER = 4;
const TYPING = 200; // ms after the last key before the server is asked
const FILTERS = { all: (run) => !run.lesson, own: (run) => !run.recorded, recorded: (run) => run.recorded && !run.lesson,
  lessons: (run) => run.lesson, pinned: (run) => run.pinned };
const PINS = "beamscope.pins"; // recorded runs are everybody's: which of them are pinned only this browser knows
const MOST_PINS = 200;

function readPins() {
  try {
    const pins = JSON.parse(localStorage.getItem(PINS) || "[]");
    return Array.isArray(pins) ? pins.filter((pin) => typeof pin === "string") : [];
  } catch { // it may be switched off, or hold something else
    return [];
  }
}

function keepPin(run, pinned) {
  const others = readPins().filter((pin) => pin !== run);
  localStorage.setItem(PINS, JSON.stringify(pinned ? [...others, run].slice(-MOST_PINS) : others));
  return pinned;
}

const day = (iso) => new Date(iso).toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" });
const fill = (sentence, values) => sentence.replace(/\{(\w+)\}/g, (_, name) => values[name]);

function picture(best, alt, kind) {
  const inner = best ? el("img", { src: best.image, width: 160, height: 160, alt, loading: "lazy" })
    : el("span", { class: "bs-empty", text: text.noImage });
  return el("div", { class: `bs-shot bs-shot-${kind}` }, inner);
}

function badge(kind, words) {
  return el("span", { class: `bs-badge bs-badge-${kind}`, text: words });
}

class Card {
  constructor(run, gallery) {
    Object.assign(this, { run, gallery });
    this.choice = el("input", { type: "checkbox", onchange: () => gallery.choose(run, this.choice.checked) });
    this.element = el("li", { class: "bs-run" }, [this.pictures(), this.words(), this.actions()]);
  }

  pictures() {
    const { run } = this;
    const of = (who, best) => `Best image of ${who} for “${run.prompt}”${best ? `, score ${number(best.score)}` : ""}`;
    return el("a", { class: "bs-shots", href: `/?run=${run.run}`, tabindex: "-1", "aria-hidden": "true" }, [
      picture(run.best, of("the search", run.best), "first"),
      run.beside ? picture(run.beside.best, of(run.beside.label, run.beside.best), "second") : null]);
  }

  words() {
    const { run } = this;
    const score = run.best ? `${run.verifier} ${number(run.best.score, 2)}` : "–";
    const against = run.beside && run.beside.best ? ` · ${run.beside.label} ${number(run.beside.best.score, 2)}` : "";
    this.pinned = badge("pinned", text.pinned);
    this.pinned.hidden = !run.pinned;
    return el("div", { class: "bs-run-words" }, [
      el("h2", {}, el("a", { href: `/?run=${run.run}`, text: run.prompt })),
      el("p", { class: "bs-run-score", text: score + against }),
      el("p", { class: "bs-muted", text: `${run.method} · seed ${run.seed}` }),
      el("p", { class: "bs-muted", text: `${gflop(run.gflop)} GFLOP · ${run.nodes} nodes · ${day(run.created)}` }),
      run.parent ? el("p", { class: "bs-muted", text: text.resumed + (run.regret ? `: ${run.regret}` : "") }) : null,
      el("p", { class: "bs-badges" }, [run.recorded ? badge("recorded", run.lesson ? text.lesson : text.recorded) : badge("own", text.own),
        run.private ? badge("private", text.private) : null, this.pinned,
        ["done", "budget"].includes(run.state) ? null : badge("state", strings.states[run.state] || run.state)]),
    ]);
  }

  actions() {
    const { run } = this;
    const compare = el("label", { class: "bs-choice" }, [this.choice, text.choose]);
    const restore = run.link && el("a", { class: "bs-button", href: run.link, title: text.restoreHint, text: text.restore });
    this.row = el("div", { class: "bs-run-actions" }, [compare, restore]);
    this.row.append(this.pinButton());
    if (!run.recorded) this.row.append(this.deleteButton());
    return this.row;
  }

  pinButton() {
    const { run } = this;
    const button = el("button", { type: "button", class: "bs-button", title: run.recorded ? text.pinHere : text.pinHint, "aria-pressed": String(run.pinned),
      text: run.pinned ? text.unpin : text.pin,
      onclick: () => this.gallery.tried(async () => {
        const pinned = !run.pinned;
        run.pinned = run.recorded ? keepPin(run.run, pinned) : (await post("/data/pin", { run: run.run, pinned })).pinned;
        setText(button, run.pinned ? text.unpin : text.pin);
        button.setAttribute("aria-pressed", String(run.pinned));
        this.pinned.hidden = !run.pinned;
      }) });
    return button;
  }

  deleteButton() {
    return el("button", { type: "button", class: "bs-button", text: text.delete, onclick: () => this.ask() });
  }

  ask() {
    const { run } = this;
    const gone = el("button", { type: "button", class: "bs-button bs-danger", text: text.delete,
      onclick: () => this.gallery.tried(async () => {
        await post("/data/delete", { run: run.run });
        this.gallery.forget(run);
      }) });
    const stay = el("button", { type: "button", class: "bs-button", text: text.keep, onclick: () => {
      question.replaceWith(this.row);
      this.row.lastElementChild.focus();
    } });
    const question = el("div", { class: "bs-run-actions", role: "alert" }, [el("span", { text: text.sure }), gone, stay]);
    this.row.replaceWith(question);
    stay.focus();
  }
}

class Gallery {
  constructor(root) {
    Object.assign(this, { runs: [], chosen: [], filter: "all", ticket: 0 });
    this.list = el("ul", { class: "bs-runs", "aria-label": text.heading });
    this.status = el("p", { class: "bs-muted", role: "status", text: text.loading });
    this.message = el("p", { class: "bs-notice", role: "alert", hidden: true });
    this.tray = el("aside", { class: "bs-tray", "aria-label": text.tray, hidden: true });
    root.replaceChildren(el("h1", { text: text.heading }), el("p", { class: "bs-intro", text: text.intro }),
      this.tools(), this.message, this.status, this.list, this.tray);
    this.load("");
  }

  tools() {
    const words = new URLSearchParams(location.search).get("q") || "";
    this.search = el("input", { type: "search", class: "bs-search", placeholder: text.search, "aria-label": text.search, maxlength: "200",
      oninput: () => { clearTimeout(this.timer); this.timer = setTimeout(() => this.load(this.search.value), TYPING); } });
    this.search.value = words;
    const filters = Object.keys(FILTERS).map((name) => el("button", { type: "button", class: "bs-tab", text: text[name],
      "aria-pressed": String(name === this.filter), onclick: (event) => this.sieve(name, event.currentTarget) }));
    return el("div", { class: "bs-tools" }, [this.search, el("div", { class: "bs-tabs", role: "group", "aria-label": text.filter }, filters)]);
  }

  sieve(name, button) {
    this.filter = name;
    for (const other of button.parentElement.children) other.setAttribute("aria-pressed", String(other === button));
    this.show();
  }

  async load(words) {
    const ticket = (this.ticket += 1);
    await this.tried(async () => {
      const { runs } = await get("/data/runs", { q: words.slice(0, 200) });
      if (ticket !== this.ticket) return;
      const pins = new Set(readPins());
      this.runs = runs.map((run) => ({ ...run, pinned: run.pinned || (run.recorded && pins.has(run.run)) }));
      this.show();
    });
  }

  // Do something that the server may refuse; the refusal is said, and nothing else changes.
  async tried(what) {
    this.message.hidden = true;
    try {
      await what();
    } catch (error) {
      this.message.hidden = false;
      setText(this.message, error.message);
      setText(this.status, "");
    }
  }

  show() {
    const everything = this.filter === "all" && this.search.value.trim(); // who looks for words wants lessons too
    const shown = everything ? this.runs : this.runs.filter(FILTERS[this.filter]);
    this.cards = new Map(shown.map((run) => [run.run, new Card(run, this)]));
    this.list.replaceChildren(...[...this.cards.values()].map((card) => card.element));
    this.tell(shown);
    this.showTray();
  }

  tell(shown) {
    const ownless = this.filter === "own" && !this.search.value;
    const count = shown.length === 1 ? text.countOne : fill(text.count, { count: shown.length });
    const lessons = this.filter === "all" && !this.search.value.trim() ? this.runs.filter(FILTERS.lessons).length : 0;
    const more = lessons ? ` · ${fill(lessons === 1 ? text.moreOne : text.more, { count: lessons })}` : "";
    const none = ownless ? text.noneOwn : this.filter === "pinned" && !this.search.value ? text.nonePinned : text.none;
    setText(this.status, (shown.length ? count : none) + more);
    if (!shown.length && ownless) this.status.append(" ", el("a", { href: "/", text: text.explore }));
  }

  forget(run) {
    this.runs = this.runs.filter((other) => other !== run);
    this.chosen = this.chosen.filter((other) => other.run !== run.run);
    this.show();
    setText(this.status, text.deleted);
    this.search.focus();
  }

  choose(run, yes) {
    this.chosen = this.chosen.filter((other) => other.run !== run.run);
    if (yes) this.chosen.push(run);
    this.showTray();
  }

  showTray() {
    const full = this.chosen.length >= TOGETHER;
    for (const [id, card] of this.cards || []) {
      card.choice.checked = this.chosen.some((run) => run.run === id);
      card.choice.disabled = full && !card.choice.checked;
      card.choice.parentElement.title = card.choice.disabled ? text.full : "";
    }
    this.tray.hidden = !this.chosen.length;
    this.tray.replaceChildren(...this.chosen.map((run) => (run.best
      ? el("img", { src: `${run.best.image}?px=64`, width: 40, height: 40, alt: run.prompt, title: run.prompt })
      : el("span", { class: "bs-tray-empty", text: "–", title: run.prompt }))), this.go(), el("button", { type: "button", class: "bs-button",
      text: text.clear, onclick: () => { this.chosen = []; this.showTray(); } }));
  }

  go() {
    const { length } = this.chosen;
    if (length < 2) return el("span", { class: "bs-muted", text: text.one });
    const runs = this.chosen.map((run) => run.run).join(",");
    return el("a", { class: "bs-button bs-primary", href: `/compare?runs=${runs}`, text: fill(text.compare, { count: length }) });
  }
}

new Gallery(document.getElementById("bs-root"));
