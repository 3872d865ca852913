import OpenAI from 'openai';
import { assert, collect, hello, running, test, thinkerUrl, until, url } from './tap.mjs';

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
const thinker = new OpenAI({ baseURL: `${thinkerUrl}/v1`, apiKey: 'none', maxRetries: 0 });
const chat = (fields) => client.chat.completions.create(
  { model: 'builtin', messages: hello, max_tokens: 24, seed: 7, ...fields });
const tools = [{ type: 'function', function: {
  name: 'weather', description: 'of a city',
  parameters: { type: 'object', properties: { city: { type: 'string', maxLength: 12 } },
    required: ['city'], additionalProperties: false } } }];

await test('models: list and retrieve', async () => {
  const models = await collect(await client.models.list());
  assert.equal(models[0].id, 'builtin');
  assert.equal((await client.models.retrieve('builtin')).object, 'model');
});

await test('chat: answer, usage, seed', async () => {
  const a = await chat(), b = await chat();
  assert.equal(a.choices[0].message.content, b.choices[0].message.content);
  assert.equal(a.usage.completion_tokens, 24);
  assert.equal(a.usage.total_tokens, a.usage.prompt_tokens + 24);
  assert.equal(a.choices[0].finish_reason, 'length');
});

await test('chat: a stream adds up to the answer', async () => {
  const whole = await chat();
  const chunks = await collect(await chat({ stream: true, stream_options: { include_usage: true } }));
  assert.equal(chunks.map((c) => c.choices[0]?.delta.content ?? '').join(''),
    whole.choices[0].message.content);
  assert.deepEqual(chunks.at(-1).usage.completion_tokens, whole.usage.completion_tokens);
});

await test('chat: the SDK\'s own stream helper', async () => {
  const whole = await chat();
  const stream = client.chat.completions.stream(
    { model: 'builtin', messages: hello, max_tokens: 24, seed: 7 });
  assert.equal(await stream.finalContent(), whole.choices[0].message.content);
});

await test('chat: n and logprobs', async () => {
  const a = await chat({ n: 3, logprobs: true, top_logprobs: 2 });
  assert.equal(a.choices.length, 3);
  for (const c of a.choices) {
    assert.equal(c.logprobs.content.length, 24);
    assert.equal(c.logprobs.content[0].top_logprobs.length, 2);
  }
});

await test('chat: stop', async () => {
  const text = (await chat()).choices[0].message.content;
  const a = await chat({ stop: [text.slice(6, 9)] });
  assert.equal(a.choices[0].message.content, text.slice(0, text.indexOf(text.slice(6, 9))));
  assert.equal(a.choices[0].finish_reason, 'stop');
});

await test('chat: reasoning, streamed and not, counted', async () => {
  const body = { model: 'builtin', messages: hello, max_tokens: 90, seed: 7, thinking_budget: 20 };
  const a = await thinker.chat.completions.create(body);
  assert(a.choices[0].message.reasoning_content.length > 0);
  assert(a.usage.completion_tokens_details.reasoning_tokens >= 20);
  const chunks = await collect(await thinker.chat.completions.create({ ...body, stream: true }));
  for (const key of ['content', 'reasoning_content', 'reasoning'])
    assert.equal(chunks.map((c) => c.choices[0]?.delta[key] ?? '').join(''),
      a.choices[0].message[key]);
});

await test('chat: tools auto and none', async () => {
  for (const tool_choice of ['auto', 'none']) {
    const a = await chat({ tools, tool_choice });
    assert.notEqual(a.choices[0].finish_reason, 'tool_calls');
  }
  const history = [...hello,
    { role: 'assistant', content: null, tool_calls: [{ id: 'c1', type: 'function',
      function: { name: 'weather', arguments: '{"city":"Oslo"}' } }] },
    { role: 'tool', tool_call_id: 'c1', content: 'snow' }];
  assert.equal((await chat({ tools, messages: history })).choices.length, 1);
});

await test('chat: required and named tools, streamed and not; none', async () => {
  for (const tool_choice of ['required', { type: 'function', function: { name: 'weather' } }]) {
    const asked = { tools, tool_choice, parallel_tool_calls: false, max_tokens: 300,
      chat_template_kwargs: { enable_thinking: false } };
    const a = await chat(asked);
    const call = a.choices[0].message.tool_calls[0];
    assert.equal(call.function.name, 'weather');
    assert.equal(typeof JSON.parse(call.function.arguments).city, 'string');
    assert.equal(a.choices[0].message.content, null);
    const chunks = await collect(await chat({ ...asked, stream: true }));
    const pieces = chunks.flatMap((c) => c.choices[0]?.delta.tool_calls ?? []);
    assert.equal(pieces.map((p) => p.function?.arguments ?? '').join(''), call.function.arguments);
    assert.equal(pieces.filter((p) => p.id).length, 1);
    assert(pieces.length > 2, 'arguments come as they are written');
  }
});

await test('chat: a JSON schema through the SDK\'s parser, with and without thinking', async () => {
  const schema = { name: 'pet', strict: true, schema: { type: 'object', required: ['kind'],
    properties: { kind: { enum: ['cat', 'dog'] } }, additionalProperties: false } };
  for (const c of [client, thinker]) {
    const a = await c.chat.completions.parse({ model: 'builtin', messages: hello, max_tokens: 200,
      seed: 7, thinking_budget: 20, response_format: { type: 'json_schema', json_schema: schema } });
    assert(['cat', 'dog'].includes(a.choices[0].message.parsed.kind));
  }
});

await test('completions: text, stream, echo with logprobs', async () => {
  const body = { model: 'builtin', prompt: 'Hello', max_tokens: 8, seed: 7 };
  const a = await client.completions.create({ ...body, echo: true, logprobs: 1 });
  assert(a.choices[0].text.startsWith('Hello'));
  assert.equal(a.choices[0].logprobs.token_logprobs[0], null);
  const b = await client.completions.create(body);
  const chunks = await collect(await client.completions.create({ ...body, stream: true }));
  assert.equal(chunks.map((c) => c.choices[0]?.text ?? '').join(''), b.choices[0].text);
});

await test('responses: answer, stream, reasoning', async () => {
  const body = { model: 'builtin', input: 'Hello', max_output_tokens: 24, seed: 7 };
  const whole = await client.responses.create(body);
  assert.equal(whole.status, 'incomplete');
  assert.equal(whole.usage.output_tokens, 24);
  const stream = client.responses.stream(body);
  const final = await stream.finalResponse();
  assert.equal(final.output_text, whole.output_text);
  const thought = await thinker.responses.create(
    { ...body, max_output_tokens: 90, thinking_budget: 20 });
  assert.deepEqual(thought.output.map((i) => i.type), ['reasoning', 'message']);
});

await test('embeddings, in the SDK\'s base64', async () => {
  const a = await client.embeddings.create({ model: 'builtin', input: ['a', 'b'] });
  assert.equal(a.data.length, 2);
  const length = Math.hypot(...a.data[0].embedding);
  assert(Math.abs(length - 1) < 1e-3, `length ${length}`);
});

await test('errors are the SDK\'s own classes', async () => {
  await assert.rejects(chat({ model: 'nope' }), OpenAI.NotFoundError);
  await assert.rejects(chat({ temperature: -1 }), (e) =>
    e instanceof OpenAI.BadRequestError && /temperature/.test(e.message) && e.param === 'temperature');
  await assert.rejects(chat({ messages: [{ role: 'user', content: 'word '.repeat(9000) }] }),
    (e) => e.code === 'context_length_exceeded');
  const a = await client.chat.completions.create(
    { model: 'builtin', messages: hello, max_tokens: 1 }).withResponse();
  assert(a.response.headers.get('x-request-id'));
});

await test('cancellation stops the engine', async () => {
  const stream = await chat({ stream: true, max_tokens: 3500, ignore_eos: true });
  for await (const _ of stream) break;
  stream.controller.abort();
  await until(async () => (await running()) === 0);
});
