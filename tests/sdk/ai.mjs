import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { embed, generateObject, generateText, jsonSchema, streamText, tool } from 'ai';
import { assert, collect, test, thinkerUrl, url } from './tap.mjs';

const wen = createOpenAICompatible({ name: 'wen', baseURL: `${url}/v1`, includeUsage: true });
const thinker = createOpenAICompatible({ name: 'wen', baseURL: `${thinkerUrl}/v1` });
const asked = { prompt: 'Hello', maxOutputTokens: 24, seed: 7, maxRetries: 0 };

await test('generateText and streamText say the same', async () => {
  const whole = await generateText({ model: wen('builtin'), ...asked });
  assert.equal(whole.finishReason, 'length');
  assert.equal(whole.usage.outputTokens, 24);
  const streamed = streamText({ model: wen('builtin'), ...asked });
  assert.equal((await collect(streamed.textStream)).join(''), whole.text);
  assert.equal((await streamed.usage).outputTokens, 24);
});

await test('reasoning comes apart', async () => {
  const settings = { ...asked, maxOutputTokens: 90,
    providerOptions: { wen: { thinking_budget: 20 } } };
  const whole = await generateText({ model: thinker('builtin'), ...settings });
  assert(whole.reasoningText.length > 0);
  const streamed = streamText({ model: thinker('builtin'), ...settings });
  assert.equal(await streamed.reasoningText, whole.reasoningText);
  assert.equal(await streamed.text, whole.text);
});

await test('generateObject and a required tool', async () => {
  const strict = createOpenAICompatible({ name: 'wen', baseURL: `${url}/v1`,
    supportsStructuredOutputs: true });
  const pet = jsonSchema({ type: 'object', properties: { kind: { enum: ['cat', 'dog'] } },
    required: ['kind'], additionalProperties: false });
  const off = { wen: { enable_thinking: false, parallel_tool_calls: false } };
  const a = await generateObject({ model: strict('builtin'), prompt: 'Hello', schema: pet,
    maxRetries: 0, seed: 7, providerOptions: off });
  assert(['cat', 'dog'].includes(a.object.kind));
  const b = await generateText({ model: wen('builtin'), prompt: 'Hello', maxRetries: 0, seed: 7,
    tools: { feed: tool({ description: 'a pet', inputSchema: pet }) }, toolChoice: 'required',
    providerOptions: off });
  assert.equal(b.toolCalls[0].toolName, 'feed');
  assert(['cat', 'dog'].includes(b.toolCalls[0].input.kind));
});

await test('embed', async () => {
  const a = await embed({ model: wen.embeddingModel('builtin'), value: 'a' });
  assert(a.embedding.length > 8);
});

await test('errors carry the message', async () => {
  await assert.rejects(generateText({ model: wen('nope'), ...asked }), /nope/);
});
