// Changing which shards there are: what is wanted, then the plan of it, then doing it.

import * as calls from "./calls.js";
import { badge } from "./colours.js";
import { Decision } from "./decision.js";
import { $, element } from "./dom.js";
import { bytes, count, number, percent } from "./format.js";
import { note } from "./journal.js";
import { expect } from "./moves.js";

// What each change is called, which inputs it has, and what it is to the gateway.
const CHANGES = {
  add: {
    title: () => "Add a shard",
    inputs: () => [
      input("name", "Name", { maxlength: 64, required: true, pattern: "\\S+", autocomplete: "off" }),
      input("url", "URL", { placeholder: "redis://host:6379", autocomplete: "off" }, "Leave it empty where shards live in the gateway’s own process."),
      input("weight", "Weight", { type: "number", min: 1, max: 1000, value: 1, required: true }, "Its share relative to the others’."),
      tick("durable", "It keeps everything that it acknowledges (appendfsync always)."),
    ],
    change: (_, { name, url, weight, durable }) => ({ add: { name: name.trim(), url: url.trim(), weight: Number(weight), durable: Boolean(durable) } }),
    go: ({ add }) => `Add ${add.name}`,
    done: ({ add }) => `Shard ${add.name} is to be added`,
  },
  weight: {
    title: (name) => `Weight of ${name}`,
    inputs: (weight) => [input("weight", "Weight", { type: "number", min: 1, max: 1000, value: weight, required: true }, "Its share relative to the others’.")],
    change: (name, { weight }) => ({ weight: { name, weight: Number(weight) } }),
    go: ({ weight }) => `Give it weight ${weight.weight}`,
    done: ({ weight }) => `Shard ${weight.name} is to have weight ${weight.weight}`,
  },
  drain: {
    title: (name) => `Drain ${name}`,
    change: (name) => ({ drain: { name } }),
    about: "All of its partitions move to the other shards. It stays on the list, empty, until it is used again or removed.",
    go: ({ drain }) => `Drain ${drain.name}`,
    done: ({ drain }) => `Shard ${drain.name} is to be drained`,
    danger: true,
  },
  undo: {
    title: (name) => `Use ${name} again`,
    change: (name) => ({ drain: { name, undo: true } }),
    about: "It gets a share of the partitions back.",
    go: ({ drain }) => `Use ${drain.name} again`,
    done: ({ drain }) => `Shard ${drain.name} is to be used again`,
  },
  remove: {
    title: (name) => `Remove ${name}`,
    change: (name) => ({ remove: { name } }),
    about: "All of its partitions move to the other shards; then it is forgotten.",
    go: ({ remove }) => `Remove ${remove.name}`,
    done: ({ remove }) => `Shard ${remove.name} is to be removed`,
    danger: true,
  },
};

function input(name, label, attributes = {}, hint = "") {
  const field = element("input", { id: `change-${name}`, name, type: "text", spellcheck: "false", "aria-describedby": hint ? `hint-${name}` : null, ...attributes });
  return element("div", { class: "field" }, element("label", { for: `change-${name}` }, label), field, hint && element("p", { class: "quiet small", id: `hint-${name}` }, hint));
}

const tick = (name, label) =>
  element("label", { class: "tick" }, element("input", { type: "checkbox", name }), label);

function planned(plan) {
  const { partitions, share, bytes: size, minimum, shards, moves } = plan;
  if (partitions === 0) return [element("p", {}, "Nothing has to move.")];
  const about = size === null ? "" : `, about ${bytes(size)}`;
  const most = Math.max(...shards.flatMap(({ before, after }) => [before, after]));
  return [
    element("p", { class: "lead" }, `${count(partitions, "partition")} will move: ${percent(share)} of all${about}. At the least ${number(minimum)} have to.`),
    element("table", { class: "plan" },
      element("caption", { class: "unseen" }, "Partitions of each shard"),
      element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "Shard"), head("was", "Now"), head("will", "Then"), element("td"))),
      element("tbody", {}, ...shards.map((shard) => load(shard, most)))),
    element("details", {},
      element("summary", {}, "From where to where"),
      element("ul", { class: "ways" }, ...moves.map(({ from, to, partitions: some, bytes: held }) =>
        element("li", {}, element("span", { class: "way" }, badge(from), " → ", badge(to)), element("span", { class: "number" }, held === null ? number(some) : `${number(some)} · ${bytes(held)}`))))),
  ];
}

// The head of a column, with the colour of its bars.
const head = (kind, text) => element("th", { scope: "col", class: "number" }, element("span", { class: `key ${kind}`, "aria-hidden": "true" }), text);

function load({ name, before, after }, most) {
  const fills = [["was", before], ["will", after]].map(([kind, value]) => {
    const fill = element("span", { class: kind });
    fill.style.width = `${(value / most) * 100}%`;
    return fill;
  });
  return element("tr", {},
    element("th", { scope: "row" }, badge(name)),
    element("td", { class: "number" }, number(before)),
    element("td", { class: "number" }, number(after)),
    element("td", {}, element("span", { class: "compare", "aria-hidden": "true" }, ...fills)));
}

// The step that shows what `change` would move, and makes it.
async function plan(decision, { kind, name }, change) {
  const { title, about, go, danger } = CHANGES[kind];
  const found = await calls.plan(change);
  decision.step({
    title: title(name),
    body: [about && element("p", {}, about), ...planned(found)].filter(Boolean),
    go: go(change),
    danger,
    act: () => carryOut(decision, { kind, name }, change, found.generation),
  });
}

async function carryOut(decision, subject, change, generation) {
  try {
    const decided = await calls.change(generation, change);
    note(`${CHANGES[subject.kind].done(change)}: ${count(decided.partitions, "partition")} move.`);
    expect(decided);
    decision.close();
  } catch (error) {
    // Somebody else was faster: what is confirmed must be what was shown.
    if (error.status !== 412) throw error;
    await plan(decision, subject, change);
    decision.tell("The shards have changed since that plan was made, so nothing was done. This is the plan now.");
  }
}

// What the inputs say; nothing if they are not filled in.
function read() {
  const form = $("decision-form");
  return form.reportValidity() ? Object.fromEntries(new FormData(form)) : null;
}

// Opens the dialog for a change of a shard, which has this weight now.
export function propose(kind, name, weight) {
  const { title, inputs, change } = CHANGES[kind];
  const decision = new Decision();
  const ask = (values) => plan(decision, { kind, name }, change(name, values));
  const step = (body, act) => decision.step({ title: title(name), body, go: "Show the plan", act });
  if (inputs) {
    step(inputs(weight), async () => {
      const values = read();
      if (values) await ask(values);
    });
  } else {
    step([element("p", { class: "quiet" }, "Making the plan…")], ask);
    decision.go();
  }
}
