// Tabs of a headless Chromium, driven line by line; the lines are those of puppet.mjs.
//
//   node browser.mjs
//
// Everything a page writes to its console as an error, and every exception it does not catch, is an event
// {"event": "page_error", "tab", "text"}.

import readline from 'node:readline';
import { chromium } from 'playwright-core';

const print = (object) => process.stdout.write(`${JSON.stringify(object)}\n`);

// Debian's browser; its own background traffic stays off, there may be no network.
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
});
const context = await browser.newContext();
const tabs = new Map();

// What cannot be done at once is tried for so long.
context.setDefaultTimeout(15_000);

const commands = {
  async open({ tab, url }) {
    const page = await context.newPage();
    tabs.set(tab, page);
    const failed = (text) => print({ event: 'page_error', tab, text });
    page.on('console', (message) => message.type() === 'error' && failed(message.text()));
    page.on('pageerror', (error) => failed(String(error)));
    await page.goto(url);
  },
  async reload({ tab }) {
    await tabs.get(tab).reload();
  },
  async fill({ tab, selector, value }) {
    await tabs.get(tab).fill(selector, value);
  },
  async press({ tab, selector, key }) {
    await tabs.get(tab).press(selector, key);
  },
  async click({ tab, selector }) {
    await tabs.get(tab).click(selector);
  },
  // The text of each element, in the page's order.
  async texts({ tab, selector }) {
    return tabs.get(tab).locator(selector).allInnerTexts();
  },
  // What an expression of the page comes to.
  async evaluate({ tab, expression }) {
    return tabs.get(tab).evaluate(expression);
  },
  // The size of the window, and whether the visitor likes it dark.
  async look({ tab, width, height, scheme }) {
    await tabs.get(tab).setViewportSize({ width, height });
    await tabs.get(tab).emulateMedia({ colorScheme: scheme });
  },
  async screenshot({ tab, path, whole }) {
    await tabs.get(tab).screenshot({ path, fullPage: Boolean(whole) });
  },
};

async function obey(line) {
  const command = JSON.parse(line);
  try {
    print({ re: command.id, ok: (await commands[command.do](command)) ?? null });
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
