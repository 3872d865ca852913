import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { embed, generateText, streamText } from 'ai';
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

await test('embed', async () => {
  const a = await embed({ model: wen.embeddingModel('builtin'), value: 'a' });
  assert(a.embedding.length > 8);
});

await test('errors carry the message', async () => {
  await assert.rejects(generateText({ model: wen('nope'), ...asked }), /nope/);
});
