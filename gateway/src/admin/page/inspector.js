// One channel: where it lives, its latest publications, who is there, and publishing to it.

import * as calls from "./calls.js";
import { badge } from "./colours.js";
import { Decision } from "./decision.js";
import { $, busy, element, say } from "./dom.js";
import { bytes, count, duration, moment, number } from "./format.js";
import { note } from "./journal.js";

let channel = null;

const facts = (pairs) =>
  element("dl", { class: "facts" }, ...pairs.filter(([, value]) => value !== null).map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));

function publication({ offset, time, user, bytes: size, text, is_cut: cut, tags }) {
  const about = [moment(time), user || "application", bytes(size), ...Object.entries(tags).map(([name, value]) => `${name}=${value}`)];
  return element("li", {},
    element("p", { class: "small" }, element("b", {}, `#${number(offset)}`), " ", element("span", { class: "quiet" }, about.join(" · "))),
    element("pre", { tabindex: "0" }, cut ? `${text}…` : text));
}

// What was read, or why it was not.
const known = (part, show) => (part.read ? show(part.read) : [element("p", { class: "problem" }, part.unknown)]);

function publications(stream) {
  if (!stream) return [element("p", { class: "quiet" }, "Channels of this namespace keep no stream.")];
  return known(stream, ({ publications: list }) =>
    list.length === 0
      ? [element("p", { class: "quiet" }, "The stream is empty.")]
      : [element("ol", { class: "publications" }, ...list.map(publication))]);
}

function present(presence) {
  if (!presence) return [element("p", { class: "quiet" }, "Channels of this namespace do not keep who is subscribed.")];
  return known(presence, ({ clients, users, most, shown }) => {
    const names = [...new Set(shown.map(({ user }) => user))].sort();
    const text = users !== null
      ? `${count(clients, "client")} of ${count(users, "user")}.`
      : `${count(clients, "client")}. No more than ${number(most)} of them are read; these are their users:`;
    return [
      element("p", {}, text),
      element("ul", { class: "people" }, ...names.map((user) =>
        element("li", {}, element("span", { class: "name" }, user || "anonymous"), user && element("button", { type: "button", class: "small", "aria-label": `Disconnect ${user}`, click: () => disconnect(user) }, "Disconnect…")))),
    ];
  });
}

function draw({ partition, shard, stream, presence }) {
  const read = stream?.read;
  $("inspector-body").replaceChildren(
    facts([
      ["Shard", shard ? badge(shard) : "none yet"],
      ["Partition", number(partition)],
      ["Position", read ? `${number(read.offset)} of epoch ${read.epoch}` : null],
      ["Keeps", read ? `${count(read.size, "publication")} for ${duration(read.ttl)}` : null],
    ]),
    element("h3", {}, "Latest publications"), ...publications(stream),
    element("h3", {}, "Present"), ...present(presence));
}

async function refresh() {
  const asked = channel;
  try {
    const report = await calls.inspect(asked);
    if (asked !== channel) return;
    say($("inspector-problem"), "");
    draw(report);
    $("publish-form").hidden = false;
  } catch (error) {
    $("inspector-body").replaceChildren();
    $("publish-form").hidden = true;
    say($("inspector-problem"), error.message);
  }
}

// Opens the dialog about a channel.
export function inspect(name) {
  channel = name;
  say($("inspector-title"), name);
  say($("inspector-problem"), "");
  say($("publish-result"), "");
  $("inspector-body").replaceChildren(element("p", { class: "quiet" }, "Looking…"));
  $("inspector").showModal();
  refresh();
}

// Closes a user's connections, if that is meant, and says what came of it.
export function disconnect(user, tell = () => {}) {
  const decision = new Decision();
  decision.step({
    title: `Disconnect ${user}?`,
    body: [element("p", {}, "Every connection of this user is closed, on every gateway, and told not to come back by itself.")],
    go: "Disconnect",
    danger: true,
    act: async () => {
      const { connections } = await calls.disconnect(user);
      const text = `${count(connections, "connection")} of ${user} closed.`;
      note(text);
      tell(text);
      decision.close();
      await refreshIfOpen();
    },
  });
}

const refreshIfOpen = () => ($("inspector").open ? refresh() : null);

async function publish() {
  const data = $("publish-data").value.trim();
  try {
    const { offset } = await calls.publish(channel, data);
    say($("publish-result"), offset ? `Published as #${number(offset)}.` : "Published.");
    note(`Published to ${channel}.`);
  } catch (error) {
    say($("publish-result"), error instanceof SyntaxError ? `That is not JSON: ${error.message}` : error.message);
  }
  await refresh();
}

$("publish-form").addEventListener("submit", (event) => {
  event.preventDefault();
  busy(event.submitter, publish);
});
$("inspector-again").addEventListener("click", (event) => busy(event.currentTarget, refresh));
$("inspector-close").addEventListener("click", () => $("inspector").close());
