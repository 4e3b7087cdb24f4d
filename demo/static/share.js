// The share dialog: addresses of what is on screen, files of the run, a program that repeats it, and the way in for
// such files. What cannot be had yet is not offered; what fails says why in its own place.

import { get } from "./api.js";
import { el, setText } from "./dom.js";
import { writeLink } from "./link.js";
import { copy, fetched, handIn, save } from "./saving.js";
import { treeImage } from "./tree_image.js";
import { strings } from "/page/strings.js";

const text = strings.share;
const COPIED = 1600; // ms that a button says so
const PATIENCE = 500; // ms until the dialog opens without having heard of the server
const FILES = [["result", "result.png"], ["zip", "run.zip"], ["page", "replay.html"], ["film", "replay.mp4"], ["webp", "replay.webp"], ["gif", "replay.gif"]];

class ShareDialog {
  constructor(stage) {
    this.stage = stage;
    this.button = el("button", { type: "button", class: "bs-share-open", "aria-haspopup": "dialog", disabled: true,
      text: text.open, onclick: () => this.show() });
    this.problem = el("p", { class: "bs-error bs-share-problem", role: "alert", hidden: true });
    this.links = el("div", { class: "bs-share-links" });
    this.files = el("div", { class: "bs-share-files" });
    this.program = el("div", { class: "bs-share-program" });
    this.element = el("dialog", { class: "bs-share", "aria-labelledby": "bs-share-title", onclick: (event) => this.outside(event),
      onkeydown: (event) => this.key(event) }, el("div", { class: "bs-share-body" }, [
      el("header", {}, [el("h2", { id: "bs-share-title", text: text.title }),
        el("button", { type: "button", class: "bs-share-close", "aria-label": text.close, text: "×", onclick: () => this.element.close() })]),
      this.problem, this.links, el("h3", { text: text.files }), this.files, this.program, this.way()]));
  }

  // -- opening ----------------------------------------------------------------------------------------------------

  // The dialog opens in its final size, unless the server is slow to say what can be had.
  async show() {
    const { run } = this.stage.comparison;
    this.tell(null);
    this.fill(run, { files: [] });
    const told = get("/data/share", { run }).then((shared) => this.fill(run, shared), (error) => this.tell(error.message));
    await Promise.race([told, new Promise((resolve) => setTimeout(resolve, PATIENCE))]);
    if (!this.element.open) this.element.showModal();
  }

  // shared: what the server says of the run: files, settings, snippet.
  fill(run, { files, settings, snippet }) {
    const links = [this.link(text.view, `${location.origin}/${writeLink(this.stage)}`, text.view_note)];
    if (settings) links.push(this.link(text.settings, new URL(settings, location.origin).href, text.settings_note));
    this.links.replaceChildren(...links);
    this.files.replaceChildren(...this.offers(run, files, snippet));
    this.program.replaceChildren(...(snippet ? this.snippet(snippet) : []));
  }

  // A press beside the dialog closes it; Escape does not reach the page, where it would stop the search.
  outside(event) {
    if (event.target === this.element) this.element.close();
  }

  key(event) {
    event.stopPropagation();
    if (event.key !== "Escape") return;
    event.preventDefault();
    this.element.close();
  }

  tell(sentence) {
    this.problem.hidden = !sentence;
    setText(this.problem, sentence || "");
  }

  // -- what there is ----------------------------------------------------------------------------------------------

  link(name, address, note) {
    const field = el("input", { type: "text", readonly: true, value: address, "aria-label": name, onfocus: () => field.select() });
    return el("div", { class: "bs-share-link" }, [el("strong", { text: name }), field, this.copier(() => field.value, name), el("p", { text: note })]);
  }

  copier(value, name) {
    const button = el("button", { type: "button", "aria-label": `${text.copy}: ${name}`, text: text.copy, onclick: async () => {
      await copy(value());
      setText(button, text.copied);
      this.stage.emit("say", text.copied);
      setTimeout(() => setText(button, text.copy), COPIED);
    } });
    return button;
  }

  // files: those that the server makes of the run now; program: the lines of Python, if there are any.
  offers(run, files, program) {
    const made = FILES.filter(([, name]) => files.includes(name)).map(([key, name]) => this.offer(key, name, () => fetched(name, run), run));
    const drawn = ["svg", "png"].map((format) => this.offer(`tree_${format}`, `tree.${format}`, () => this.tree(format), run));
    const written = program ? [this.offer("python", "run.py", async () => new Blob([program], { type: "text/x-python" }), run)] : [];
    return [...made, ...drawn, ...written];
  }

  offer(key, name, make, run) {
    const note = el("span", { text: text[`${key}_note`] });
    const button = el("button", { type: "button", class: "bs-share-file", "data-file": name, onclick: async () => {
      if (button.getAttribute("aria-busy")) return;
      button.setAttribute("aria-busy", "true");
      setText(note, text.making);
      this.tell(null);
      try {
        save(await make(), `beamscope-${run}-${name}`);
      } catch (error) {
        this.tell(error.message);
      }
      button.removeAttribute("aria-busy");
      setText(note, text[`${key}_note`]);
    } }, [el("strong", { text: text[key] }), note]);
    return button;
  }

  tree(format) {
    const { head } = this.stage.comparison;
    const trees = this.stage.trees.filter((tree) => tree.lane && tree.host.clientWidth);
    return treeImage(trees, `“${head.prompt}” · ${head.method} · seed ${head.seed}`, format);
  }

  snippet(code) {
    return [el("h3", { text: text.program }), el("div", { class: "bs-share-code" },
      [el("pre", { tabindex: "0", "aria-label": text.program }, el("code", { text: code })), this.copier(() => code, text.program)])];
  }

  // -- the way in -------------------------------------------------------------------------------------------------

  way() {
    const picker = el("input", { type: "file", accept: ".zip,.png,.json,.jsonl", class: "bs-hidden", tabindex: "-1", "aria-label": text.pick,
      onchange: () => picker.files[0] && this.open(picker.files[0]) });
    return el("div", { class: "bs-share-in" }, [picker,
      el("button", { type: "button", text: text.pick, onclick: () => picker.click() }), el("span", { text: text.pick_note })]);
  }

  async open(file) {
    try {
      location.href = await handIn(file);
    } catch (error) {
      this.tell(error.message);
    }
  }
}

export function mountShare(stage) {
  const dialog = new ShareDialog(stage);
  stage.slots.share.append(dialog.button);
  stage.slots.dialogs.append(dialog.element);
  stage.on("run", () => (dialog.button.disabled = true));
  stage.on("frame", () => (dialog.button.disabled = !stage.comparison.length));
}
