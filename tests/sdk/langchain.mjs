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

await test('embeddings', async () => {
  const embeddings = new OpenAIEmbeddings({ model: 'builtin', apiKey: 'none', configuration,
    maxRetries: 0 });
  assert.equal((await embeddings.embedDocuments(['a', 'b'])).length, 2);
});
