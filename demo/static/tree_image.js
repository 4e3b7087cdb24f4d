// The trees as they are on screen, as one file: pictures inside, no address left in it, the prompt above.

import { palette } from "./dom.js";

const HEAD = 64; // px above the trees: the prompt, and whose trees they are
const GAP = 24; // px between two trees
const EDGE = 14; // px
const CHARACTER = 7.5; // px, about
const SCALE = 2; // of the picture, against the screen

function asData(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = reject;
    reader.readAsDataURL(blob);
  });
}

async function carried(image) {
  const reply = await fetch(image.source);
  return reply.ok ? { ...image, source: await asData(await reply.blob()) } : null;
}

// One tree as an SVG element, with the zoom that a person has chosen.
async function drawn({ host }, colours) {
  const { data, layout, _fullLayout: full } = host;
  const images = (await Promise.all((layout.images || []).map(carried))).filter(Boolean);
  const axis = (name) => ({ ...layout[name], range: full[name].range.slice() });
  const figure = { data, layout: { ...layout, images, xaxis: axis("xaxis"), yaxis: axis("yaxis"), paper_bgcolor: colours.panel } };
  const address = await window.Plotly.toImage(figure, { format: "svg", width: full.width, height: full.height });
  const text = decodeURIComponent(address.slice(address.indexOf(",") + 1));
  return new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
}

function shape(tag, attributes, text = "") {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.textContent = text;
  return node;
}

const shortened = (text, width) => (text.length * CHARACTER > width ? `${text.slice(0, Math.floor(width / CHARACTER) - 1)}…` : text);

async function composed(trees, title) {
  const colours = palette(trees[0].host);
  const parts = await Promise.all(trees.map((tree) => drawn(tree, colours)));
  const widths = parts.map((part) => Number(part.getAttribute("width")));
  const height = HEAD + Math.max(...parts.map((part) => Number(part.getAttribute("height"))));
  const width = widths.reduce((sum, one) => sum + one, 0) + GAP * (parts.length - 1) + 2 * EDGE;
  const words = { fill: colours.ink, "font-family": colours.font };
  const whole = shape("svg", { xmlns: "http://www.w3.org/2000/svg", width, height: height + EDGE, viewBox: `0 0 ${width} ${height + EDGE}` });
  whole.append(shape("rect", { width: "100%", height: "100%", fill: colours.panel }),
    shape("text", { x: EDGE, y: 26, "font-size": 15, "font-weight": 600, ...words }, shortened(title, width - 2 * EDGE)));
  let left = EDGE;
  parts.forEach((part, index) => {
    part.setAttribute("x", left);
    part.setAttribute("y", HEAD);
    whole.append(shape("text", { x: left, y: 52, "font-size": 13, ...words }, shortened(trees[index].lane.label, widths[index])), part);
    left += widths[index] + GAP;
  });
  return { whole, width, height: height + EDGE };
}

async function asPicture(svg, width, height) {
  const image = new Image();
  image.src = await asData(svg);
  await image.decode();
  const canvas = Object.assign(document.createElement("canvas"), { width: width * SCALE, height: height * SCALE });
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

// trees: those of the stage that are drawn; format: "svg" or "png". Resolves to a Blob.
export async function treeImage(trees, title, format) {
  const { whole, width, height } = await composed(trees, title);
  const svg = new Blob([new XMLSerializer().serializeToString(whole)], { type: "image/svg+xml" });
  return format === "svg" ? svg : asPicture(svg, width, height);
}
