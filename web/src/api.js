// The server's endpoints that the page uses. All requests go to where the page came from.
import { settings } from './store.js';

const headers = (more = {}) => (settings.key ? { Authorization: `Bearer ${settings.key}`, ...more } : more);

export class ServerError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

async function refuse(response) {
  let message = `${response.status} ${response.statusText}`;
  try {
    message = (await response.json()).error.message;
  } catch { /* not the server's own words */ }
  throw new ServerError(message, response.status);
}

async function get(path) {
  const response = await fetch(path, { headers: headers() });
  if (!response.ok) await refuse(response);
  return response;
}

export const models = async () => (await (await get('v1/models')).json()).data;
export const runs = async () => (await (await get('v1/runs')).json()).data;

// Whole lines of a run's file from an offset: {text, next, file}; null: the file has become another.
export async function runFile(run, name, from) {
  const response = await fetch(`v1/runs/${encodeURIComponent(run)}/${name}?from=${from}`, { headers: headers() });
  if (response.status === 416) return null;
  if (response.status === 404) return { text: '', next: 0, file: '' };
  if (!response.ok) await refuse(response);
  return { text: await response.text(), next: Number(response.headers.get('wen-next')), file: response.headers.get('wen-file') };
}

// ---- Streams --------------------------------------------------------------------------------------

// Server-sent events from a response's body: {id, data}.
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const blocks = (rest + value).split('\n\n');
      rest = blocks.pop();
      for (const block of blocks) {
        const event = { id: null, data: null };
        for (const line of block.split('\n')) {
          if (line.startsWith('id: ')) event.id = line.slice(4);
          else if (line.startsWith('data: ')) event.data = line.slice(6);
        }
        if (event.data !== null) yield event;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

const RESUME_SECONDS = 300;
const TRIES = 5;
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Asks, or picks up the stream {id, last} that an earlier page left. Calls take(chunk, eventId) for every
// chunk, started(streamId) when the server will keep the stream. A cut connection is picked up again.
export async function chat(body, stream, signal, started, take) {
  let response;
  let isEnded = false;
  if (!stream) {
    response = await fetch('v1/chat/completions', {
      method: 'POST', signal, headers: headers({ 'Content-Type': 'application/json' }),
      body: JSON.stringify({ ...body, stream: true,
        stream_options: { include_usage: true, continuous_usage_stats: true, resume_seconds: RESUME_SECONDS } }),
    });
    if (!response.ok) await refuse(response);
    const id = response.headers.get('wen-stream-id');
    stream = id ? { id, last: null } : null;
    if (stream) started(stream);
  }
  for (let tries = 0; ;) {
    try {
      response ??= await pickUp(stream, signal);
      for await (const event of events(response)) {
        tries = 0;
        if (event.data === '[DONE]') {
          isEnded = true;
          break;
        }
        const chunk = JSON.parse(event.data);
        if (stream && event.id) stream.last = event.id;
        if (chunk.error) throw new ServerError(chunk.error.message, 500);
        take(chunk);
      }
      if (isEnded) return;
      throw new TypeError('the connection was cut');
    } catch (trouble) {
      if (signal.aborted || trouble instanceof ServerError || !stream || ++tries > TRIES) throw trouble;
      await wait(300 * tries);
    }
    response = null;
  }
}

async function pickUp(stream, signal) {
  const response = await fetch(`v1/streams/${stream.id}`, {
    signal, headers: headers(stream.last === null ? {} : { 'Last-Event-ID': stream.last }) });
  if (!response.ok) await refuse(response);
  return response;
}

export const dropStream = (stream) =>
  fetch(`v1/streams/${stream.id}`, { method: 'DELETE', headers: headers(), keepalive: true }).catch(() => {});
