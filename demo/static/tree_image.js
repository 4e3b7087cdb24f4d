// The tree as it is on screen, as a file: pictures inside, no address left in it, and the prompt above.

import { palette } from "./dom.js";

const TITLE = 40; // px above the tree

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

// Plotly reads a little markup in its texts; a prompt has none.
const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

const shortened = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

// format: "svg" or "png". Resolves to a Blob.
export async function treeImage(host, title, format) {
  const { data, layout } = host;
  const colours = palette(host);
  const images = (await Promise.all((layout.images || []).map(carried))).filter(Boolean);
  const figure = {
    data,
    layout: {
      ...layout, images, height: layout.height + TITLE, margin: { ...layout.margin, t: layout.margin.t + TITLE },
      paper_bgcolor: colours.panel, plot_bgcolor: colours.panel,
      xaxis: { ...layout.xaxis, range: host._fullLayout.xaxis.range.slice() },
      yaxis: { ...layout.yaxis, range: host._fullLayout.yaxis.range.slice() },
      title: { text: plain(shortened(title, Math.floor(layout.width / 8))), font: { size: 14, color: colours.ink }, x: 0.02, xanchor: "left", y: 1,
        yanchor: "top", yref: "container", pad: { t: 14 } },
    },
  };
  const size = { width: layout.width, height: layout.height + TITLE, scale: format === "png" ? 2 : 1 };
  const url = await window.Plotly.toImage(figure, { format, ...size });
  return (await fetch(url)).blob();
}
