// A browser for the page's tests, and what they share.
import { chromium } from 'playwright-core';
import { assert, url } from './tap.mjs';

export const browser = await chromium.launch({ executablePath: process.env.WEN_CHROMIUM,
  args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'] });

// A fresh browser profile with the page open. `page.troubles` gathers errors and breaches of the policy;
// `page.foreign` gathers requests to anywhere but the server.
export async function open({ hash = '', settings = {}, ...more } = {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 800 }, locale: 'en-US', ...more });
  await context.addInitScript((s) => {
    if (!localStorage.getItem('wen.settings')) localStorage.setItem('wen.settings', JSON.stringify(s));
  }, { max_tokens: '48', seed: '1', ...settings });
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  const page = await context.newPage();
  page.setDefaultTimeout(40000);
  page.troubles = [];
  page.foreign = [];
  page.on('pageerror', (e) => page.troubles.push(String(e)));
  page.on('console', (m) => { if (m.type() === 'error') page.troubles.push(m.text()); });
  context.on('request', (r) => { if (!/^(?:blob|data):/.test(r.url()) && !r.url().startsWith(url)) page.foreign.push(r.url()); });
  await page.goto(`${url}/${hash}`);
  return page;
}

export async function send(page, text) {
  await page.fill('#input', text);
  await page.press('#input', 'Enter');
}

export const answers = (page) => page.locator('.message.assistant');
export const isIdle = (page) => page.waitForSelector('.message.running', { state: 'detached' });

export async function ask(page, text) {
  const n = await answers(page).count();
  await send(page, text);
  await answers(page).nth(n).waitFor();
  await isIdle(page);
}

// The server's stream, made up: deltas as it would send them.
export function stream(deltas, usage = { prompt_tokens: 10, completion_tokens: 20, completion_tokens_details: { reasoning_tokens: 5 } }) {
  const chunks = deltas.map((delta) => ({ choices: [{ index: 0, delta, finish_reason: null }] }));
  chunks.push({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }, { choices: [], usage });
  return `${chunks.map((c) => `data: ${JSON.stringify(c)}\n\n`).join('')}data: [DONE]\n\n`;
}

export async function answerWith(page, deltas) {
  await page.route('**/v1/chat/completions', (route) =>
    route.fulfill({ status: 200, contentType: 'text/event-stream', body: stream(deltas) }));
}

export function clean(page) {
  assert.deepEqual(page.troubles, []);
  assert.deepEqual(page.foreign, []);
}

export async function shot(page, name) {
  if (process.env.WEN_SHOTS) await page.screenshot({ path: `${process.env.WEN_SHOTS}/${name}.png` });
}
