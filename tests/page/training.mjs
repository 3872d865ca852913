// The training view, over a run that grows.
import { appendFile } from 'node:fs/promises';
import { browser, clean, open, shot } from './browser.mjs';
import { assert, test, until } from './tap.mjs';

const log = `${process.env.WEN_RUN}/log.csv`;

await test('plots, figures and samples of a run, as it grows', async () => {
  const page = await open({ hash: '#train' });
  await page.waitForSelector('.plot');
  assert.equal(await page.locator('#run').inputValue(), 'runs/sft');
  const titles = await page.locator('.plot b').allInnerTexts();
  for (const title of ['Loss', 'Reward', 'Accuracy', 'Accuracy by thinking budget', 'accuracy_think']) assert(titles.includes(title), title);
  assert.match(await page.locator('.tiles').innerText(), /300\s*step/);
  await page.locator('details', { hasText: 'without thought' }).locator('summary').click();
  assert.equal(await page.locator('details[open] .said').innerText(), '<img src=x onerror=hit()> 4');
  assert.equal(await page.locator('.texts img').count(), 0);
  assert.match(await page.locator('.texts').innerText(), /chain 2 · reward 1 · 31 tokens/);
  for (const theme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: theme });
    await shot(page, `train-${theme}`);
  }
  await appendFile(log, '301,1232896,301,2.3,,0.0003,1,4000,,0,,,,,,0.9\n');
  await until(async () => /301\s*step/.test(await page.locator('.tiles').innerText()), 30000);
  assert.equal(await page.locator('details[open] .said').count(), 1);
  await page.setViewportSize({ width: 360, height: 700 });
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360);
  await shot(page, 'train-phone');
  await page.click('#switch');
  await page.waitForSelector('#input');
  clean(page);
  await page.context().close();
});

await browser.close();
