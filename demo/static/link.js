// The address of what is seen: run, step, node and view. It is written as a person goes, and read once per run.

const LATER = 400; // ms after the last change
const TOGGLES = ["thumbnails", "pruned", "labels", "tidy", "table"];
const USUAL = { thumbnails: true, pruned: true, labels: false, tidy: false, table: false };
const CHOICES = { lanes: ["both", "0", "1"], mode: ["side", "slider", "difference", "blind"], axis: ["gflop", "nfe", "seconds"] };

const whole = (text) => (/^\d{1,7}$/.test(text || "") ? Number(text) : null);

// "23" of the first lane, "1.23" of the second.
function focusOf(text) {
  const [, lane, id] = /^(?:(\d{1,2})\.)?(\d{1,7})$/.exec(text || "") || [];
  return id === undefined ? null : { lane: Number(lane || 0), id: Number(id) };
}

// {step, node, lane, view} of an address; what is not there or makes no sense is null or left out.
export function readLink(search) {
  const query = new URLSearchParams(search);
  const view = {};
  for (const word of (query.get("view") || "").split(",")) {
    const [name, value] = word.split(":");
    if (TOGGLES.includes(name)) view[name] = !USUAL[name];
    else if (Object.hasOwn(CHOICES, name) && CHOICES[name].includes(value)) view[name] = value;
  }
  return { step: whole(query.get("step")), node: whole(query.get("node")), lane: whole(query.get("lane")) || 0, focus: focusOf(query.get("focus")), view };
}

// The address of what a stage shows.
export function writeLink(stage) {
  const { comparison, selected, lane, view } = stage;
  const query = new URLSearchParams({ run: comparison.run });
  if (comparison.position < comparison.length) query.set("step", comparison.position);
  if (selected !== null) query.set("node", selected);
  if (selected !== null && lane) query.set("lane", lane);
  const { focused } = stage;
  if (focused) query.set("focus", focused.lane ? `${focused.lane}.${focused.id}` : focused.id);
  const words = TOGGLES.filter((name) => view[name] !== USUAL[name]);
  for (const [name, choices] of Object.entries(CHOICES)) {
    if (stage.chosen.has(name) && choices.includes(view[name])) words.push(`${name}:${view[name]}`);
  }
  if (words.length) query.set("view", words.join(","));
  const settings = comparison.head.settings ? `&${comparison.head.settings}` : ""; // should the run be gone, it can be made again
  return `?${query.toString().replaceAll("%2C", ",").replaceAll("%3A", ":")}${settings}`;
}

export function mountLink(stage) {
  let timer = null;
  let wanted = readLink(location.search);
  stage.chosen = new Set(Object.keys(wanted.view));
  stage.setView(wanted.view);

  // A recorded run that nobody touched keeps the plain address.
  const write = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const touched = !stage.recorded || stage.touched;
      if (stage.comparison && touched && !stage.playing && !wanted) history.replaceState(null, "", writeLink(stage));
    }, LATER);
  };
  stage.on("view", (names) => {
    names.forEach((name) => stage.chosen.add(name));
    if (stage.comparison) stage.touched = true;
    write();
  });
  stage.on("focus", write);
  stage.on("select", (id) => {
    if (id !== null) stage.touched = true;
    write();
  });
  stage.on("frame", () => {
    if (wanted && stage.comparison) restore();
    write();
  });
  stage.on("run", () => (stage.touched = false));

  function restore() {
    const { step, node, lane, focus } = wanted;
    if (stage.recorded || (step === null && node === null && focus === null)) return void (wanted = null);
    const { comparison } = stage;
    if (step !== null && comparison.length < step && comparison.live) return; // not there yet
    wanted = null;
    if (step !== null) stage.seek(Math.min(step, comparison.length));
    if (node !== null && comparison.all[lane]?.rows.has(node)) stage.pick(node, lane, false);
    if (focus && comparison.all[focus.lane]?.rows.has(focus.id)) stage.focus(focus);
  }
}
