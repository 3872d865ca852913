import Anthropic from '@anthropic-ai/sdk';
import { assert, hello, running, test, thinkerUrl, until, url } from './tap.mjs';

const client = new Anthropic({ baseURL: url, apiKey: 'none', maxRetries: 0 });
const thinker = new Anthropic({ baseURL: thinkerUrl, apiKey: 'none', maxRetries: 0 });
const body = { model: 'builtin', messages: hello, max_tokens: 24, seed: 7 };

await test('messages: answer and usage', async () => {
  const a = await client.messages.create(body);
  assert.equal(a.stop_reason, 'max_tokens');
  assert.equal(a.usage.output_tokens, 24);
  assert.equal(a.content[0].type, 'text');
});

await test('messages: the stream helper adds up to the answer', async () => {
  const whole = await client.messages.create(body);
  const streamed = await client.messages.stream(body).finalMessage();
  assert.deepEqual(streamed.content, whole.content);
  assert.equal(streamed.stop_reason, whole.stop_reason);
  assert.equal(streamed.usage.output_tokens, whole.usage.output_tokens);
});

await test('messages: thinking', async () => {
  const asked = { ...body, max_tokens: 90, thinking: { type: 'enabled', budget_tokens: 20 } };
  const whole = await thinker.messages.create(asked);
  assert.deepEqual(whole.content.map((b) => b.type), ['thinking', 'text']);
  const streamed = await thinker.messages.stream(asked).finalMessage();
  assert.deepEqual(streamed.content, whole.content);
});

await test('messages: tools and their results in the history', async () => {
  const a = await client.messages.create({ ...body,
    tools: [{ name: 'f', description: 'd', input_schema: { type: 'object', properties: {} } }],
    messages: [...hello,
      { role: 'assistant', content: [{ type: 'tool_use', id: 't', name: 'f', input: {} }] },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: 't', content: 'x' }] }] });
  assert.equal(a.type, 'message');
});

await test('messages: a call is forced, streamed and not', async () => {
  const asked = { ...body, max_tokens: 300, thinking: { type: 'disabled' },
    tools: [{ name: 'f', description: 'd', input_schema: { type: 'object', required: ['n'],
      properties: { n: { enum: [1, 2] } }, additionalProperties: false } }],
    tool_choice: { type: 'any', disable_parallel_tool_use: true } };
  const whole = await client.messages.create(asked);
  assert.equal(whole.stop_reason, 'tool_use');
  assert([1, 2].includes(whole.content[0].input.n));
  const streamed = await client.messages.stream(asked).finalMessage();
  assert.deepEqual(streamed.content[0].input, whole.content[0].input);
});

await test('messages: stop sequences', async () => {
  const text = (await client.messages.create(body)).content[0].text;
  const a = await client.messages.create({ ...body, stop_sequences: [text.slice(6, 9)] });
  assert.equal(a.stop_reason, 'stop_sequence');
  assert.equal(a.stop_sequence, text.slice(6, 9));
});

await test('count_tokens', async () => {
  const a = await client.messages.countTokens({ model: 'builtin', messages: hello });
  const b = await client.messages.create(body);
  assert.equal(a.input_tokens, b.usage.input_tokens + b.usage.cache_read_input_tokens);
});

await test('errors are the SDK\'s own classes', async () => {
  await assert.rejects(client.messages.create({ ...body, model: 'nope' }), Anthropic.NotFoundError);
  await assert.rejects(client.messages.create({ ...body, messages: [] }), Anthropic.BadRequestError);
});

await test('cancellation stops the engine', async () => {
  const stream = client.messages.stream({ ...body, max_tokens: 3500, ignore_eos: true });
  for await (const _ of stream) break;
  stream.abort();
  await until(async () => (await running()) === 0);
});
