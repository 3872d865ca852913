import { ChatOpenAI, OpenAIEmbeddings } from '@langchain/openai';
import { assert, collect, test, url } from './tap.mjs';

const configuration = { baseURL: `${url}/v1` };
const model = new ChatOpenAI({ model: 'builtin', apiKey: 'none', configuration, maxTokens: 24,
  maxRetries: 0, modelKwargs: { seed: 7 } });

await test('invoke and stream say the same', async () => {
  const whole = await model.invoke('Hello');
  assert.equal(whole.usage_metadata.output_tokens, 24);
  const parts = await collect(await model.stream('Hello'));
  assert.equal(parts.map((p) => p.content).join(''), whole.content);
});

await test('batch', async () => {
  const answers = await model.batch(['Hello', 'Bye', 'Hello']);
  assert.equal(answers[0].content, answers[2].content);
});

await test('structured output and bound tools', async () => {
  const schema = { title: 'pet', type: 'object', properties: { kind: { enum: ['cat', 'dog'] } },
    required: ['kind'], additionalProperties: false };
  const roomy = new ChatOpenAI({ model: 'builtin', apiKey: 'none', configuration, maxTokens: 300,
    maxRetries: 0, modelKwargs: { seed: 7, enable_thinking: false } });
  for (const method of ['jsonSchema', 'functionCalling']) {
    const a = await roomy.withStructuredOutput(schema, { name: 'pet', method }).invoke('Hello');
    assert(['cat', 'dog'].includes(a.kind), method);
  }
});

await test('embeddings', async () => {
  const embeddings = new OpenAIEmbeddings({ model: 'builtin', apiKey: 'none', configuration,
    maxRetries: 0 });
  assert.equal((await embeddings.embedDocuments(['a', 'b'])).length, 2);
});
