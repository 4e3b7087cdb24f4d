// From units to pixels: margins, the span of both axes, how large a node may be.

const LARGEST = 54; // px: the picture on a kept node, where there is room
const SMALLEST = 9;
const RING = 6; // px that a second outline is larger
const LANE = 0.9; // units above the tree that the arcs have for themselves
const PHONE = "(max-width: 699px)"; // as in page.css

export const ABOVE = LANE;

export function isBack(row, rows) {
  const parent = row.parent === null ? null : rows.get(row.parent);
  return Boolean(parent) && row.x <= parent.x;
}

export const place = (row, down) => (down ? [row.y, row.x] : [row.x, row.y]);
export const isRoot = (row) => row.parent === null && !row.image;

export class Scale {
  // zoomed: lengths of the spans that x and y show, or null for everything.
  constructor(host, { steps, units, before }, zoomed) {
    const down = Scale.isDown();
    const margin = down ? { l: 44, r: 10, t: 8, b: 8 } : { l: 6, r: 6, t: 4, b: 24 };
    Object.assign(this, { width: host.clientWidth, height: host.clientHeight, down, margin, steps, units });
    this.spans = { step: [-0.45, steps - 0.55], unit: [before ? -LANE : -0.1, units + 0.1] };
    const whole = (down ? [this.spans.unit, this.spans.step] : [this.spans.step, this.spans.unit]).map(([low, high]) => high - low);
    const frame = [this.width - margin.l - margin.r, this.height - margin.t - margin.b];
    [this.x, this.y] = (zoomed || whole).map((length, i) => frame[i] / length); // px per unit of each axis
    this.perStep = down ? this.y : this.x;
    this.perUnit = down ? this.x : this.y;
  }

  static isDown() {
    return matchMedia(PHONE).matches;
  }

  // A node of a branch is smaller by the room that its second outline takes.
  size(row) {
    const size = this.room(row);
    return row.branch ? Math.max(SMALLEST - RING / 2, size - RING) : size;
  }

  // Where a second outline is, for nodes that have one.
  outer(row) {
    return row.branch ? this.size(row) + RING : this.room(row) + RING;
  }

  room(row) {
    if (isRoot(row)) return Math.min(16, this.perStep * 0.6);
    return Math.max(SMALLEST, Math.min(row.h * this.perUnit * 0.9, this.perStep * 0.72, LARGEST));
  }

  place(row) {
    return place(row, this.down);
  }
}
