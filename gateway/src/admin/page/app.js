// Asks the gateway how things are, about every second while somebody looks, and has each part of the page show it.

import * as calls from "./calls.js";
import * as channels from "./channels.js";
import { $, say } from "./dom.js";
import * as gateways from "./gateways.js";
import { disconnect } from "./inspector.js";
import * as journal from "./journal.js";
import { start } from "./login.js";
import * as moves from "./moves.js";
import { ring } from "./ring.js";
import * as shards from "./shards.js";
import * as summary from "./summary.js";

// Milliseconds from one answer to the next question: as a rule, while something moves, and at the most after failures.
const CALM = 1000;
const MOVING = 400;
const LONGEST = 8000;

// Every how many questions the channels are asked for too, which costs the gateways more.
const CHANNELS = 2;

let running = false;
let timer;
let generation = 0;
let failures = 0;
let asked = 0;

// The gateways as they were when they could last be asked.
let gatewaysBefore = [];

function show(report) {
  report.gateways ??= gatewaysBefore;
  gatewaysBefore = report.gateways;
  const { readiness, shards: status } = report;
  say($("where"), `on ${readiness.gateway}`);
  journal.show(report);
  summary.show(report);
  shards.show(report);
  if (status) ring.show(status);
  moves.show(report);
  gateways.show(report);
  generation = status?.generation ?? 0;
}

function pulse(kind, text) {
  $("pulse").className = `pulse ${kind}`;
  say($("pulse"), text);
  $("main").classList.toggle("stale", kind === "bad");
}

async function ask() {
  try {
    const report = await calls.state(generation);
    if (asked++ % CHANNELS === 0) await channels.refreshIfPossible();
    failures = 0;
    show(report);
    pulse("good", "live");
    return report.shards?.moves ? MOVING : CALM;
  } catch (error) {
    // A mistake in the page is not the gateway's silence, and must be seen.
    if (!(error instanceof calls.CallError)) reportError(error);
    failures += 1;
    if (running) pulse("bad", `${error.message} What is shown is old.`);
    return Math.min(CALM * 2 ** failures, LONGEST);
  }
}

// One question at a time, none while nobody looks.
async function poll() {
  clearTimeout(timer);
  if (!running || document.hidden) return;
  const turn = (timer = setTimeout(() => {}, 0));
  const pause = await ask();
  if (running && timer === turn) timer = setTimeout(poll, pause);
}

$("user-form").addEventListener("submit", (event) => {
  event.preventDefault();
  disconnect($("user").value.trim(), (told) => say($("user-result"), told));
});

document.addEventListener("visibilitychange", poll);
calls.signals.addEventListener("changed", poll);

start(
  () => {
    running = true;
    generation = 0;
    poll();
  },
  () => {
    running = false;
    clearTimeout(timer);
  },
);
