// The tidy layout: children beside their parent, subtrees packed without crossings (Reingold and Tilford 1981).

// Rows with new places; the others' are left alone.
export function tidied(rows) {
  const byId = new Map(rows.map((row) => [row.id, row]));
  const children = new Map();
  const roots = [];
  for (const row of rows) {
    if (!byId.has(row.parent)) roots.push(row);
    else if (children.has(row.parent)) children.get(row.parent).push(row);
    else children.set(row.parent, [row]);
  }
  for (const list of children.values()) list.sort((a, b) => a.y - b.y);
  const places = new Map();
  let foot = new Map(); // by step: where the next subtree may begin
  for (const root of roots) foot = settle(root, children, foot, places);
  return rows.map((row) => ({ ...row, y: places.get(row.id) }));
}

// Put a subtree below what stands there already; without recursion, since a chain may be long.
function settle(root, children, foot, places) {
  const stack = [[root, false]];
  while (stack.length) {
    const [row, done] = stack.pop();
    const below = children.get(row.id) || [];
    if (!done && below.length) {
      stack.push([row, true], ...[...below].reverse().map((child) => [child, false]));
      continue;
    }
    const free = (foot.get(row.x) || 0) + row.h / 2;
    const wanted = below.length ? (places.get(below[0].id) + places.get(below.at(-1).id)) / 2 : free;
    if (wanted < free) move(row, children, places, foot, free - wanted);
    places.set(row.id, Math.max(wanted, free));
    foot.set(row.x, places.get(row.id) + row.h / 2);
  }
  return foot;
}

// A parent that finds no room beside its children takes them along downwards.
function move(row, children, places, foot, by) {
  const list = [...(children.get(row.id) || [])];
  while (list.length) {
    const child = list.pop();
    places.set(child.id, places.get(child.id) + by);
    foot.set(child.x, Math.max(foot.get(child.x) || 0, places.get(child.id) + child.h / 2));
    list.push(...(children.get(child.id) || []));
  }
}
