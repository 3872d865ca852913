// The chat page against the real server; where the words matter, they are made up.
import { readFile, writeFile } from 'node:fs/promises';
import { answers, answerWith, ask, browser, clean, isIdle, open, send, shot, stream } from './browser.mjs';
import { assert, running, test, until } from './tap.mjs';

const article = `## A *short* tour

Some **bold** words, \`code\`, a [link](https://example.org/x) and a price of $5 to $10.
The identity $e^{i\\pi} + 1 = 0$ is inline; \\(a^2 + b^2 = c^2\\) too. Displayed:

$$\\int_{-\\infty}^{\\infty} e^{-x^2}\\,dx = \\sqrt{\\pi}$$

\`\`\`python
def fib(n: int) -> int:
    """The n-th Fibonacci number."""
    return n if n < 2 else fib(n - 1) + fib(n - 2)  # slow
\`\`\`

| animal | legs |
|---|---|
| cat | 4 |
| bird | 2 |

1. first
2. second
   - [x] done
   - [ ] open

> A quotation of vector<int> and <br> a break.
`;

await test('an answer streams, and is drawn whole', async () => {
  const page = await open();
  await page.waitForSelector('.welcome h1');
  await shot(page, 'empty');
  await ask(page, 'Hello');
  const text = await answers(page).first().innerText();
  assert(text.length > 10, text);
  assert.match(text, /48 tokens/);
  assert.match(text, /tokens\/s/);
  assert.match(await page.locator('.context').textContent(), /%/);
  clean(page);
  await page.context().close();
});

await test('Markdown, code, mathematics', async () => {
  const page = await open();
  await answerWith(page, [{ reasoning_content: 'Let me see. ' }, { reasoning_content: 'A tour.' },
    ...article.match(/[\s\S]{1,7}/g).map((content) => ({ content }))]);
  await ask(page, 'Give me a tour');
  const body = page.locator('.markdown').first();
  assert.equal(await body.locator('h2 em').textContent(), 'short');
  assert.equal(await body.locator('math').count(), 3);
  assert.equal(await body.locator('.math.display').count(), 1);
  assert(await body.locator('.hljs-keyword').count() >= 3);
  assert.equal(await body.locator('td').count(), 4);
  assert.equal(await body.locator('input[type=checkbox]:disabled').count(), 2);
  assert.match(await body.locator('blockquote').innerText(), /vector<int> and\s*\n\s*a break/);
  assert.match(await body.innerText(), /\$5 to \$10/);
  assert.equal(await body.locator('a').first().getAttribute('rel'), 'noopener noreferrer nofollow');
  await page.click('.copy-code');
  assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^def fib[^`]*slow$/);
  for (const theme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: theme });
    await shot(page, `answer-${theme}`);
  }
  clean(page);
  await page.context().close();
});

await test('the thought is folded, with its time and tokens', async () => {
  const page = await open();
  await answerWith(page, [{ reasoning_content: 'Let me see.' }, { content: 'Yes.' }]);
  await ask(page, 'Well?');
  const thought = page.locator('details.thought');
  assert.match(await thought.locator('summary').textContent(), /^Thought · \d+\.\d s · 5 tokens$/);
  assert.equal(await thought.locator('.thought-text').isVisible(), false);
  await thought.locator('summary').click();
  assert.equal(await thought.locator('.thought-text').textContent(), 'Let me see.');
  clean(page);
  await page.context().close();
});

await test('a malicious answer executes nothing, loads nothing', async () => {
  const page = await open();
  const attacks = `<script>window.hit=1</script> <img src=x onerror="window.hit=2"> <svg onload="window.hit=3"></svg>

<iframe srcdoc="<script>parent.hit=4</script>"></iframe><style>body{display:none}</style>

![](https://evil.example/leak?x) ![a](javascript:window.hit=5) [b](javascript:window.hit=6) [c](data:text/html,<script>1</script>)
[d](vbscript:x) <a href="javascript:window.hit=7">e</a> <details open ontoggle="window.hit=8">f</details>

<form action="https://evil.example"><input autofocus onfocus="window.hit=9"><button>go</button></form>
<base href="https://evil.example/"><meta http-equiv=refresh content="0;url=https://evil.example">
<math><mtext><table><mglyph><style><img src=x onerror="window.hit=10"></style></mglyph></table></mtext></math>

$\\href{javascript:window.hit=11}{x}$ $\\htmlStyle{background:url(https://evil.example/y)}{x}$ $\\includegraphics{https://evil.example/z.png}$

\`\`\`"><img src=x onerror=window.hit=12>
</code></pre><img src=x onerror="window.hit=13">
\`\`\`

[x]: javascript:window.hit=14 "<img src=x onerror=window.hit=15>"
[x] <span id="live" class="math" style="position:fixed;inset:0">spoof</span> <x onclick="window.hit=16">`;
  await answerWith(page, [{ reasoning_content: attacks }, ...attacks.match(/[\s\S]{1,9}/g).map((content) => ({ content }))]);
  await ask(page, '<img src=x onerror="window.hit=17">');
  await page.locator('details.thought summary').click();
  const body = page.locator('.markdown').first();
  for (const link of await body.locator('a').all()) {
    const href = await link.getAttribute('href');
    assert(href === null || /^(?:https?:|mailto:|#)/.test(href), href);
  }
  assert.equal(await body.locator('script, img, svg, iframe, style, form, base, meta, [onclick], [onerror], [style], #live').count(), 0);
  await page.waitForTimeout(300);
  assert.equal(await page.evaluate(() => window.hit), undefined);
  assert.equal(await page.locator('#input').isVisible(), true);
  clean(page);
  await page.context().close();
});

await test('even past the sanitizer the policy runs nothing', async () => {
  const page = await open();
  const result = await page.evaluate(async () => {
    const say = (f) => { try { f(); return 'ran'; } catch (e) { return e.name; } };
    const image = new Image();
    const loaded = new Promise((resolve) => { image.onload = () => resolve('loaded'); image.onerror = () => resolve('refused'); });
    image.src = 'https://evil.example/x.png';
    const script = document.createElement('script');
    return { html: say(() => { document.createElement('div').innerHTML = '<b>'; }),
      text: say(() => { script.textContent = 'window.hit = 1'; document.body.append(script); }),
      image: await loaded, fetch: await fetch('https://evil.example/').then(() => 'sent', () => 'refused') };
  });
  assert.deepEqual(result, { html: 'TypeError', text: 'TypeError', image: 'refused', fetch: 'refused' });
  await page.context().close();
});

await test('stop ends the answer, in the page and in the server', async () => {
  const page = await open({ settings: { max_tokens: '30000' } });
  await send(page, 'Go on for ever');
  await page.waitForSelector('#send[aria-label="Stop (Esc)"]');
  await page.waitForSelector('.message.assistant.running');
  await until(async () => (await answers(page).first().locator('.markdown, .thought').allTextContents()).join('').length > 20);
  await page.keyboard.press('Escape');
  await isIdle(page);
  assert.match(await answers(page).first().innerText(), /Stopped/);
  await until(async () => (await running()) === 0);
  clean(page);
  await page.context().close();
});

await test('branches: again, edit, back and forth; and all is there after a reload', async () => {
  const page = await open({ settings: { seed: '' } });
  await ask(page, 'First question');
  await page.locator('.message.assistant [data-act=again]').click();
  await isIdle(page);
  const branches = page.locator('.message.assistant .branches');
  assert.match(await branches.innerText(), /2 \/ 2/);
  const second = await page.locator('.markdown').innerText();
  await branches.locator('[data-act=previous]').click();
  assert.match(await branches.innerText(), /1 \/ 2/);
  const first = await page.locator('.markdown').innerText();
  await page.locator('.message.user [data-act=edit]').click();
  await page.fill('.editing textarea', 'Another question');
  await page.press('.editing textarea', 'Enter');
  await isIdle(page);
  assert.equal(await page.locator('.bubble').innerText(), 'Another question');
  await page.locator('.message.user [data-act=previous]').click();
  assert.equal(await page.locator('.bubble').innerText(), 'First question');
  await branches.locator('[data-act=previous]').click();
  assert.equal(await page.locator('.markdown').innerText(), first);
  await ask(page, 'And further');
  await page.reload();
  await page.waitForSelector('.message.user:nth-of-type(3)');
  assert.deepEqual(await page.locator('.bubble').allInnerTexts(), ['First question', 'And further']);
  await page.locator('.message.assistant .branches [data-act=next]').first().click();
  assert.equal(await page.locator('.markdown').first().innerText(), second);
  clean(page);
  await page.context().close();
});

await test('thinking: the switch and the budget reach the server', async () => {
  const page = await open();
  const bodies = [];
  page.on('request', (r) => { if (r.url().endsWith('/chat/completions')) bodies.push(r.postDataJSON()); });
  await page.fill('#budget', '1');
  assert.equal(await page.locator('.budget output').textContent(), '32');
  await ask(page, 'With a budget');
  await page.click('#think');
  assert.equal(await page.locator('#budget').isVisible(), false);
  await ask(page, 'Without');
  assert.equal(bodies[0].think, true);
  assert.equal(bodies[0].thinking_budget, 32);
  assert.equal(bodies[1].think, false);
  assert.equal(bodies[1].thinking_budget, undefined);
  assert.equal(bodies[1].max_tokens, 48);
  clean(page);
  await page.context().close();
});

await test('settings, system prompt, tools and their results', async () => {
  const page = await open();
  const bodies = [];
  await page.waitForFunction(() => document.querySelector('#model').value === 'builtin');
  await page.click('#settings');
  assert.equal(await page.getAttribute('#set-temperature', 'placeholder'), '0.6');
  await page.fill('#set-temperature', '0.3');
  await page.fill('#set-system', 'Be brief');
  await page.fill('#set-tools', '[{"type":');
  assert.equal(await page.locator('dialog .bad').textContent(), 'This is not a JSON array');
  await page.fill('#set-tools', '[{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]');
  await shot(page, 'settings');
  await page.keyboard.press('Escape');
  let n = 0;
  await page.route('**/v1/chat/completions', async (route) => {
    bodies.push(route.request().postDataJSON());
    if (n++ === 0) {
      await route.fulfill({ status: 200, contentType: 'text/event-stream', body: stream([
        { tool_calls: [{ index: 0, id: 'call_1', type: 'function', function: { name: 'weather', arguments: '' } }] },
        { tool_calls: [{ index: 0, function: { arguments: '{"city":' } }] },
        { tool_calls: [{ index: 0, function: { arguments: '"Oslo"}' } }] }]) });
    } else {
      await route.continue();
    }
  });
  await ask(page, 'The weather?');
  assert.match(await page.locator('details.call').innerText(), /Tool call:\s*weather[\s\S]*"city": "Oslo"/);
  await page.fill('.results textarea', '{"sky": "blue"}');
  await shot(page, 'tools');
  await page.click('.results button');
  await answers(page).nth(1).waitFor();
  await isIdle(page);
  assert.equal(bodies[0].temperature, 0.3);
  assert.equal(bodies[0].tools[0].function.name, 'weather');
  assert.deepEqual(bodies[1].messages.map((m) => m.role), ['system', 'user', 'assistant', 'tool']);
  assert.deepEqual(bodies[1].messages[3], { role: 'tool', tool_call_id: 'call_1', name: 'weather', content: '{"sky": "blue"}' });
  assert.equal(await page.locator('.trouble:visible').count(), 0);
  clean(page);
  await page.context().close();
});

await test('conversations: search, rename, delete, export, import', async () => {
  const page = await open();
  page.on('dialog', (d) => d.accept());
  await ask(page, 'About cats');
  await page.click('.new');
  await ask(page, 'About birds');
  const items = page.locator('.conversations li .open');
  await until(async () => (await items.count()) === 2);
  await page.fill('#search', 'CATS');
  assert.deepEqual(await items.allInnerTexts(), ['About cats']);
  await page.fill('#search', '');
  await page.locator('li', { hasText: 'About cats' }).hover();
  await page.locator('li', { hasText: 'About cats' }).getByLabel('Rename').click();
  await page.fill('.rename', 'Felines');
  await page.press('.rename', 'Enter');
  await page.locator('li', { hasText: 'Felines' }).waitFor();
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByLabel('Export all').click()]);
  const path = await file.path();
  const saved = JSON.parse(await readFile(path, 'utf8'));
  assert.equal(saved.conversations.length, 2);
  for (const name of ['Felines', 'About birds']) {
    await page.locator('li', { hasText: name }).hover();
    await page.locator('li', { hasText: name }).getByLabel('Delete').click();
    await page.locator('li', { hasText: name }).waitFor({ state: 'detached' });
  }
  assert.equal(await items.count(), 0);
  await page.reload();
  const importFile = async (name) => {
    const [chooser] = await Promise.all([page.waitForEvent('filechooser'), page.getByRole('button', { name: 'Import' }).click()]);
    await chooser.setFiles(name);
  };
  await importFile(path);
  await page.locator('li', { hasText: 'Felines' }).locator('.open').click();
  assert.equal(await page.locator('.bubble').innerText(), 'About cats');
  const bad = structuredClone(saved);
  for (const node of Object.values(bad.conversations[1].nodes)) node.parent = node.id;
  await writeFile('bad.json', JSON.stringify(bad));
  await importFile('bad.json');
  await page.getByText('This file cannot be imported: conversations[1]').first().waitFor();
  clean(page);
  await page.context().close();
});

await test('errors are said: no such model, a key that is wanted', async () => {
  const page = await open();
  await page.route('**/v1/chat/completions', (route) => route.fulfill({ status: 429, contentType: 'application/json',
    body: '{"error": {"message": "300 requests are waiting"}}' }));
  await ask(page, 'Hello');
  assert.equal(await page.locator('.trouble').innerText(), '300 requests are waiting');
  assert.deepEqual(page.foreign, []);
  await page.context().close();
});

await test('keyboard alone', async () => {
  const page = await open();
  const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.dataset.act || document.activeElement.className);
  await page.waitForFunction(() => document.activeElement.id === 'input');
  await page.keyboard.type('Typed');
  await page.keyboard.press('Shift+Enter');
  await page.keyboard.type('in two lines');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.message.assistant');
  await isIdle(page);
  assert.equal(await page.locator('.bubble').innerText(), 'Typed\nin two lines');
  assert.equal(await page.locator('#live').textContent(), 'The answer is finished');
  assert.equal(await focused(), 'input');
  await page.keyboard.press('ArrowUp');
  assert.equal(await page.locator('.editing textarea').inputValue(), 'Typed\nin two lines');
  await page.keyboard.press('Escape');
  assert.equal(await focused(), 'edit');
  assert(await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle !== 'none'), 'the focus is seen');
  await page.keyboard.press('/');
  assert.equal(await focused(), 'input');
  await page.keyboard.press('Alt+t');
  assert.equal(await page.getAttribute('#think', 'aria-pressed'), 'false');
  await page.keyboard.press('Control+Shift+O');
  await page.waitForSelector('.welcome:visible');
  await page.keyboard.press('Control+k');
  assert.equal(await focused(), 'search');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.bubble');
  await page.keyboard.press('Control+b');
  assert.equal(await page.evaluate(() => document.querySelector('#side').inert), true);
  await page.keyboard.press('Control+,');
  await page.waitForSelector('dialog[open]');
  await page.keyboard.press('Escape');
  await page.waitForSelector('dialog', { state: 'detached' });
  clean(page);
  await page.context().close();
});

await test('a phone', async () => {
  const page = await open({ viewport: { width: 360, height: 700 }, hasTouch: true, isMobile: true });
  await answerWith(page, [{ reasoning_content: 'Hm.' }, { content: article }]);
  await ask(page, 'Give me a tour');
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360);
  const box = await page.locator('#send').boundingBox();
  assert(box.x + box.width <= 360 && box.y + box.height <= 700, JSON.stringify(box));
  await page.evaluate(() => { document.querySelector('.scroller').scrollTop = 0; });
  await shot(page, 'phone');
  await page.click('#menu');
  await page.locator('.conversations .open').click();
  assert.equal(await page.evaluate(() => document.querySelector('#side').inert), true);
  clean(page);
  await page.context().close();
});

await test('Chinese', async () => {
  const page = await open({ locale: 'zh-CN' });
  assert.equal(await page.getAttribute('#input', 'placeholder'), '有什么想问的？');
  assert.equal(await page.evaluate(() => document.documentElement.lang), 'zh');
  await answerWith(page, [{ reasoning_content: '想一想。' }, { content: '你好，**世界**！公式 $x^2$。' }]);
  await ask(page, '你好');
  assert.match(await page.locator('details.thought summary').textContent(), /^思考过程 · [\d.]+ 秒 · 5 词元$/);
  await page.click('#settings');
  await page.selectOption('#set-theme', 'dark');
  await page.keyboard.press('Escape');
  await shot(page, 'chinese-dark');
  await page.click('#settings');
  await page.selectOption('#set-language', 'en');
  await page.keyboard.press('Escape');
  assert.equal(await page.getAttribute('#input', 'placeholder'), 'Ask anything');
  await page.locator('.bubble', { hasText: '你好' }).waitFor();
  clean(page);
  await page.context().close();
});

await browser.close();
