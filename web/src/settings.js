// The settings' and the shortcuts' dialogs.
import { announce, h } from './dom.js';
import { t } from './i18n.js';
import * as store from './store.js';

const { settings } = store;

function dialog(title, ...content) {
  const box = h('dialog', { 'aria-label': title, onclose: () => box.remove(),
    onclick: (e) => { if (e.target === box) box.close(); } },
  h('div', { class: 'dialog-body' },
    h('header', {}, h('h2', {}, title),
      h('button', { type: 'button', class: 'quiet text', onclick: () => box.close() }, t('close'))),
    ...content));
  document.body.append(box);
  box.showModal();
  return box;
}

const field = (label, control, hint) => h('label', { class: 'field' }, h('span', {}, label), control,
  hint && h('small', {}, hint));

function select(name, choices, onchange) {
  const control = h('select', { id: `set-${name}`, onchange: () => { store.saveSettings({ [name]: control.value }); onchange(); } },
    choices.map(([value, label]) => h('option', { value }, label)));
  control.value = settings[name];
  return control;
}

function text(name, tag, attributes = {}) {
  const control = h(tag, { id: `set-${name}`, autocomplete: 'off', spellcheck: 'false', ...attributes,
    oninput: () => store.saveSettings({ [name]: control.value }) });
  control.value = settings[name];
  return control;
}

const samplingFields = [
  ['temperature', 'temperature', { min: '0', max: '5', step: '0.05' }],
  ['top_p', null, { min: '0', max: '1', step: '0.01' }],
  ['top_k', null, { min: '0', max: '1000', step: '1' }],
  ['min_p', null, { min: '0', max: '1', step: '0.01' }],
  ['presence_penalty', 'presence', { min: '-2', max: '2', step: '0.1' }],
  ['repetition_penalty', 'repetition', { min: '0.1', max: '2', step: '0.01' }],
  ['max_tokens', 'maxTokens', { min: '1', step: '1' }],
  ['seed', 'seed', { min: '0', step: '1' }],
];

// The request's fields; what is empty or no number is the model's own.
export function samplingOf() {
  const fields = {};
  for (const [name] of samplingFields) {
    const value = settings[name].trim();
    if (value !== '' && Number.isFinite(Number(value))) fields[name] = Number(value);
  }
  return fields;
}

export function toolsOf() {
  if (!settings.tools.trim()) return null;
  try {
    const tools = JSON.parse(settings.tools);
    return Array.isArray(tools) && tools.length ? tools : null;
  } catch {
    return null;
  }
}

// page: {model() -> entry of /v1/models, conversation, onSystem(text), onLook(), onData()}
export function openSettings(page) {
  const recommended = page.model()?.meta?.sampling?.[settings.think ? 'thinking' : 'not_thinking'] ?? {};
  const look = () => { box.close(); page.onLook(); openSettings(page); };
  const system = h('textarea', { id: 'set-system', rows: '4', oninput: () => {
    store.saveSettings({ system: system.value });
    page.onSystem(system.value);
  } });
  system.value = page.conversation().system;
  const bad = h('small', { class: 'bad', role: 'status' });
  const checkTools = () => { bad.textContent = settings.tools.trim() && !toolsOf() ? t('toolsBad') : ''; };
  const tools = text('tools', 'textarea', { rows: '4', class: 'mono' });
  tools.addEventListener('input', checkTools);
  const box = dialog(t('settings'),
    h('section', {}, h('h3', {}, t('general')),
      h('div', { class: 'grid' },
        field(t('language'), select('language', [['auto', t('automatic')], ['en', 'English'], ['zh', '中文']], look)),
        field(t('theme'), select('theme', [['system', t('system')], ['light', t('light')], ['dark', t('dark')]], () => page.onLook(true)))),
      field(t('systemPrompt'), system, t('systemPromptHint')),
      field(t('key'), text('key', 'input', { type: 'password', onchange: () => page.onKey() }))),
    h('section', {}, h('h3', {}, t('sampling')), h('small', {}, t('samplingHint')),
      h('div', { class: 'grid' }, samplingFields.map(([name, label, limits]) => field(label ? t(label) : name,
        text(name, 'input', { type: 'number', inputmode: 'decimal', ...limits,
          placeholder: recommended[name] === undefined ? '' : String(Math.round(recommended[name] * 1e4) / 1e4) }))))),
    h('section', {}, h('h3', {}, t('tools')), field(t('toolsHint'), tools), bad),
    h('section', {}, h('h3', {}, t('data')), h('small', {}, t('dataHint')),
      h('div', { class: 'row' }, h('button', { type: 'button', class: 'danger', onclick: async () => {
        if (!confirm(t('removeAllSure'))) return;
        await store.deleteAllConversations();
        box.close();
        page.onData();
        announce(t('removeAll'));
      } }, t('removeAll')))));
  checkTools();
}

export function openShortcuts() {
  const keys = [['/', 'keyFocus'], ['Enter', 'keySend'], ['Shift+Enter', 'keyLine'], ['Esc', 'stop'], ['↑', 'keyLast'],
    ['Ctrl+Shift+O', 'newChat'], ['Ctrl+K', 'search'], ['Alt+↑ ↓', 'keyWalk'], ['Ctrl+B', 'keySide'],
    ['Alt+T', 'keyThink'], ['Ctrl+,', 'settings'], ['?', 'shortcuts']];
  dialog(t('shortcuts'), h('table', { class: 'keys' }, keys.map(([key, name]) =>
    h('tr', {}, h('td', {}, h('kbd', {}, key)), h('td', {}, t(name).replace(/ \(.*\)$/, ''))))));
}
