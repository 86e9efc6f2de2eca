// The calls of the page. The session is a cookie that no script can read; beside it goes a token that only this page is told.

const BASE = new URL("api/", import.meta.url);

// Longer than the gateway itself waits for the others.
const PATIENCE = 10_000;

let token = null;

// Says when a session has `ended`, and when the shards were `changed` from here.
export const signals = new EventTarget();

export class CallError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function call(path, options = {}) {
  const response = await fetch(new URL(path, BASE), { ...options, signal: AbortSignal.timeout(PATIENCE) }).catch((error) => {
    const why = error.name === "TimeoutError" ? "did not answer in time" : "cannot be reached";
    throw new CallError(0, `The gateway ${why}.`);
  });
  const body = await response.json().catch(() => null);
  if (response.ok) return body;
  const message = body?.error?.message ?? `The gateway answered with status ${response.status}.`;
  if (response.status === 401 && path !== "login") signals.dispatchEvent(new Event("ended"));
  throw new CallError(response.status, message);
}

// What may change something: `body` is JSON text already.
function send(path, body) {
  const headers = { "Content-Type": "application/json", "X-CSRF-Token": token ?? "" };
  return call(path, { method: "POST", headers, body });
}

// Whether there is a session now.
async function begin(asked) {
  const about = await asked;
  token = about?.csrf ?? null;
  return token !== null;
}

export const login = (password) => begin(send("login", JSON.stringify({ password })));
export const resume = () => begin(call("session"));
export const logout = () => send("logout", "{}");

export const state = (since) => call(`state?${new URLSearchParams({ since })}`);
export const channels = (pattern) => call(`channels?${new URLSearchParams({ pattern })}`);
export const inspect = (channel) => call(`channel?${new URLSearchParams({ channel })}`);
export const disconnect = (user) => send("disconnect", JSON.stringify({ user }));
export const plan = (change) => send("shards/plan", JSON.stringify(change));

export async function change(generation, change) {
  const decided = await send("shards/change", JSON.stringify({ generation, change }));
  signals.dispatchEvent(new Event("changed"));
  return decided;
}

// `data` is JSON text and goes out as it is: reading it would round its numbers.
export function publish(channel, data) {
  JSON.parse(data);
  return send("publish", `{"channel":${JSON.stringify(channel)},"data":${data}}`);
}
