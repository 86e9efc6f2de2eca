// What has happened while the page was open, the latest first.

import { $, element } from "./dom.js";
import { clock, number } from "./format.js";

const KEPT = 200;

let before = null;

export function note(text) {
  const now = new Date();
  const list = $("journal");
  list.prepend(element("li", {}, element("time", { datetime: now.toISOString() }, clock(now)), element("span", {}, text)));
  while (list.children.length > KEPT) list.lastChild.remove();
}

// What is in one list of names and not in the other.
const without = (names, others) => names.filter((name) => !others.includes(name));

const snapshot = ({ gateways, shards }) => ({
  gateways: gateways.map(({ name }) => name),
  shards: new Map((shards?.shards ?? []).map((shard) => [shard.name, shard])),
  generation: shards?.generation,
});

function compare(old, now) {
  without(now.gateways, old.gateways).forEach((name) => note(`Gateway ${name} has come.`));
  without(old.gateways, now.gateways).forEach((name) => note(`Gateway ${name} is gone.`));
  const [was, is] = [[...old.shards.keys()], [...now.shards.keys()]];
  without(is, was).forEach((name) => note(`Shard ${name} was added.`));
  without(was, is).forEach((name) => note(`Shard ${name} was removed.`));
  for (const [name, shard] of now.shards) {
    const earlier = old.shards.get(name);
    if (!earlier) continue;
    if (earlier.state !== shard.state) note(`Shard ${name} is ${shard.state}; it was ${earlier.state}.`);
    if (earlier.weight !== shard.weight) note(`Shard ${name} has weight ${number(shard.weight)}.`);
    if (earlier.reachable !== shard.reachable) note(shard.reachable ? `Shard ${name} can be reached.` : `Shard ${name} cannot be reached.`);
  }
}

export function show(report) {
  const now = snapshot(report);
  if (before) compare(before, now);
  before = now;
}
