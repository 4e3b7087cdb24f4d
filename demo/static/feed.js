// Frames of a run as the server makes them. One path serves a live run, a reload, a second tab and a recorded run:
// ask for what is missing after the last known frame, over and over until the run is over.

import { get } from "./api.js";
import { strings } from "/page/strings.js";

const PAUSE = 70; // ms between two questions: more frames a second would only be drawn over
const RETRY = 1500; // ms between tries while the server cannot be reached

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Feed {
  // since() -> frames known per lane; onReply(reply); onLost(sentence) while the server is away; onRefused(sentence).
  constructor({ since, onReply, onLost, onRefused }) {
    Object.assign(this, { since, onReply, onLost, onRefused, ticket: 0, early: null });
  }

  // Ask for the beginning of a run that will be followed as soon as the page around is ready for it.
  expect(run) {
    const reply = get("/data/frames", { run, since: [] });
    reply.catch(() => null); // whoever follows the run hears of it
    this.early = { run, reply };
  }

  stop() {
    this.ticket += 1;
  }

  async follow(run) {
    const ticket = (this.ticket += 1);
    while (ticket === this.ticket) {
      const reply = await this.ask(run, ticket);
      if (ticket !== this.ticket || reply === undefined) return;
      if (reply) {
        this.onReply(reply);
        if (!reply.live && !reply.growing) return;
      }
      await wait(reply ? PAUSE : RETRY);
    }
  }

  // A reply; null if the server is away, undefined if it refuses.
  async ask(run, ticket) {
    const since = this.since();
    const early = this.early && this.early.run === run && !since.length ? this.early.reply : null;
    this.early = null;
    try {
      return await (early || get("/data/frames", { run, since }));
    } catch (error) {
      if (ticket !== this.ticket) return null;
      if (error.status >= 400 && error.status < 500) return void this.onRefused(error.message);
      this.onLost(strings.stage.lost);
      return null;
    }
  }
}
