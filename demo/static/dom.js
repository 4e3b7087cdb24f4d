// Small helpers to build the page. Text enters only as textContent, so nothing a person typed is ever markup.

export function el(tag, attributes = {}, children = []) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") node.textContent = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...[].concat(children).filter((child) => child !== null));
  return node;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export const number = (value, digits = 3) => (value === null || value === undefined ? "–" : value.toFixed(digits));

export function gflop(value) {
  if (value === null || value === undefined) return "–";
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

export const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

export function imageUrl(run, id, kind, px) {
  return `/${kind}/${run}/${id}.jpg${px ? `?px=${px}` : ""}`;
}

export const reducedMotion = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

// The page's colours live in CSS variables, so that light and dark follow the theme without a second palette here.
export function palette(host) {
  const style = getComputedStyle(host);
  const read = (name) => style.getPropertyValue(name).trim();
  return {
    ink: read("--bs-ink"), muted: read("--bs-muted"), line: read("--bs-line"), faint: read("--bs-faint"),
    panel: read("--bs-panel"), best: read("--bs-best"), selected: read("--bs-selected"), flow: read("--bs-flow"), back: read("--bs-back"),
    font: read("--bs-font"),
  };
}
