// A comparison as the browser holds it: per lane an append-only list of frames made by the server, and the picture
// that the first `shown` of them add up to. A frame carries what changed of the rows and the facts after one event, so
// going forward is assignment and going back is starting over. No layout, rank or score is computed here.

const BLANK = { parent: null, x: 0, y: null, h: 0, score: null, state: "live", rank: null, of: null, image: null, children: 0, made: "step", mark: null, by: "verifier" };

class Lane {
  constructor(run) {
    Object.assign(this, { run, label: "", name: "", branch: null, beside: false, head: null });
    this.frames = [];
    this.decoded = new Set(); // nodes that were decoded later, because somebody wanted to see them
    this.rewind();
  }

  rewind() {
    this.shown = 0;
    this.rows = new Map();
    this.fresh = []; // nodes that came last
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

  pictured(row) {
    return row.image === null && this.decoded.has(row.id) ? { ...row, image: "t" } : row;
  }

  show(ids) {
    for (const id of ids) {
      if (this.decoded.has(id)) continue;
      this.decoded.add(id);
      if (this.rows.has(id)) this.rows.set(id, this.pictured(this.rows.get(id)));
    }
  }

  apply(frame) {
    const born = frame.nodes.filter((row) => !this.rows.has(row.id)).map((row) => row.id);
    if (born.length) this.fresh = born;
    for (const row of frame.nodes) this.rows.set(row.id, this.pictured({ ...(this.rows.get(row.id) || BLANK), ...row }));
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
    this.lanes = reply.lanes.map((lane) => new Lane(lane.run)); // those that are compared
    this.more = []; // other runs of the same trees
    this.order = [];
    this.merge(reply);
  }

  // state: what the server is doing with the run, null if nothing; own: whether this visitor started it;
  // retry: the name of a smaller search where memory was too small for this one.
  merge({ head, live, growing, queue, state, own, retry, lanes, more = [] }) {
    Object.assign(this, { head, live, growing, queue, state, own, retry });
    const told = [...lanes, ...more];
    for (const { run } of told.slice(this.all.length)) this.more.push(new Lane(run));
    this.all.forEach((lane, index) => {
      if (!told[index]) return;
      const { label, name, branch, beside, steps, frames, decoded } = told[index];
      lane.show(decoded || []);
      Object.assign(lane, { label, name, branch, beside: Boolean(beside), head: { ...head, steps } });
      lane.add(frames);
    });
  }

  // Whether a reply tells of the lanes that are held here, in their order: a run may have been deleted meanwhile.
  knows({ lanes, more = [] }) {
    return this.lanes.length === lanes.length && this.all.every((lane, index) => [...lanes, ...more][index]?.run === lane.run);
  }

  get all() {
    return [...this.lanes, ...this.more];
  }

  since() {
    return this.all.map((lane) => lane.frames.length);
  }

  get length() {
    return this.all.reduce((sum, lane) => sum + lane.frames.length, 0);
  }

  get position() {
    return this.all.reduce((sum, lane) => sum + lane.shown, 0);
  }

  showAll() {
    this.all.forEach((lane) => lane.advance(lane.frames.length));
  }

  // A replay interleaves the lanes by the compute they had spent: the lane that spent less moves first. Branches come
  // after what they grew from, one after the other.
  timeline() {
    if (this.order.length === this.length) return this.order;
    const { all } = this;
    const next = all.map(() => 0);
    const spent = (index) => {
      const frame = all[index].frames[next[index]];
      return frame ? frame.gflop : Infinity;
    };
    this.order = [];
    for (const group of phases(all)) {
      const end = this.order.length + group.reduce((sum, index) => sum + all[index].frames.length, 0);
      while (this.order.length < end) {
        const index = group.reduce((a, b) => (spent(b) < spent(a) ? b : a));
        next[index] += 1;
        this.order.push(index);
      }
    }
    return this.order;
  }

  goto(position) {
    const { all } = this;
    const counts = all.map(() => 0);
    for (const index of this.timeline().slice(0, position)) counts[index] += 1;
    all.forEach((lane, index) => {
      if (counts[index] < lane.shown) lane.rewind();
      lane.advance(counts[index]);
    });
  }
}

// Indices of lanes that move together: all that begin at the prompt, then each branch.
function phases(all) {
  const branches = all.map((_, index) => index).filter((index) => all[index].branch);
  branches.sort((a, b) => all[a].branch.name.localeCompare(all[b].branch.name, undefined, { numeric: true }));
  const first = all.map((_, index) => index).filter((index) => !all[index].branch);
  return [first, ...branches.map((index) => [index])].filter((group) => group.length);
}
