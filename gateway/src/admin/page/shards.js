// The shards: what each has and holds, and what may be done with it.

import { propose } from "./changes.js";
import { colour, know, swatch } from "./colours.js";
import { $, cell, each, element, say } from "./dom.js";
import { bytes, number, percent, rate } from "./format.js";
import { ring } from "./ring.js";

const MANAGED = {
  file: "The list of shards is managed by the configuration file (cluster.shards_managed_by: file): change it there. Plans can be looked at here.",
  dns: "The list of shards is managed by the DNS (cluster.shards_managed_by: dns): scale the service. Plans can be looked at here.",
};

// What may be done with a shard in which state.
const ACTIONS = {
  active: ["drain", "weight", "remove"],
  draining: ["undo", "remove"],
  leaving: [],
  lost: ["remove"],
};

const LABELS = { drain: "Drain…", undo: "Use again…", weight: "Weight…", remove: "Remove…" };

const about = ({ weight, durable, address }) =>
  [address, weight === 1 ? null : `weight ${number(weight)}`, durable ? "durable" : null].filter(Boolean).join(" · ");

const word = ({ state, reachable }) => (state !== "lost" && !reachable ? "unreachable" : state);

function row({ name }) {
  const fill = element("span");
  fill.style.background = colour(name);
  const buttons = Object.entries(LABELS).map(([action, label]) =>
    element("button", { type: "button", "data-action": action, "aria-label": `${label.replace("…", "")} ${name}`, click: () => propose(action, name, Number(node.dataset.weight)) }, label));
  const node = element("tr", { role: "row" },
    element("th", { role: "rowheader", scope: "row" },
      element("span", { class: "title" }, swatch(name), element("span", { class: "name" }, name), element("span", { class: "pill" })),
      element("span", { class: "quiet small about" }),
      element("span", { class: "problem small trouble" })),
    cell("Share", {}, element("span", { class: "bar", "aria-hidden": "true" }, fill), element("span", { class: "share" })),
    cell("Holds", { class: "number" }, element("span", { class: "memory" }), element("span", { class: "quiet small keys" })),
    cell("Commands/s", { class: "number operations" }),
    cell("", { class: "actions" }, buttons));
  const pointed = () => ring.point(node.matches(":hover, :focus-within") ? name : null);
  for (const event of ["mouseenter", "mouseleave", "focusin", "focusout"]) node.addEventListener(event, () => queueMicrotask(pointed));
  return node;
}

function update(node, { shard, load, largest, busy }) {
  const find = (selector) => node.querySelector(selector);
  const state = word(shard);
  node.dataset.weight = shard.weight;
  find(".pill").className = `pill ${state}`;
  say(find(".pill"), state);
  say(find(".about"), about(shard));
  say(find(".trouble"), shard.trouble ?? "");
  find(".bar > span").style.width = `${largest > 0 ? (shard.share / largest) * 100 : 0}%`;
  say(find(".share"), `${percent(shard.share)} · ${number(shard.partitions)}`);
  say(find(".memory"), load ? bytes(load.bytes) : "–");
  say(find(".keys"), load ? `${number(load.keys)} keys` : "");
  say(find(".operations"), rate(load?.operations));
  for (const button of node.querySelectorAll("button")) {
    button.hidden = !(ACTIONS[shard.state] ?? []).includes(button.dataset.action);
    button.disabled = busy;
  }
}

export function show({ shards: status, loads }) {
  $("shards-card").hidden = $("ring-card").hidden = $("moves-card").hidden = !status;
  if (!status) return;
  const { shards, moves, managed_by: manager } = status;
  know(shards.map(({ name }) => name));
  say($("managed"), MANAGED[manager] ?? "");
  $("managed").hidden = !MANAGED[manager];
  $("add-shard").disabled = Boolean(moves);
  const largest = Math.max(...shards.map(({ share }) => share), 0);
  const items = shards.map((shard) => ({ name: shard.name, shard, load: loads[shard.name], largest, busy: Boolean(moves) }));
  each($("shards"), items, ({ name }) => name, row, update);
}

$("add-shard").addEventListener("click", () => propose("add"));
