// What a person may change of how the trees are shown: which of them, and toggles.

import { el, setText } from "./dom.js";
import { panesOf } from "./family.js";
import { strings } from "/page/strings.js";

const TOGGLES = ["thumbnails", "pruned", "labels", "tidy", "table"];
const PHONE = "(max-width: 699px)"; // as in page.css: two trees do not fit beside each other

// Buttons of which one is pressed. choices: [[value, label]].
export function segmented(label, choices, onChoose) {
  const buttons = choices.map(([value, name]) => [value, el("button", { type: "button", text: name, onclick: () => onChoose(value) })]);
  const element = el("div", { class: "bs-switch", role: "group", "aria-label": label }, buttons.map(([, button]) => button));
  const show = (chosen) => buttons.forEach(([value, button]) => button.setAttribute("aria-pressed", String(value === chosen)));
  return { element, show, buttons: new Map(buttons) };
}

export function mountToolbar(stage) {
  const lanes = segmented(strings.tree.which, [["both", strings.tree.both], ["0", ""], ["1", ""]], (value) => stage.setView({ lanes: value }));
  const toggles = TOGGLES.map((name) => {
    const toggle = () => stage.setView({ [name]: !stage.view[name] });
    return [name, el("button", { type: "button", class: "bs-chip", text: strings.toggles[name], title: strings.toggles[`${name}_help`], onclick: toggle })];
  });
  stage.slots.toolbar.append(lanes.element, el("div", { class: "bs-toggles", role: "group", "aria-label": strings.toggles.label },
    toggles.map(([, button]) => button)));
  const show = () => {
    lanes.show(stage.view.lanes);
    toggles.forEach(([name, button]) => button.setAttribute("aria-pressed", String(stage.view[name])));
    if (!stage.comparison) return;
    const panes = panesOf(stage.comparison);
    lanes.element.classList.toggle("bs-absent", panes.length < 2);
    panes.forEach(({ host }, index) => {
      const { name, label } = stage.comparison.all[host];
      setText(lanes.buttons.get(String(index)), (name || label).split(" · ")[0]);
    });
  };
  lanes.element.classList.add("bs-absent"); // buttons without a name until there is a run
  const phone = matchMedia(PHONE);
  const fit = () => {
    lanes.buttons.get("both").hidden = phone.matches;
    if (phone.matches && stage.view.lanes === "both") stage.setView({ lanes: "0" });
    else if (!phone.matches && !stage.laneChosen) stage.setView({ lanes: "both" });
  };
  lanes.element.addEventListener("click", () => (stage.laneChosen = true));
  phone.addEventListener("change", fit);
  stage.on("frame", show);
  stage.on("view", show);
  fit();
  show();
}
