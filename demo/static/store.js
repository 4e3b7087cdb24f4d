// A comparison as the browser holds it: per lane an append-only list of frames made by the server, and the picture
// that the first `shown` of them add up to. A frame carries what changed of the rows and the facts after one event, so
// going forward is assignment and going back is starting over. No layout, rank or score is computed here.

const BLANK = { parent: null, x: 0, y: null, h: 0, score: null, state: "live", rank: null, of: null, image: null, children: 0, made: "step", mark: null, by: "verifier" };

class Lane {
  constructor(run) {
    Object.assign(this, { run, label: "", head: null });
    this.frames = [];
    this.rewind();
  }

  rewind() {
    this.shown = 0;
    this.rows = new Map();
    this.facts = null;
    this.curve = [];
  }

  // Frames are numbered without gaps; a repeated one is ignored and a gap is left for the next pull to fill.
  add(frames) {
    for (const frame of frames) if (frame.seq === this.frames.length) this.frames.push(frame);
  }

  advance(count) {
    while (this.shown < count) this.apply(this.frames[this.shown++]);
  }

  apply(frame) {
    for (const row of frame.nodes) this.rows.set(row.id, { ...(this.rows.get(row.id) || BLANK), ...row });
    const before = this.facts && this.facts.best;
    this.facts = frame;
    if (!frame.best || (before && before.peak === frame.best.peak)) return;
    const { gflop, nfe, seconds, best } = frame;
    this.curve.push({ gflop, nfe, seconds, score: best.peak, node: best.node, image: best.image });
  }
}

export class Comparison {
  constructor(reply) {
    this.run = reply.run;
    this.lanes = reply.lanes.map((lane) => new Lane(lane.run));
    this.order = [];
    this.merge(reply);
  }

  // state: what the server is doing with the run, null if nothing; own: whether this visitor started it;
  // retry: the name of a smaller search where memory was too small for this one.
  merge({ head, live, queue, state, own, retry, lanes }) {
    Object.assign(this, { head, live, queue, state, own, retry });
    this.lanes.forEach((lane, index) => {
      if (!lanes[index]) return;
      Object.assign(lane, { label: lanes[index].label, head: { ...head, steps: lanes[index].steps } });
      lane.add(lanes[index].frames);
    });
  }

  since() {
    return this.lanes.map((lane) => lane.frames.length);
  }

  get length() {
    return this.lanes.reduce((sum, lane) => sum + lane.frames.length, 0);
  }

  get position() {
    return this.lanes.reduce((sum, lane) => sum + lane.shown, 0);
  }

  showAll() {
    this.lanes.forEach((lane) => lane.advance(lane.frames.length));
  }

  // A replay interleaves the lanes by the compute they had spent: the lane that spent less moves first.
  timeline() {
    if (this.order.length === this.length) return this.order;
    const next = this.lanes.map(() => 0);
    const spent = (index) => {
      const frame = this.lanes[index].frames[next[index]];
      return frame ? frame.gflop : Infinity;
    };
    this.order = [];
    while (this.order.length < this.length) {
      const index = this.lanes.map((_, i) => i).reduce((a, b) => (spent(b) < spent(a) ? b : a));
      next[index] += 1;
      this.order.push(index);
    }
    return this.order;
  }

  goto(position) {
    const counts = this.lanes.map(() => 0);
    for (const index of this.timeline().slice(0, position)) counts[index] += 1;
    this.lanes.forEach((lane, index) => {
      if (counts[index] < lane.shown) lane.rewind();
      lane.advance(counts[index]);
    });
  }
}
