// The partitions around a circle: a cell each, in the colour of its owner, and around them an arc for each shard, as long as its share.

import { colour } from "./colours.js";
import { $, drawing, say } from "./dom.js";
import { number, percent } from "./format.js";

const TRACKS = 16;
const OUTER = 88;
const INNER = 46;
const RIM = 95;

// Around the circle, from the top.
const at = (turn, radius) => {
  const angle = (turn - 0.25) * 2 * Math.PI;
  return `${(Math.cos(angle) * radius).toFixed(2)} ${(Math.sin(angle) * radius).toFixed(2)}`;
};

class Ring {
  constructor() {
    this.shares = drawing("g", { class: "rim" });
    this.cells = drawing("g", { class: "cells" });
    this.moving = drawing("path", { class: "blink" });
    this.first = drawing("text", { y: -3, class: "big" });
    this.second = drawing("text", { y: 13 });
    this.picture = drawing("svg", { viewBox: "-100 -100 200 200", role: "img" },
      this.shares, this.cells, this.moving, this.first, this.second);
    this.owners = [];
  }

  // `owners`: runs of [shard, how many]; `moving`: [partition, shard]; shards by their place in `names`.
  draw(names, { owners, moving }) {
    this.owners = owners.flatMap(([shard, run]) => Array(run).fill(names[shard]));
    this.cells.replaceChildren(...names.map((name) => this.group(name)));
    this.moving.setAttribute("d", moving.map(([partition]) => this.cell(partition, partition % TRACKS, 1)).join(""));
  }

  // All cells of a shard. Neighbours in a column are one shape.
  group(name) {
    let shape = "";
    for (let first = 0; first < this.owners.length; first += TRACKS) {
      for (let track = 0; track < TRACKS; track += 1) {
        if (this.owners[first + track] !== name) continue;
        let end = track + 1;
        while (end < TRACKS && this.owners[first + end] === name) end += 1;
        shape += this.cell(first, track, end - track);
        track = end;
      }
    }
    const group = drawing("path", { d: shape, fill: colour(name) });
    group.dataset.shard = name;
    return group;
  }

  // The shape of `run` cells from `track` on in the column of `partition`.
  cell(partition, track, run) {
    const columns = this.owners.length / TRACKS;
    const column = Math.floor(partition / TRACKS);
    const depth = (OUTER - INNER) / TRACKS;
    const [from, to] = [(column + 0.06) / columns, (column + 0.94) / columns];
    const [top, bottom] = [OUTER - track * depth, OUTER - (track + run) * depth + 0.25];
    return `M${at(from, top)}L${at(to, top)}L${at(to, bottom)}L${at(from, bottom)}Z`;
  }

  rim(shards) {
    let from = 0;
    const arcs = shards.filter(({ share }) => share > 0).map(({ name, share }) => {
      const to = from + share;
      const gap = Math.min(0.003, share / 4);
      // An arc that ends where it begins would be none.
      const end = Math.min(to - gap, from + 0.9999);
      const large = share > 0.5 ? 1 : 0;
      const d = `M${at(from + gap, RIM)}A${RIM} ${RIM} 0 ${large} 1 ${at(end, RIM)}`;
      from = to;
      const arc = drawing("path", { d, stroke: colour(name) });
      arc.dataset.shard = name;
      return arc;
    });
    this.shares.replaceChildren(...arcs);
  }

  // Shows one shard and dims the others; nothing: shows all.
  point(name) {
    this.pointed = name;
    for (const part of this.picture.querySelectorAll("[data-shard]")) {
      part.classList.toggle("dim", Boolean(name) && part.dataset.shard !== name);
    }
  }

  show({ shards, moves, partitions }) {
    if (partitions) this.draw(shards.map(({ name }) => name), partitions);
    this.rim(shards);
    this.point(shards.some(({ name }) => name === this.pointed) ? this.pointed : null);
    const said = shards.map(({ name, share }) => `${name} ${percent(share)}`);
    this.picture.setAttribute("aria-label", `Shares of the partitions: ${said.join(", ")}`);
    say(this.first, moves ? percent(moves.done / moves.planned) : number(shards.length));
    say(this.second, moves ? `of ${number(moves.planned)} moved` : shards.length === 1 ? "shard" : "shards");
  }
}

export const ring = new Ring();
$("ring").append(ring.picture);
