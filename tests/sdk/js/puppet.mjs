// The official JavaScript client, driven line by line.
//
//   node puppet.mjs json|protobuf
//
// Standard input: one JSON command a line, {"id": 1, "do": "subscribe", ...}.
// Standard output: one JSON object a line, either the answer to a command, {"re": 1, "ok": ...} or
// {"re": 1, "error": {code, message}}, or an event of the client, {"event": "publication", ...}.
// puppet.py speaks the same lines.

import readline from 'node:readline';
import WebSocket from 'ws';
import { puppet } from './client.mjs';

const protobuf = process.argv[2] === 'protobuf';
const { Centrifuge } = await import(protobuf ? 'centrifuge/build/protobuf' : 'centrifuge');

const print = (object) => process.stdout.write(`${JSON.stringify(object)}\n`);
const commands = puppet({ Centrifuge, protobuf, print, defaults: { websocket: WebSocket } });

async function obey(line) {
  const command = JSON.parse(line);
  try {
    print({ re: command.id, ok: (await commands[command.do](command)) ?? null });
  } catch (error) {
    print({ re: command.id, error: { code: error.code ?? 0, message: error.message ?? String(error) } });
  }
}

// When the test goes away so does the puppet.
readline
  .createInterface({ input: process.stdin })
  .on('line', obey)
  .on('close', () => process.exit(0));
