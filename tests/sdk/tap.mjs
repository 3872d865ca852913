// Small helpers of the SDK programs: each test is one JSON line on standard output, which
// tests/server/test_sdk turns into TAP.
import assert from 'node:assert/strict';

export { assert };
export const url = process.env.WEN_URL;
export const thinkerUrl = process.env.WEN_THINKER_URL;
export const hello = [{ role: 'user', content: 'Hello' }];

export async function test(name, run) {
  try {
    await run();
    console.log(JSON.stringify({ name, ok: true }));
  } catch (trouble) {
    console.log(JSON.stringify({ name, ok: false, detail: String(trouble?.stack ?? trouble) }));
  }
}

export async function collect(stream) {
  const all = [];
  for await (const item of stream) all.push(item);
  return all;
}

export async function running() {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(/num_requests_running\{.*\} (\S+)/.exec(text)[1]);
}

export async function until(fact, ms = 3000) {
  const end = Date.now() + ms;
  while (!(await fact())) {
    assert(Date.now() < end, 'it did not come true in time');
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}
