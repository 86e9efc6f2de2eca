// The gateways of the deployment.

import { $, cell, each, element, say } from "./dom.js";
import { duration, number } from "./format.js";

function row() {
  return element("tr", { role: "row" },
    element("th", { role: "rowheader", scope: "row" }, element("span", { class: "title" }, element("span", { class: "name" }), element("span", { class: "pill", hidden: true }, "this one"))),
    cell("Connections", { class: "number clients" }),
    cell("Users", { class: "number users" }),
    cell("Subscriptions", { class: "number subs" }),
    cell("Channels", { class: "number channels" }),
    cell("Topology", { class: "number topology" }),
    cell("Up for", { class: "number uptime" }),
    cell("Version", { class: "version" }));
}

export function show({ gateways, readiness, shards }) {
  const rows = [...gateways].sort((one, other) => one.name.localeCompare(other.name) || one.uid.localeCompare(other.uid));
  each($("gateways"), rows, ({ uid }) => uid, row, (node, gateway) => {
    const set = (selector, text) => say(node.querySelector(selector), text);
    const generation = gateway.topology?.generation;
    set(".name", gateway.name);
    set(".clients", number(gateway.num_clients));
    set(".users", number(gateway.num_users));
    set(".subs", number(gateway.num_subs));
    set(".channels", number(gateway.num_channels));
    set(".topology", generation === undefined ? "none yet" : number(generation));
    set(".uptime", duration(gateway.uptime));
    set(".version", gateway.version);
    // While partitions move, gateways are a few generations apart.
    node.querySelector(".topology").classList.toggle("behind", !shards?.moves && generation < (shards?.generation ?? 0));
    node.querySelector(".pill").hidden = gateway.name !== readiness.gateway;
  });
}
