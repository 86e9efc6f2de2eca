// The numbers at the top, and above them what is wrong.

import { $, drawing, each, element, say } from "./dom.js";
import { number } from "./format.js";

// Samples of the line beside the connections: two minutes of a calm page.
const SAMPLES = 120;

const connections = [];

function alerts({ readiness, silent, shards, trouble }) {
  const { store, problems, notes, missing, shutting_down: ending } = readiness;
  const bad = [
    ending && "This gateway is being shut down.",
    !store.reachable && `The topology store cannot be reached${store.error ? `: ${store.error}` : ""}. Nothing changes until it can; everything else goes on.`,
    !shards && "There is no topology yet.",
    missing.length > 0 && `This gateway cannot use ${missing.length === 1 ? "shard" : "shards"} ${missing.join(", ")}.`,
    trouble && `The gateways cannot be asked: ${trouble}.`,
    ...silent.map((name) => `Gateway ${name} does not answer.`),
    ...problems,
  ];
  const tell = (kind) => (text) => ({ kind, text });
  return [...bad.filter(Boolean).map(tell("bad")), ...notes.map(tell("note"))];
}

function tiles({ gateways, silent, shards }) {
  const sum = (field) => number(gateways.reduce((total, gateway) => total + gateway[field], 0));
  const active = shards?.shards.filter(({ state }) => state === "active").length ?? 0;
  const total = shards?.shards.length ?? 0;
  return [
    { name: "Gateways", value: number(gateways.length), more: silent.length > 0 ? `${silent.length} silent` : "" },
    { name: "Connections", value: sum("num_clients"), line: true },
    { name: "Subscriptions", value: sum("num_subs") },
    { name: "Shards", value: number(total), more: active < total ? `${active} active` : "" },
    { name: "Moving", value: number((shards?.moves?.left ?? 0) + (shards?.moves?.moving ?? 0)), more: shards?.moves ? "partitions left" : "" },
    { name: "Topology", value: shards ? number(shards.generation) : "–", more: "generation" },
  ];
}

// How the connections went, from the left to now.
function line() {
  const [least, most] = [Math.min(...connections), Math.max(...connections)];
  // A line that hardly moves lies in the middle.
  const range = Math.max(most - least, most * 0.1, 4);
  const middle = (most + least) / 2;
  const points = connections.map((value, index) => {
    const x = 100 - (connections.length - 1 - index) * (100 / (SAMPLES - 1));
    return `${x.toFixed(1)},${(12 - ((value - middle) / range) * 20).toFixed(1)}`;
  });
  return points.join(" ");
}

function tile({ line: has }) {
  const picture = has && drawing("svg", { viewBox: "0 0 100 24", preserveAspectRatio: "none", class: "spark", "aria-hidden": "true" }, drawing("polyline"));
  return element("div", {}, element("dt"), element("dd", { class: "value" }), element("dd", { class: "more" }), picture);
}

export function show(report) {
  each($("alerts"), alerts(report), ({ text }) => text, ({ kind, text }) => element("li", { class: kind }, text), () => {});
  connections.push(report.gateways.reduce((total, { num_clients: clients }) => total + clients, 0));
  if (connections.length > SAMPLES) connections.shift();
  each($("tiles"), tiles(report), ({ name }) => name, tile, (node, { name, value, more, line: has }) => {
    say(node.querySelector("dt"), name);
    say(node.querySelector(".value"), value);
    say(node.querySelector(".more"), more ?? "");
    if (has) node.querySelector("polyline").setAttribute("points", line());
  });
}
