// A conversation is a tree of messages: an edited question or a second answer is a new branch beside
// the old one. What is shown is the path from the root to `leaf`. Nothing here knows the page.
//
//   conversation {id, title, created, updated, system, leaf, nodes: {id: node}}
//   node {id, parent (null: at the root), role 'user' | 'assistant' | 'tool', text, created, ...}
//     assistant: thinking, calls [{id, name, arguments}], finish, error, model, usage,
//                asked, firstAt, thoughtAt, endAt (milliseconds of the epoch), stream {id, last}
//     tool:      results [{id, name, text}]

export const newId = () => Array.from(crypto.getRandomValues(new Uint32Array(3)), (x) => x.toString(36)).join('');

export function newConversation(system = '') {
  const now = Date.now();
  return { id: newId(), title: '', created: now, updated: now, system, leaf: null, nodes: {} };
}

export function addNode(conversation, parent, fields) {
  const node = { id: newId(), parent, created: Date.now(), text: '', ...fields };
  conversation.nodes[node.id] = node;
  conversation.leaf = node.id;
  conversation.updated = node.created;
  return node;
}

export function pathTo(conversation, id = conversation.leaf) {
  const path = [];
  for (let node = conversation.nodes[id]; node; node = conversation.nodes[node.parent]) path.unshift(node);
  return path;
}

export function childrenOf(conversation, parent) {
  return Object.values(conversation.nodes)
    .filter((n) => n.parent === parent)
    .sort((a, b) => a.created - b.created || (a.id < b.id ? -1 : 1));
}

// Shows the sibling at that distance, with the newest of what follows it.
export function switchBranch(conversation, node, step) {
  const siblings = childrenOf(conversation, node.parent);
  let at = siblings[siblings.indexOf(node) + step];
  if (!at) return false;
  for (let below = [at]; below.length; below = childrenOf(conversation, at.id)) at = below.at(-1);
  conversation.leaf = at.id;
  return true;
}

// Removes a message and all that follows it.
export function removeNode(conversation, node) {
  for (const child of childrenOf(conversation, node.id)) removeNode(conversation, child);
  delete conversation.nodes[node.id];
  if (!conversation.nodes[conversation.leaf]) {
    let at = conversation.nodes[node.parent] ?? null;
    for (let below = childrenOf(conversation, at?.id ?? null); below.length; below = childrenOf(conversation, at.id))
      at = below.at(-1);
    conversation.leaf = at?.id ?? null;
  }
}

// What the server is asked: the path as messages of OpenAI's chat.
export function toMessages(conversation, path) {
  const messages = conversation.system ? [{ role: 'system', content: conversation.system }] : [];
  for (const node of path) {
    if (node.role === 'tool') {
      for (const r of node.results) messages.push({ role: 'tool', tool_call_id: r.id, name: r.name, content: r.text });
    } else if (node.role === 'assistant') {
      const message = { role: 'assistant', content: node.text };
      if (node.calls?.length) {
        message.tool_calls = node.calls.map((c) => ({
          id: c.id, type: 'function', function: { name: c.name, arguments: c.arguments } }));
      }
      messages.push(message);
    } else {
      messages.push({ role: 'user', content: node.text });
    }
  }
  return messages;
}

const isText = (x) => typeof x === 'string';
const isNumber = (x) => typeof x === 'number' && Number.isFinite(x);

// A conversation from a file, with only what is known and of the right type; null: none.
export function checkedConversation(value) {
  if (!value || typeof value !== 'object' || !isText(value.id) || !value.nodes || typeof value.nodes !== 'object')
    return null;
  const result = { ...newConversation(isText(value.system) ? value.system : ''), id: value.id,
    title: isText(value.title) ? value.title.slice(0, 300) : '' };
  if (isNumber(value.created)) result.created = value.created;
  if (isNumber(value.updated)) result.updated = value.updated;
  for (const [id, n] of Object.entries(value.nodes)) {
    const node = checkedNode(id, n);
    if (!node) return null;
    result.nodes[id] = node;
  }
  for (const node of Object.values(result.nodes)) {
    if (node.parent !== null && !Object.hasOwn(result.nodes, node.parent)) return null;
    const seen = new Set();
    for (let at = node; at; at = result.nodes[at.parent]) {
      if (seen.has(at.id)) return null;
      seen.add(at.id);
    }
  }
  result.leaf = isText(value.leaf) && Object.hasOwn(result.nodes, value.leaf)
    ? value.leaf : Object.keys(result.nodes).at(-1) ?? null;
  return result;
}

function checkedNode(id, n) {
  if (!n || typeof n !== 'object' || id === '__proto__' || !['user', 'assistant', 'tool'].includes(n.role) || !isText(n.text) ||
      !(n.parent === null || isText(n.parent)))
    return null;
  const node = { id, parent: n.parent, role: n.role, text: n.text, created: isNumber(n.created) ? n.created : 0 };
  for (const key of ['thinking', 'finish', 'error', 'model']) if (isText(n[key])) node[key] = n[key];
  for (const key of ['asked', 'firstAt', 'thoughtAt', 'endAt']) if (isNumber(n[key])) node[key] = n[key];
  if (n.usage && typeof n.usage === 'object') {
    node.usage = {};
    for (const key of ['prompt', 'completion', 'reasoning', 'cached'])
      node.usage[key] = isNumber(n.usage[key]) ? n.usage[key] : 0;
  }
  const texts = (list, keys) => (Array.isArray(list) ? list : [])
    .map((x) => Object.fromEntries(keys.map((k) => [k, isText(x?.[k]) ? x[k] : ''])));
  if (n.calls) node.calls = texts(n.calls, ['id', 'name', 'arguments']);
  if (n.role === 'tool') node.results = texts(n.results, ['id', 'name', 'text']);
  return node;
}
