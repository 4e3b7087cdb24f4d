// The drawing library, fetched once from this server.

import { el } from "./dom.js";

let loading = null;

export function loadPlotly() {
  if (window.Plotly) return Promise.resolve();
  loading ||= new Promise((resolve, reject) => {
    document.head.append(el("script", { src: "/page/plotly.min.js", onload: resolve, onerror: reject }));
  });
  return loading;
}
