// Answers that go on while the page is away, or the connection is cut.
import { answers, browser, clean, isIdle, open, send, shot } from './browser.mjs';
import { assert, test, until } from './tap.mjs';

const words = async (page) => (await page.locator('.markdown, .thought').allTextContents()).join('');

await test('an answer goes on over a reload', async () => {
  const page = await open({ settings: { max_tokens: '1500', think: false } });
  let asked = 0;
  page.on('request', (r) => { asked += r.url().endsWith('/chat/completions'); });
  await send(page, 'A long one');
  await until(async () => (await words(page)).length > 30);
  await page.reload();
  await page.waitForSelector('.message.assistant');
  await isIdle(page);
  assert.match(await answers(page).first().innerText(), /\d tokens · [\d,.]+ tokens\/s$/);
  assert.equal(asked, 1);
  assert.equal(await page.locator('.trouble:visible').count(), 0);
  const text = await page.locator('.markdown').innerText();
  await page.reload();
  await page.waitForSelector('.message.assistant');
  assert.equal(await page.locator('.markdown').innerText(), text);
  clean(page);
  await page.context().close();
});

await test('a connection that is cut is picked up behind the last event', async () => {
  const page = await open({ settings: { max_tokens: '60', think: false } });
  const seen = [];
  page.on('request', (r) => { if (r.url().includes('/v1/streams/')) seen.push(r.headers()['last-event-id']); });
  await page.route('**/v1/chat/completions', async (route) => {
    const response = await route.fetch();
    const body = await response.text();
    await route.fulfill({ response, body: body.slice(0, body.indexOf('\n\n', body.length / 2) + 2) });
  });
  await send(page, 'Hello');
  await page.waitForSelector('.message.assistant');
  await isIdle(page);
  assert.equal(seen.length, 1);
  assert.match(seen[0], /^\d+$/);
  assert.match(await answers(page).first().innerText(), /60 tokens/);
  await page.context().close();
});

await browser.close();
