// The box in which nodes are filtered: those that do not match are dimmed in the trees and left out of the tables.

import { el, setText } from "./dom.js";
import { parseFilter } from "./filter.js";
import { isShown } from "./trees.js";
import { strings } from "/page/strings.js";

const words = strings.filter;

export function mountFilter(stage) {
  const help = el("p", { class: "bs-filter-help", id: "bs-filter-help", role: "status", hidden: true });
  const count = el("span", { class: "bs-filter-count", role: "status" });
  const input = el("input", { type: "search", class: "bs-filter-input", placeholder: words.example, "aria-label": words.label, "aria-describedby": "bs-filter-help",
    autocomplete: "off", spellcheck: "false", maxlength: "200", oninput: () => read(), onfocus: () => explain(), onblur: () => explain() });
  input.addEventListener("keydown", (event) => {
    event.stopPropagation(); // the keys of the page are letters here, and Escape empties the box
    if (event.key !== "Escape") return;
    event.preventDefault();
    input.value = "";
    read();
  });
  stage.slots.tree.closest(".bs-treepane").querySelector(".bs-legend").append(el("div", { class: "bs-filter", role: "search" }, [count, input, help]));
  let problem = null;
  stage.filter = null;

  function read() {
    problem = null;
    try {
      stage.filter = parseFilter(input.value);
    } catch (error) {
      problem = error.message;
      stage.filter = null;
    }
    input.setAttribute("aria-invalid", String(Boolean(problem)));
    explain();
    stage.emit("filter");
    show();
  }

  function explain() {
    const asked = document.activeElement === input && !input.value.trim();
    help.hidden = !(problem || asked);
    help.classList.toggle("bs-error", Boolean(problem));
    setText(help, problem ? `${problem} ${words.help}` : words.help);
  }

  function show() {
    if (!stage.comparison || !stage.filter) return setText(count, "");
    const found = stage.trees.filter((tree, index) => tree.lane && isShown(stage, index)).map((tree) => tree.matching());
    const sum = (name) => found.reduce((total, one) => total + one[name], 0);
    setText(count, words.count.replace("{count}", sum("count")).replace("{of}", sum("of")));
  }
  stage.on("frame", show);
  stage.on("view", show);
  stage.on("focus", show);
}
