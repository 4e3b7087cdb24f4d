// A line of messages: what the models know of the prompt, what a search will cost, what is wrong with a request.

import { el } from "./dom.js";

function render(host, lines) {
  host.replaceChildren(...lines.map((line) => el("p", { class: `bs-line-${line.kind}` },
    line.parts.map((part) => el("span", { class: `bs-part-${part.kind}`, text: part.text })))));
}

export function mount(element, { props, watch }) {
  const host = element.querySelector(".bs-lines");
  const show = () => render(host, (props.value && props.value.lines) || []);
  watch("value", show);
  show();
}
