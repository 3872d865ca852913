// What the browser keeps: conversations in IndexedDB, settings in localStorage. Nothing goes elsewhere.
import { checkedConversation } from './tree.js';

let opened;

function database() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open('wen', 1);
    request.onupgradeneeded = () => request.result.createObjectStore('conversations', { keyPath: 'id' });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

async function act(mode, work) {
  const db = await database();
  return new Promise((resolve, reject) => {
    const transaction = db.transaction('conversations', mode);
    const request = work(transaction.objectStore('conversations'));
    transaction.oncomplete = () => resolve(request.result);
    transaction.onerror = () => reject(transaction.error);
    transaction.onabort = () => reject(transaction.error);
  });
}

// Other windows of this page are told that something has changed.
const channel = new BroadcastChannel('wen');
export const onChangeElsewhere = (f) => { channel.onmessage = (e) => f(e.data); };
const tell = (id) => channel.postMessage({ id });

export const allConversations = () => act('readonly', (s) => s.getAll());
export const readConversation = (id) => act('readonly', (s) => s.get(id));

export async function saveConversation(conversation) {
  await act('readwrite', (s) => s.put(conversation));
  tell(conversation.id);
}

export async function deleteConversation(id) {
  await act('readwrite', (s) => s.delete(id));
  tell(id);
}

export async function deleteAllConversations() {
  await act('readwrite', (s) => s.clear());
  tell(null);
}

export const exportText = (conversations) =>
  JSON.stringify({ format: 'wen-conversations', version: 1, conversations }, null, 1);

// Adds a file's conversations; those of the same id are replaced. Returns how many.
export async function importText(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error('not JSON');
  }
  if (value?.format !== 'wen-conversations' || !Array.isArray(value.conversations)) throw new Error('no wen-conversations');
  const all = value.conversations.map(checkedConversation);
  const bad = all.indexOf(null);
  if (bad >= 0) throw new Error(`conversations[${bad}]`);
  for (const c of all) await saveConversation(c);
  return all.length;
}

// ---- Settings -------------------------------------------------------------------------------------

const defaults = {
  language: 'auto', theme: 'system', key: '', model: '', system: '', tools: '',
  think: true, budget: -1, temperature: '', top_p: '', top_k: '', min_p: '',
  presence_penalty: '', repetition_penalty: '', max_tokens: '', seed: '',
};

export const settings = { ...defaults };
try {
  const saved = JSON.parse(localStorage.getItem('wen.settings') ?? '{}');
  for (const key of Object.keys(defaults)) if (typeof saved[key] === typeof defaults[key]) settings[key] = saved[key];
} catch { /* unreadable: the defaults */ }

export function saveSettings(changes) {
  Object.assign(settings, changes);
  try {
    localStorage.setItem('wen.settings', JSON.stringify(settings));
  } catch { /* no room or no permission: they last as long as the page */ }
}
