// A node's picture in the inspector: larger on demand, and to be saved.

import { el, gflop } from "./dom.js";
import { strings } from "/page/strings.js";

const text = strings.inspector;

export class Picture {
  // onDecode(): resolves when a picture that was asked for is there.
  constructor(dialogs, onDecode) {
    this.onDecode = onDecode;
    this.large = el("img", { class: "bs-viewer-image", alt: "" });
    this.caption = el("p", { class: "bs-muted" });
    this.dialog = el("dialog", { class: "bs-dialog bs-viewer", "aria-label": text.large, onclick: (event) => event.target === this.dialog && this.dialog.close() }, [
      el("form", { method: "dialog", class: "bs-dialog-close" }, el("button", { class: "bs-icon", "aria-label": text.closeLarge, text: "×" })),
      this.large, this.caption]);
    dialogs.append(this.dialog);
  }

  show(facts) {
    if (!facts.image) return this.missing(facts);
    const name = `node-${facts.id}.jpg`;
    return el("div", { class: "bs-still" }, [
      el("img", { class: "bs-picture", src: facts.image, width: 256, height: 256, alt: facts.alt }),
      el("div", { class: "bs-still-tools" }, [
        el("button", { type: "button", class: "bs-icon", title: text.large, "aria-label": text.large, text: "⤢", onclick: () => this.open(facts) }),
        el("a", { class: "bs-icon", href: facts.image, download: name, title: text.save, "aria-label": text.save, text: "⤓" })]),
    ]);
  }

  // A node without a picture: why, and the way to have one.
  missing({ alt, decode, run, id }) {
    const told = el("p", { text: alt, role: "status" });
    const box = el("div", { class: "bs-picture bs-empty bs-missing" }, told);
    if (!decode) return box;
    if (decode.refused) {
      told.textContent = `${alt} ${decode.refused}`;
      return box;
    }
    const button = el("button", { type: "button", class: "bs-action", title: text.decodeHelp, text: text.decode.replace("{gflop}", gflop(decode.gflop)),
      onclick: async () => {
        button.disabled = true;
        told.textContent = text.decoding;
        try {
          await this.onDecode({ run, node: id });
        } catch (error) {
          told.textContent = error.message;
          button.disabled = false;
        }
      } });
    box.append(button);
    return box;
  }

  open(facts) {
    this.large.src = facts.image;
    this.large.alt = facts.alt;
    this.caption.textContent = `${facts.title} · ${facts.alt}`;
    this.dialog.showModal();
  }
}
