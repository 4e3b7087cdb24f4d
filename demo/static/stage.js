// The stage: one comparison, the place in it that is shown, and the parts that show it. It only composes: every part
// is a module of its own that is mounted once and listens.
//
// Events: "run" another run is attached · "frame" what is shown changed · "select" (node id or null, lane, open)
// · "view" (changed names) how it is shown changed · "reply" the server told something · "live" (bool) the run began or
// ended · "recorded" a recorded run may be replayed · "warn" (sentence or null) · "say" (sentence for people who listen)
// · "pinned" (node or null) another node is B · "focus" · "filter" · "series" more is known of its repeats · "drawable" the drawing library is there.

import { mountChart } from "./chart.js";
import { mountChoose } from "./choose.js";
import { mountCompare } from "./compare.js";
import { mountControl } from "./control.js";
import { Feed } from "./feed.js";
import { mountFilter } from "./filter_box.js";
import { mountFocus } from "./focus.js";
import { mountInsights } from "./insights.js";
import { mountInspector } from "./inspector.js";
import { mountKeys } from "./keys.js";
import { mountLink } from "./link.js";
import { mountPinned } from "./pinned.js";
import { mountPlayer } from "./player.js";
import { loadPlotly } from "./plotly.js";
import { mountQueue } from "./queue.js";
import { mountReady } from "./ready.js";
import { mountRetry } from "./retry.js";
import { mountSharing } from "./sharing.js";
import { buildSlots } from "./slots.js";
import { mountStatus } from "./status.js";
import { Comparison } from "./store.js";
import { mountTable } from "./table.js";
import { mountToolbar } from "./toolbar.js";
import { mountTrees } from "./trees.js";
import { strings } from "/page/strings.js";

const PARTS = [mountStatus, mountRetry, mountQueue, mountControl, mountTrees, mountTable, mountToolbar, mountPinned, mountFocus, mountFilter, mountPlayer,
  mountInspector, mountChoose, mountCompare, mountChart, mountKeys, mountInsights, mountSharing];
const VIEW = { lanes: "both", thumbnails: true, pruned: true, labels: false, tidy: false, table: false };
const SIDE_BY_SIDE = 1200; // px of width, as in page.css

export class Stage {
  constructor(root, { trigger }) {
    Object.assign(this, { trigger, comparison: null, following: true, playing: false, recorded: false });
    Object.assign(this, { selected: null, lane: 0, listeners: new Map(), view: { ...VIEW }, slots: buildSlots(root) });
    this.feed = new Feed({
      since: () => (this.comparison ? this.comparison.since() : []),
      onReply: (reply) => this.receive(reply),
      onLost: (sentence) => this.emit("warn", sentence),
      onRefused: (sentence) => this.refuse(sentence),
    });
    for (const mount of PARTS) mount(this);
  }

  on(name, listener) {
    if (!this.listeners.has(name)) this.listeners.set(name, []);
    this.listeners.get(name).push(listener);
  }

  emit(name, ...values) {
    for (const listener of this.listeners.get(name) || []) listener(...values);
  }

  // How things are shown, by a person's choice: toggles, modes, which lanes. Parts keep their choices here, so that a
  // link can carry them.
  setView(changes) {
    Object.assign(this.view, changes);
    this.emit("view", Object.keys(changes));
  }

  get position() {
    return this.comparison ? this.comparison.position : 0;
  }

  // -- which run ------------------------------------------------------------------------------------------------

  // value: {run, ticket, replay}, as demo/layout.py sends it.
  attach(value) {
    if (value && value.warn) this.emit("warn", value.warn);
    if (!value || !value.run || value.ticket === this.asked) return;
    this.asked = value.ticket;
    this.unpick();
    this.comparison = this.lively = null;
    this.following = !value.replay;
    this.recorded = Boolean(value.replay);
    if (!value.replay) history.replaceState(null, "", `?run=${encodeURIComponent(value.run)}`);
    this.emit("run", value.run);
    this.feed.follow(value.run);
  }

  receive(reply) {
    if (this.comparison && !this.comparison.knows(reply)) {
      this.comparison = null; // asked for anew
      return void this.feed.follow(reply.run);
    }
    const first = !this.comparison;
    if (first) this.comparison = new Comparison(reply);
    else this.comparison.merge(reply);
    if (this.following) this.comparison.showAll();
    this.emit("reply");
    this.emit("warn", reply.notice);
    this.settle(reply.live);
    if (first && this.recorded) this.emit("recorded");
    this.show();
  }

  // Ask again, where something changed that a run that is over does not tell of itself.
  refresh() {
    this.feed.follow(this.comparison.run);
  }

  refuse(sentence) {
    this.emit("warn", sentence);
    this.settle(false);
  }

  // The controls belong to the page around the stage; it is told when a run begins and ends.
  settle(live) {
    if (this.lively === live) return;
    this.lively = live;
    this.trigger("live", { live, run: this.comparison && this.comparison.run });
    this.emit("live", live);
  }

  // -- what is shown --------------------------------------------------------------------------------------------

  jump(position) {
    this.comparison.goto(position);
    this.following = (this.comparison.live || this.comparison.growing) && position >= this.comparison.length;
    this.show();
  }

  pick(id, lane = 0, open = false) {
    if (!this.comparison || !this.comparison.all[lane]) return;
    Object.assign(this, { selected: id, lane });
    this.emit("select", id, lane, open);
  }

  unpick() {
    Object.assign(this, { selected: null, lane: 0 });
    this.emit("select", null, 0, false);
  }

  show() {
    if (!this.comparison) return;
    this.emit("frame");
    const message = this.comparison.all.map((lane) => lane.facts && lane.facts.message).find(Boolean);
    if (message) this.emit("warn", message);
  }
}

// Above the stage, and not beside it, open settings would push the tree off the screen.
function foldSettings() {
  const opener = document.querySelector("#bs-panel button.label-wrap.open");
  if (opener) opener.click();
}

// Scripts that come out of a cache are faster than the page around them.
async function pageIsThere() {
  while (!document.getElementById("bs-search")) await new Promise((resolve) => setTimeout(resolve, 10));
}

export async function mount(element, api) {
  await pageIsThere();
  const stage = new Stage(element.querySelector(".bs-stage"), api);
  window.beamscope = stage; // for tests and for people who look under the hood
  const run = new URLSearchParams(location.search).get("run");
  if (run) stage.feed.expect(run);
  if (innerWidth < SIDE_BY_SIDE) foldSettings();
  mountLink(stage);
  mountReady(stage);
  api.watch("value", () => stage.attach(api.props.value));
  stage.attach(api.props.value);
  loadPlotly().then(() => stage.emit("drawable"), () => stage.emit("warn", strings.stage.undrawable));
}
