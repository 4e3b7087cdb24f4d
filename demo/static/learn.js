// Learn: six lessons beside the real stage. A scene is a recorded run up to one event, with one node chosen; whatever
// a visitor does to the stage in between, the next scene sets it again.

import { get } from "./api.js";
import { el, reducedMotion, setText } from "./dom.js";
import { Stage } from "./stage.js";
import { loadPlotly } from "./plotly.js";
import { strings } from "/page/strings.js";

const text = strings.learn;
const SECONDS = 1.6; // for the way from one scene to the next
const FRAME = 90; // ms between two pictures of it

const fill = (sentence, values) => sentence.replace(/\{(\w+)\}/g, (_, name) => values[name]);

// The place in the replay at which the first lane has shown `count` frames; all of the others' too if it is the end.
function placeOf(comparison, count) {
  const [lane] = comparison.lanes;
  if (count >= lane.frames.length) return comparison.length;
  let shown = 0;
  const place = comparison.timeline().findIndex((index) => (shown += index === 0 ? 1 : 0) >= count);
  return place < 0 ? comparison.length : place + 1;
}

class Theatre {
  constructor(root) {
    Object.assign(this, { scene: null, timer: null, ticket: 0 });
    this.stage = new Stage(root, { server: {
      frames: ({ run, since }) => get("/data/frames", { run, since }),
      inspect: ({ run, node }) => get("/data/inspect", { run, node }),
    }, trigger: () => {} });
    this.stage.on("recorded", () => { this.stage.pause(); this.arrive(0); });
    loadPlotly().then(() => this.stage.emit("drawable"), () => this.stage.emit("warn", strings.stage.undrawable));
  }

  play(scene) {
    this.scene = scene;
    clearInterval(this.timer);
    const { comparison } = this.stage;
    if (comparison && comparison.run === scene.run) return this.arrive(this.stage.position);
    this.stage.attach({ run: scene.run, replay: true, ticket: `learn-${(this.ticket += 1)}` });
  }

  // Go from a place to the scene's, seen as a replay if motion is welcome, and choose its node.
  arrive(from) {
    const { stage, scene } = this;
    stage.pause();
    stage.unpick();
    const to = placeOf(stage.comparison, scene.seq + 1);
    const steps = reducedMotion() || to <= from ? 1 : Math.min(to - from, Math.round((SECONDS * 1000) / FRAME));
    let done = 0;
    const on = () => {
      done += 1;
      stage.jump(done >= steps ? to : from + Math.round(((to - from) * done) / steps));
      if (done < steps) return;
      clearInterval(this.timer);
      if (scene.node !== null) stage.pick(scene.node, 0, false);
      if (scene.part) stage.slots[scene.part].scrollIntoView({ block: "nearest", behavior: reducedMotion() ? "auto" : "smooth" });
    };
    on();
    if (done < steps) this.timer = setInterval(on, FRAME);
  }
}

class Lessons {
  constructor(root, lessons) {
    Object.assign(this, { lessons, lesson: 0, scene: 0 });
    this.nav = el("ol", { class: "bs-lessons", "aria-label": text.lessons }, lessons.map((lesson, index) => el("li", {}, el("button", {
      type: "button", class: "bs-lesson", onclick: () => this.go(index, 0) }, [el("span", { class: "bs-number", text: String(index + 1) }), lesson.title]))));
    this.card = el("section", { class: "bs-lesson-card bs-panel-box", "aria-label": text.lessons });
    const view = el("div", { class: "bs-stage" });
    root.replaceChildren(el("h1", { text: text.heading }), el("p", { class: "bs-intro", text: text.intro }), this.nav,
      el("div", { class: "bs-learn-body" }, [this.card, view]));
    this.build();
    this.theatre = new Theatre(view);
    window.beamscope = this.theatre.stage; // for tests and for people who look under the hood
    this.read();
    addEventListener("popstate", () => this.read());
  }

  build() {
    this.place = el("p", { class: "bs-muted" });
    this.title = el("h2", { tabindex: "-1" });
    this.chips = el("div", { class: "bs-scenes", role: "group", "aria-label": text.lesson.split(" ")[0] });
    this.heading = el("h3", {});
    this.words = el("p", { class: "bs-lesson-text" });
    this.live = el("div", { "aria-live": "polite" }, [this.heading, this.words]);
    this.back = el("button", { type: "button", class: "bs-button", text: text.back, onclick: () => this.step(-1) });
    this.next = el("button", { type: "button", class: "bs-button bs-primary", onclick: () => this.step(1) });
    this.attempt = el("a", { class: "bs-button", title: text.tryHint, text: text.try });
    this.card.append(this.place, this.title, this.chips, this.live,
      el("div", { class: "bs-lesson-buttons" }, [this.back, this.next, this.attempt]));
  }

  // The address holds the lesson and the scene, so that a teacher can send a link to it: ?lesson=3&scene=2.
  read() {
    const query = new URLSearchParams(location.search);
    const whole = (name, most) => Math.min(most, Math.max(1, Math.trunc(Number(query.get(name))) || 1)) - 1;
    this.lesson = whole("lesson", this.lessons.length);
    this.scene = whole("scene", this.lessons[this.lesson].scenes.length);
    this.show();
  }

  go(lesson, scene) {
    Object.assign(this, { lesson, scene });
    const query = new URLSearchParams(location.search);
    query.set("lesson", lesson + 1);
    query.set("scene", scene + 1);
    history.replaceState(null, "", `?${query}`);
    this.show();
  }

  step(by) {
    const scene = this.scene + by;
    if (scene >= 0 && scene < this.lessons[this.lesson].scenes.length) return this.go(this.lesson, scene);
    const lesson = this.lesson + by;
    if (lesson >= this.lessons.length) return void location.assign("/");
    this.go(lesson, by < 0 ? this.lessons[lesson].scenes.length - 1 : 0);
    this.title.focus({ preventScroll: true });
  }

  show() {
    const lesson = this.lessons[this.lesson];
    const scene = lesson.scenes[this.scene];
    const last = this.scene === lesson.scenes.length - 1;
    setText(this.place, fill(text.lesson, { n: this.lesson + 1, total: this.lessons.length }));
    setText(this.title, lesson.title);
    setText(this.heading, scene.title);
    setText(this.words, scene.text);
    this.chips.replaceChildren(...lesson.scenes.map((one, index) => el("button", { type: "button", class: "bs-scene",
      "aria-current": index === this.scene ? "step" : null, text: one.title, onclick: () => this.go(this.lesson, index) })));
    [...this.nav.children].forEach((item, index) => {
      if (index === this.lesson) {
        item.firstChild.setAttribute("aria-current", "page");
        this.nav.scrollTo({ left: item.offsetLeft - 20 }); // on a phone the list is a strip
      } else item.firstChild.removeAttribute("aria-current");
    });
    this.back.disabled = this.lesson === 0 && this.scene === 0;
    setText(this.next, !last ? text.next : this.lesson === this.lessons.length - 1 ? text.done : text.nextLesson);
    this.attempt.href = `/?run=${scene.run}`;
    this.theatre.play(scene);
  }
}

async function start(root) {
  const say = (sentence) => root.replaceChildren(el("h1", { text: text.heading }), el("p", { class: "bs-notice", role: "alert", text: sentence }));
  try {
    const { lessons } = await get("/data/lessons");
    if (!lessons.length) return say(text.missing);
    new Lessons(root, lessons);
  } catch (error) {
    say(error.message);
  }
}

start(document.getElementById("bs-root"));
