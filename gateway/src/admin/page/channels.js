// The channels with the most subscribers and with the most publications.

import * as calls from "./calls.js";
import { $, each, element, say } from "./dom.js";
import { number, rate } from "./format.js";
import { inspect } from "./inspector.js";

// Shown before somebody wants to see all.
const FIRST = 15;

let order = "subscribers";
let all = false;
let found = { total: 0, channels: [] };

const ORDERS = {
  subscribers: (one, other) => other.subscribers - one.subscribers,
  rate: (one, other) => (other.rate ?? -1) - (one.rate ?? -1),
};

const pattern = () => $("pattern").value.trim();

// What is typed may be the beginning of a name.
function wanted() {
  const text = pattern();
  return text === "" || /[*?]/.test(text) ? text : `*${text}*`;
}

function row({ channel }) {
  return element("tr", {},
    element("th", { scope: "row" }, element("button", { type: "button", class: "link name", click: () => inspect(channel) }, channel)),
    element("td", { class: "number subscribers" }),
    element("td", { class: "number rate" }));
}

function draw() {
  const sorted = [...found.channels].sort((one, other) => ORDERS[order](one, other) || one.channel.localeCompare(other.channel));
  const shown = all ? sorted : sorted.slice(0, FIRST);
  each($("channels"), shown, ({ channel }) => channel, row, (node, { subscribers, rate: speed }) => {
    say(node.querySelector(".subscribers"), number(subscribers));
    say(node.querySelector(".rate"), rate(speed));
  });
  $("channels-none").hidden = sorted.length > 0;
  say($("channels-none"), pattern() === "" ? "No channel has a subscriber." : "No channel of that name has a subscriber. It can be inspected nevertheless.");
  $("channels-more").hidden = sorted.length <= FIRST;
  say($("channels-more"), all ? "Show fewer" : `Show all ${number(sorted.length)}`);
  say($("channels-total"), found.total > sorted.length ? `${number(sorted.length)} of ${number(found.total)} shown` : `${number(found.total)} with subscribers`);
}

async function refresh() {
  found = await calls.channels(wanted());
  draw();
}

// What cannot be told now stays as it was; the next time is soon.
export const refreshIfPossible = () => refresh().catch(() => {});

$("channels-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (pattern() === "") $("pattern").focus();
  else inspect(pattern());
});

let typing;
$("pattern").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(refreshIfPossible, 250);
});

$("channels-more").addEventListener("click", () => {
  all = !all;
  draw();
});

for (const button of document.querySelectorAll("button.sort")) {
  button.addEventListener("click", () => {
    order = button.dataset.order;
    for (const head of document.querySelectorAll("th[aria-sort]")) head.setAttribute("aria-sort", head.contains(button) ? "descending" : "none");
    draw();
  });
}
