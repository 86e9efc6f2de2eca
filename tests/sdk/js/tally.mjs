// The official JavaScript client as a judge of numbered publications, driven line by line like puppet.mjs.
//
//   node tally.mjs json|protobuf
//
// Each publication is {"n": number}, counted from 1 in each channel. Whatever is not the number after the last one is
// written down. Only sums are printed, so that a few clients can watch thousands of channels.

import readline from 'node:readline';
import WebSocket from 'ws';

const protobuf = process.argv[2] === 'protobuf';
const { Centrifuge } = await import(protobuf ? 'centrifuge/build/protobuf' : 'centrifuge');
const decode = (value) => (protobuf ? JSON.parse(new TextDecoder().decode(value)) : value);

const print = (object) => process.stdout.write(`${JSON.stringify(object)}\n`);

const KEPT = 20; // violations that are worth printing
const last = new Map();
let received = 0;
let violations = [];
let wrong = new Set();
let counts = { connects: 0, disconnects: 0, unsubscribes: 0, errors: 0 };
let resubscribes = { recovered: [], lost: [] };
const subscribed = new Set();
let client = null;

function note(text) {
  if (violations.length < KEPT) violations.push(text);
}

function publication(channel, number) {
  received += 1;
  const before = last.get(channel);
  if (before !== undefined && number !== before + 1) {
    wrong.add(channel);
    note(`${channel}: ${number} after ${before}`);
  }
  last.set(channel, before === undefined ? number : Math.max(before, number));
}

const commands = {
  connect({ url, token, options }) {
    client = new Centrifuge(url, { websocket: WebSocket, token, timeout: 20000, ...options });
    client.on('connected', () => (counts.connects += 1));
    client.on('disconnected', () => (counts.disconnects += 1));
    client.on('connecting', (it) => {
      if (it.code !== 0) counts.disconnects += 1;
    });
    client.on('error', (it) => {
      counts.errors += 1;
      note(`error ${it.error.code}: ${it.error.message}`);
    });
    client.connect();
  },
  watch({ channels }) {
    for (const channel of channels) {
      const sub = client.newSubscription(channel);
      sub.on('publication', (it) => publication(channel, decode(it.data).n));
      sub.on('subscribed', (it) => {
        subscribed.add(channel);
        if (it.wasRecovering) resubscribes[it.recovered ? 'recovered' : 'lost'].push(channel);
        // What was not recovered is not promised: counting begins anew.
        if (!it.recovered) last.delete(channel);
      });
      sub.on('subscribing', (it) => {
        subscribed.delete(channel);
        if (it.code === 2500) counts.unsubscribes += 1;
      });
      sub.on('unsubscribed', (it) => {
        subscribed.delete(channel);
        counts.unsubscribes += 1;
        note(`${channel}: unsubscribed ${it.code} ${it.reason}`);
      });
      sub.on('error', (it) => {
        counts.errors += 1;
        note(`${channel}: ${it.error.code} ${it.error.message}`);
      });
      sub.subscribe();
    }
  },
  leave() {
    client.disconnect();
  },
  return() {
    client.connect();
  },
  report() {
    return { received, subscribed: subscribed.size, ...counts, wrong: [...wrong], ...resubscribes, violations };
  },
  numbers() {
    return Object.fromEntries(last);
  },
  forget() {
    violations = [];
    wrong = new Set();
    counts = { connects: 0, disconnects: 0, unsubscribes: 0, errors: 0 };
    resubscribes = { recovered: [], lost: [] };
  },
};

readline
  .createInterface({ input: process.stdin })
  .on('line', (line) => {
    const command = JSON.parse(line);
    print({ re: command.id, ok: commands[command.do](command) ?? null });
  })
  .on('close', () => process.exit(0));
