// What the page asks of the server. A refusal reaches the caller as an Error whose message is a sentence for people.

import { strings } from "/page/strings.js";

async function answer(path, options) {
  let reply;
  try {
    reply = await fetch(path, options);
  } catch {
    throw new Error(strings.api.unreachable);
  }
  const body = await reply.json().catch(() => null);
  if (reply.ok && body !== null) return body;
  throw Object.assign(new Error((body && body.error) || strings.api.unexpected), { status: reply.status });
}

// params: plain values, or lists that are joined with commas; what is null is left out.
export function get(path, params = {}, options = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== null && value !== undefined) query.set(name, Array.isArray(value) ? value.join(",") : value);
  }
  const text = query.toString();
  return answer(text ? `${path}?${text}` : path, options);
}

export function post(path, body = {}) {
  return answer(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}
