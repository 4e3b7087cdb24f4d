// A run.zip or a result that is dropped anywhere on the page is opened.

import { el, setText } from "./dom.js";
import { handIn } from "./saving.js";
import { strings } from "/page/strings.js";

const text = strings.drop;
const brings = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");

class DropZone {
  constructor(stage) {
    Object.assign(this, { stage, depth: 0, sentence: el("p", { text: text.hint }) });
    this.element = el("div", { class: "bs-drop", hidden: true, "aria-hidden": "true" }, this.sentence);
    for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
      window.addEventListener(name, (event) => brings(event) && this[name](event), true);
    }
  }

  dragenter(event) {
    event.preventDefault();
    this.depth += 1;
    setText(this.sentence, text.hint);
    this.element.hidden = false;
  }

  dragover(event) {
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
  }

  dragleave() {
    this.depth = Math.max(0, this.depth - 1);
    this.element.hidden = this.depth === 0;
  }

  async drop(event) {
    event.preventDefault();
    event.stopPropagation();
    this.depth = 0;
    const [file] = event.dataTransfer.files;
    if (!file) return void (this.element.hidden = true);
    setText(this.sentence, text.opening);
    this.stage.emit("say", text.opening);
    try {
      location.href = await handIn(file);
    } catch (error) {
      this.element.hidden = true;
      this.stage.emit("warn", error.message);
    }
  }
}

export function mountDrop(stage) {
  document.body.append(new DropZone(stage).element);
}
