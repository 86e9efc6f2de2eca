// How far the present plan is, from the moment it is decided to the moment all of it has arrived.

import { badge, colour } from "./colours.js";
import { $, each, element, say } from "./dom.js";
import { bytes, count, duration, number, rate } from "./format.js";
import { note } from "./journal.js";

// Said aloud at each of these parts of the way.
const MILESTONES = 4;

// The plan that is carried out; nothing while nothing moves.
let plan = null;

const began = (planned, generation = 0) => ({ planned, generation, done: 0, bytes: 0, since: Date.now(), milestone: 0, groups: new Map() });

// A plan was decided just now; it may be over before anybody has asked how far it is.
export function expect({ partitions, generation }) {
  if (partitions > 0) plan = began(partitions, generation);
}

// In words, and for those who do not see the bar at some points only.
function announce(text) {
  say($("announcer"), text);
  note(text);
}

function line({ planned, done, rate: speed, byte_rate: flow, remaining, bytes: copied }) {
  const parts = [
    `${number(done)} of ${count(planned, "partition")} have arrived`,
    copied > 0 && `${bytes(copied)} copied`,
    speed > 0 && `${rate(speed)} a second`,
    flow > 0 && `${bytes(flow)} a second`,
    remaining > 0 && `about ${duration(remaining)} left`,
  ];
  return `${parts.filter(Boolean).join(" · ")}.`;
}

function follow(moves) {
  if (!plan || moves.planned !== plan.planned || moves.done < plan.done) {
    plan = began(moves.planned);
    announce(`Moving ${count(moves.planned, "partition")}.`);
  }
  plan.done = moves.done;
  plan.bytes = Math.max(plan.bytes, moves.bytes ?? 0);
  plan.seconds = moves.seconds ?? plan.seconds;
  const milestone = Math.floor((moves.done / moves.planned) * MILESTONES);
  if (milestone > plan.milestone && milestone < MILESTONES) {
    plan.milestone = milestone;
    announce(`${(milestone * 100) / MILESTONES} % of the partitions have arrived.`);
  }
}

function finish() {
  const took = Math.max((Date.now() - plan.since) / 1000, plan.seconds ?? 0);
  const copied = plan.bytes > 0 ? ` ${bytes(plan.bytes)} were copied.` : "";
  const text = `Done: ${count(plan.planned, "partition")} moved in ${duration(Math.max(took, 1))}.${copied}`;
  say($("moves-line"), text);
  announce(text);
  plan = null;
}

function bar({ planned, done, moving }) {
  const node = $("progress");
  const part = (value) => `${(value / planned) * 100}%`;
  node.setAttribute("aria-valuemax", planned);
  node.setAttribute("aria-valuenow", done);
  node.setAttribute("aria-valuetext", `${number(done)} of ${number(planned)}, ${number(moving)} on their way`);
  node.querySelector(".done").style.width = part(done);
  node.querySelector(".moving").style.width = part(moving);
}

function group({ from, to }) {
  const meter = element("span", { class: "bar", "aria-hidden": "true" }, element("span"));
  meter.firstChild.style.background = colour(to);
  return element("li", {}, element("span", { class: "way" }, badge(from), " → ", badge(to)), meter, element("span", { class: "number left" }));
}

function groups(moves) {
  const key = ({ from, to }) => JSON.stringify([from, to]);
  for (const item of moves.groups) plan.groups.set(key(item), Math.max(item.partitions, plan.groups.get(key(item)) ?? 0));
  each($("groups"), moves.groups, key, group, (node, item) => {
    const most = plan.groups.get(key(item));
    node.querySelector(".bar > span").style.width = `${((most - item.partitions) / most) * 100}%`;
    say(node.querySelector(".left"), `${number(item.partitions)} left`);
  });
}

export function show({ shards: status }) {
  if (!status) return;
  const { moves, leader } = status;
  say($("leader"), leader ? `Carried out by ${leader}` : "Nobody carries moves out at this moment");
  say($("moves-problem"), moves?.trouble ?? "");
  $("progress").hidden = !moves;
  $("moves-card").classList.toggle("busy", Boolean(moves));
  if (moves) {
    follow(moves);
    say($("moves-line"), line(moves));
    bar(moves);
    groups(moves);
  } else {
    $("groups").replaceChildren();
    if (plan && status.generation >= plan.generation) finish();
  }
}
