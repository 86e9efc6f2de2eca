// A colour for each shard, which it keeps as long as the page is open. The first eight are in the style sheet.

import { element } from "./dom.js";

const NAMED = 8;
const places = new Map();

export function colour(name) {
  if (!places.has(name)) places.set(name, places.size);
  const place = places.get(name);
  return place < NAMED ? `var(--shard-${place})` : `hsl(${(place * 137.5) % 360} 45% 52%)`;
}

// Begins with the names in their order, so that the same shards have the same colours after the page is loaded again.
export const know = (names) => [...names].sort().forEach(colour);

export function swatch(name) {
  const node = element("span", { class: "swatch", "aria-hidden": "true" });
  node.style.background = colour(name);
  return node;
}

// A shard's name with its colour.
export const badge = (name) => element("span", { class: "title" }, swatch(name), element("span", { class: "name" }, name));
