import { Ollama } from 'ollama';
import { assert, collect, hello, test, thinkerUrl, url } from './tap.mjs';

const client = new Ollama({ host: url });
const thinker = new Ollama({ host: thinkerUrl });
const options = { seed: 7, num_predict: 24 };

await test('chat: answer, stream, counts', async () => {
  const whole = await client.chat({ model: 'builtin', messages: hello, options });
  assert.equal(whole.eval_count, 24);
  assert.equal(whole.done_reason, 'length');
  const parts = await collect(
    await client.chat({ model: 'builtin', messages: hello, options, stream: true }));
  assert.equal(parts.map((p) => p.message.content).join(''), whole.message.content);
});

await test('chat: thinking', async () => {
  const a = await thinker.chat({ model: 'builtin', messages: hello, think: true,
    options: { ...options, num_predict: 90, thinking_budget: 20 } });
  assert(a.message.thinking.length > 0);
  const off = await client.chat({ model: 'builtin', messages: hello, think: false, options });
  assert.equal(off.message.thinking, undefined);
});

await test('chat: format is a schema', async () => {
  const format = { type: 'object', properties: { kind: { enum: ['cat', 'dog'] } },
    required: ['kind'], additionalProperties: false };
  const a = await client.chat({ model: 'builtin', messages: hello, think: false, format,
    options: { seed: 7 } });
  assert(['cat', 'dog'].includes(JSON.parse(a.message.content).kind));
});

await test('generate: answer and stream', async () => {
  const whole = await client.generate({ model: 'builtin', prompt: 'Hello', options });
  const parts = await collect(
    await client.generate({ model: 'builtin', prompt: 'Hello', options, stream: true }));
  assert.equal(parts.map((p) => p.response).join(''), whole.response);
});

await test('list, ps, show, version, embed', async () => {
  assert.equal((await client.list()).models[0].name, 'builtin');
  assert.equal((await client.ps()).models.length, 1);
  assert((await client.show({ model: 'builtin' })).capabilities.includes('thinking'));
  assert.equal((await client.embed({ model: 'builtin', input: ['a', 'b'] })).embeddings.length, 2);
});

await test('create, copy, delete', async () => {
  const told = await collect(await client.create({ model: 'mario', from: 'builtin',
    system: 'You are Mario.', parameters: { temperature: 0, num_predict: 5 }, stream: true }));
  assert.equal(told.at(-1).status, 'success');
  assert.equal((await client.show({ model: 'mario' })).system, 'You are Mario.');
  assert.equal((await client.chat({ model: 'mario', messages: hello })).eval_count, 5);
  assert.equal((await client.copy({ source: 'mario', destination: 'luigi' })).status, 'success');
  assert.deepEqual((await client.list()).models.map((m) => m.name).sort(), ['builtin', 'luigi', 'mario']);
  for (const model of ['mario', 'luigi'])
    assert.equal((await client.delete({ model })).status, 'success');
  await assert.rejects(client.delete({ model: 'mario' }), /mario/);
});

await test('pull', async () => {
  const told = await collect(await client.pull({ model: 'Qwen/Tiny-GGUF', stream: true }));
  assert(told.some((p) => p.total > 0 && p.completed === p.total));
  assert.equal(told.at(-1).status, 'success');
  assert.equal((await client.pull({ model: 'Qwen/Tiny-GGUF' })).status, 'success');
  assert((await client.chat({ model: 'Qwen/Tiny-GGUF', messages: hello, options })).message);
  await client.delete({ model: 'Qwen/Tiny-GGUF' });
  await assert.rejects(client.pull({ model: 'Qwen/Nothing-GGUF' }), /Nothing/);
});

await test('errors have a message', async () => {
  await assert.rejects(client.chat({ model: 'nope', messages: hello }), /nope/);
});
