import { Agent, run, setDefaultOpenAIClient, setTracingDisabled, tool } from '@openai/agents';
import OpenAI from 'openai';
import { z } from 'zod';
import { assert, test, url } from './tap.mjs';

setTracingDisabled(true);
setDefaultOpenAIClient(new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 }));

await test('an agent calls a tool and gets its result', async () => {
  const seen = [];
  const weather = tool({ name: 'weather', description: 'of a city',
    parameters: z.object({ city: z.enum(['Oslo', 'Rome']) }),
    execute: async ({ city }) => (seen.push(city), 'snow') });
  const agent = new Agent({ name: 'a', instructions: 'Be brief', model: 'builtin', tools: [weather],
    toolUseBehavior: 'stop_on_first_tool', modelSettings: { maxTokens: 300, toolChoice: 'required',
      parallelToolCalls: false, providerData: { seed: 7, think: false } } });
  const result = await run(agent, 'Hello', { maxTurns: 3 });
  assert.equal(result.finalOutput, 'snow');
  assert(['Oslo', 'Rome'].includes(seen[0]));
});

await test('an agent with a tool gets an answer through /v1/responses', async () => {
  const weather = tool({ name: 'weather', description: 'of a city',
    parameters: z.object({ city: z.string() }), execute: async () => 'snow' });
  const agent = new Agent({ name: 'a', instructions: 'Be brief', model: 'builtin', tools: [weather],
    modelSettings: { maxTokens: 400, providerData: { seed: 7, stop: ['th', 'an', 'ou', 'me'] } } });
  const result = await run(agent, 'Hello', { maxTurns: 2 });
  assert.equal(typeof result.finalOutput, 'string');
});
