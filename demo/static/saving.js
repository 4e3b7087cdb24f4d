// Files that leave the page, and files that enter it. What the server refuses becomes an Error with its sentence.

import { el } from "./dom.js";
import { strings } from "/page/strings.js";

async function refused(reply) {
  const body = await reply.json().catch(() => null);
  return new Error((body && body.error) || strings.api.unexpected);
}

async function reached(path, options) {
  let reply;
  try {
    reply = await fetch(path, options);
  } catch {
    throw new Error(strings.api.unreachable);
  }
  if (!reply.ok) throw await refused(reply);
  return reply;
}

// A file of a run as the server makes it.
export async function fetched(name, run) {
  const reply = await reached(`/data/export/${name}?run=${encodeURIComponent(run)}`);
  return reply.blob();
}

export function save(blob, name) {
  const href = URL.createObjectURL(blob);
  const link = el("a", { href, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
}

// Hand a file in; resolves to the address where it is shown.
export async function handIn(file) {
  const reply = await reached("/data/import", { method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: file });
  return (await reply.json()).href;
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // not a secure address, or not allowed: the old way
    const area = el("textarea", { style: "position:fixed;opacity:0" });
    area.value = text;
    (document.querySelector("dialog[open]") || document.body).append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}
