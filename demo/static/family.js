// Branches in the tree they grew from. A run that goes on from a node is a lane like any other; here its rows are put
// into the tree of the run it goes on from: under all that stands there, so that no old node moves, and with keys of
// their own: 7 is a node of the tree's first run, "R2:7" one of the first branch. A branch's first row is the node it
// grows from once more, and is left out.

import { strings } from "/page/strings.js";

const text = strings.tree;
const LEAST = 6; // units of a tree's height, as in tree.js
const GAP = 0.5; // units between what stands one above the other

const tallest = (lane) => lane.frames.reduce((most, frame) => Math.max(most, frame.units), 0);
const counts = (lane) => lane.frames.some((frame) => Object.keys(frame.hidden).length);
const height = (lane) => tallest(lane) + (counts(lane) ? 1 : 0);

// [{host, branches}] by place: indices into comparison.all. A run that was started beside another stands second.
export function panesOf({ all }) {
  const hosts = all.map((_, index) => index).filter((index) => !all[index].branch);
  hosts.sort((a, b) => all[a].beside - all[b].beside || a - b);
  return hosts.slice(0, 2).map((host) => ({ host, branches: branchesOf(all, host) }));
}

function branchesOf(all, host) {
  const hostOf = (index) => {
    const above = all[index].branch ? all.findIndex((lane) => lane.run === all[index].branch.of) : -1;
    return above < 0 ? index : hostOf(above);
  };
  return all.map((_, index) => index).filter((index) => index !== host && hostOf(index) === host)
    .sort((a, b) => compare(all[a].branch.name, all[b].branch.name));
}

const compare = (a, b) => a.localeCompare(b, undefined, { numeric: true });

// What a pane draws: a lane, or one made of a lane and its branches, with `units`, the height that it keeps all the time.
export class Grove {
  constructor(comparison, { host, branches }) {
    Object.assign(this, { all: comparison.all, host, branches });
    this.named = new Map(branches.map((index) => [this.all[index].branch.name, index]));
  }

  // {lane, id} of a key.
  resolve(key) {
    if (typeof key === "number") return { lane: this.host, id: key };
    const [name, id] = key.split(":");
    return { lane: this.named.get(name), id: Number(id) };
  }

  // The key of a lane's node; null where it is not of this tree.
  key(lane, id) {
    if (id === null) return null;
    if (lane === this.host) return id;
    if (!this.branches.includes(lane)) return null;
    const { branch, run } = this.all[lane];
    const { rows } = this.all[lane];
    if (rows.get(id)?.made === "thaw") return this.key(this.all.findIndex((one) => one.run === branch.of && one.run !== run), branch.node);
    return `${branch.name}:${id}`;
  }

  // Keys of the nodes that came last, while their run goes on and they are decoded and judged.
  waiting({ state }) {
    const found = new Set();
    for (const index of [this.host, ...this.branches]) {
      const { facts, shown, frames, rows, fresh } = this.all[index];
      const stands = index === 0 && ["paused", "asking"].includes(state);
      if (!facts || facts.state !== "running" || shown < frames.length || stands) continue;
      for (const id of fresh) {
        const row = rows.get(id);
        if (row.score === null && row.state === "live" && row.parent !== null) found.add(this.key(index, id));
      }
    }
    return found;
  }

  title() {
    const { name, label } = this.all[this.host];
    const names = this.branches.map((index) => this.all[index].branch.name);
    return names.length ? text.withBranches.replace("{name}", name || label).replace("{branches}", names.join(", ")) : name || label;
  }

  // As a lane is. Without branches the host itself.
  lane() {
    const host = this.all[this.host];
    if (!this.branches.length) return host;
    const rows = new Map(host.rows);
    const path = [...(host.facts ? host.facts.path : [])];
    const origins = new Map(); // key of a node that was gone on from -> names
    let foot = height(host);
    const base = Math.max(LEAST, foot);
    const feet = feetOf(host, this.host, foot);
    for (const index of this.branches) {
      const lane = this.all[index];
      const { name, node } = lane.branch;
      const origin = node === null ? null : this.key(this.all.findIndex((one) => one.run === lane.branch.of), node);
      if (!rows.has(origin)) continue; // it has not begun, or not at the time that is shown
      const top = foot + GAP;
      foot = top + height(lane);
      for (const row of lane.rows.values()) {
        if (row.made === "thaw") continue;
        const first = lane.rows.get(row.parent)?.made === "thaw";
        const key = `${name}:${row.id}`;
        rows.set(key, { ...row, id: key, own: row.id, run: lane.run, branch: name, first,
          parent: first ? origin : `${name}:${row.parent}`, y: row.y === null ? null : row.y + top });
      }
      path.push(...(lane.facts ? lane.facts.path : []).map((id) => this.key(index, id)).filter((key) => key !== origin));
      if (lane.rows.size) origins.set(origin, [...(origins.get(origin) || []), name]);
      feet.push(...feetOf(lane, index, foot));
    }
    const best = this.branches.includes(0) ? this.key(0, this.all[0].facts?.path.at(-1) ?? null) : host.facts?.path.at(-1);
    const facts = host.facts && { ...host.facts, path };
    return { run: host.run, label: host.label, name: host.name, head: host.head, frames: host.frames, rows, facts, origins, best, base, units: Math.max(LEAST, foot), feet };
  }
}

// [{step, count, y, lane}]: how many nodes of a step are only counted, and where that stands.
export function feetOf(lane, index, foot) {
  const hidden = (lane.facts && lane.facts.hidden) || {};
  return Object.entries(hidden).map(([step, count]) => ({ step: Number(step), count, y: foot - 0.5, lane: index }));
}
