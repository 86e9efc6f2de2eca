// The official JavaScript client in a page of a headless Chromium, driven line by line; the lines are those of puppet.mjs.
//
//   node page.mjs json|protobuf CERTIFICATE
//
// The page connects over WebTransport to the server whose certificate has this SHA-256, in hexadecimal digits, and needs no
// authority to vouch for it. What it writes to its console as an error, and what it does not catch, is an event
// {"event": "page_error", "text"}.

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import readline from 'node:readline';
import { chromium } from 'playwright-core';

const [, , codec, certificate] = process.argv;
const print = (object) => process.stdout.write(`${JSON.stringify(object)}\n`);

// A page of this host is a secure context, which WebTransport demands, and may connect to this host.
const scripts = {
  '/client.mjs': new URL('client.mjs', import.meta.url),
  '/centrifuge.js': new URL(
    `node_modules/centrifuge/dist/centrifuge${codec === 'protobuf' ? '.protobuf' : ''}.js`,
    import.meta.url,
  ),
};
const html = '<!doctype html><link rel="icon" href="data:,"><script src="/centrifuge.js"></script>';
const server = createServer(async (request, response) => {
  const script = scripts[request.url];
  response.setHeader('Content-Type', script ? 'text/javascript' : 'text/html');
  response.end(script ? await readFile(script) : html);
});
await once(server.listen(0, '127.0.0.1'), 'listening');

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
});
const page = await browser.newPage();
page.setDefaultTimeout(30_000);
page.on('console', (message) => message.type() === 'error' && print({ event: 'page_error', text: message.text() }));
page.on('pageerror', (error) => print({ event: 'page_error', text: String(error) }));
await page.exposeFunction('print', print);
await page.goto(`http://127.0.0.1:${server.address().port}/`);

// The SDK has no option for the hash of a certificate: the constructor that it finds brings it along.
await page.evaluate(
  async ({ codec, certificate }) => {
    const value = Uint8Array.from(certificate.match(/../g), (byte) => parseInt(byte, 16));
    const Native = globalThis.WebTransport;
    globalThis.WebTransport = class extends Native {
      constructor(url) {
        super(url, { serverCertificateHashes: [{ algorithm: 'sha-256', value }] });
      }
    };
    const { puppet } = await import('/client.mjs');
    globalThis.commands = puppet({ Centrifuge, protobuf: codec === 'protobuf', print });
  },
  { codec, certificate },
);

async function obey(line) {
  const command = JSON.parse(line);
  try {
    const ok = await page.evaluate(async (command) => {
      try {
        return { ok: (await commands[command.do](command)) ?? null };
      } catch (error) {
        return { error: { code: error.code ?? 0, message: error.message ?? String(error) } };
      }
    }, command);
    print({ re: command.id, ...ok });
  } catch (error) {
    print({ re: command.id, error: { code: 0, message: String(error) } });
  }
}

// When the test goes away so does the browser.
readline
  .createInterface({ input: process.stdin })
  .on('line', obey)
  .on('close', async () => {
    await browser.close();
    process.exit(0);
  });
