// The page: the bar above, the list at the side, and one of two views: the chat, the training.
import { announce, h, icon, iconButton } from './dom.js';
import * as api from './api.js';
import { Chat } from './chat.js';
import { isChinese, t } from './i18n.js';
import { openSettings, openShortcuts } from './settings.js';
import { Sidebar } from './sidebar.js';
import * as store from './store.js';
import { Training } from './train.js';

const { settings } = store;
const narrow = matchMedia('(max-width: 760px)');
let chat, sidebar, training, picker, models = [], view = 'chat';

const model = () => models.find((m) => m.id === settings.model) ?? models[0];

function goTo(name) {
  view = name;
  chat.element.hidden = name !== 'chat';
  training.element.hidden = name !== 'train';
  picker.hidden = name !== 'chat';
  training.setRunning(name === 'train');
  document.getElementById('switch').replaceChildren(icon(name === 'chat' ? 'chart' : 'chat'), t(name === 'chat' ? 'training' : 'chat'));
  if (name === 'train') history.replaceState(null, '', '#train');
  else if (location.hash === '#train') history.replaceState(null, '', chat.current.leaf ? `#${chat.current.id}` : '#');
  if (narrow.matches) showSide(false);
}

function showSide(isShown) {
  document.body.classList.toggle('side-hidden', !isShown);
  document.getElementById('menu').setAttribute('aria-expanded', String(isShown));
  sidebar.element.inert = !isShown;
  document.getElementById('shade').hidden = !(isShown && narrow.matches);
}

const toggleSide = () => showSide(document.body.classList.contains('side-hidden'));

function look() {
  document.documentElement.lang = isChinese() ? 'zh' : 'en';
  if (settings.theme === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = settings.theme;
}

function settingsPage() {
  return {
    model,
    conversation: () => chat.current,
    onSystem: (text) => { chat.current.system = text; if (chat.current.leaf) chat.save(chat.current); },
    onLook: (isThemeOnly) => { look(); if (!isThemeOnly) build(); },
    onKey: loadModels,
    onData: async () => { await chat.forget(chat.current.id); await sidebar.refresh(); },
  };
}

async function loadModels() {
  try {
    models = await api.models();
  } catch (trouble) {
    models = [];
    announce(trouble.status === 401 ? t('needKey') : t('noServer'), true);
    if (trouble.status !== 401) setTimeout(loadModels, 3000);
  }
  picker.replaceChildren(...models.map((m) => h('option', { value: m.id }, m.id)));
  picker.value = model()?.id ?? '';
  picker.disabled = models.length < 2;
  chat.draw();
}

function build() {
  const openId = chat?.current.leaf ? chat.current.id : null;
  if (chat) { // in another language: the old parts end, answers that come are picked up by the new
    chat.saveRunning();
    for (const run of chat.running.values()) {
      run.conversation.isForgotten = true;
      run.controller.abort();
    }
    training.setRunning(false);
  }
  chat = new Chat({ model, onList: () => sidebar.refresh() });
  sidebar = new Sidebar(chat, goTo);
  training = new Training();
  picker = h('select', { id: 'model', 'aria-label': t('model'), onchange: () => {
    store.saveSettings({ model: picker.value });
    chat.draw();
  } });
  document.getElementById('app').replaceChildren(
    h('a', { class: 'skip', href: '#input', onclick: (e) => { e.preventDefault(); chat.input.focus(); } }, t('keyFocus')),
    sidebar.element,
    h('div', { id: 'shade', hidden: true, onclick: () => showSide(false) }),
    h('div', { id: 'page' },
      h('header', { id: 'bar' },
        iconButton('menu', t('menu'), toggleSide, { id: 'menu' }),
        picker,
        h('span', { class: 'space' }),
        h('button', { type: 'button', class: 'quiet text', id: 'switch', onclick: () => goTo(view === 'chat' ? 'train' : 'chat') }),
        iconButton('help', t('shortcuts'), openShortcuts, { id: 'help' }),
        iconButton('gear', t('settings'), () => openSettings(settingsPage()), { id: 'settings' })),
      chat.element, training.element),
    h('div', { id: 'live', class: 'hidden', role: 'status', 'aria-live': 'polite' }),
    h('div', { id: 'toast', 'aria-hidden': 'true' }));
  look();
  showSide(!narrow.matches);
  const hash = location.hash.slice(1);
  goTo(hash === 'train' ? 'train' : view);
  chat.open(openId ?? (hash && hash !== 'train' ? hash : null));
  loadModels();
}

const isWriting = (e) => /^(?:input|textarea|select)$/i.test(e.target.tagName);

function onKey(e) {
  const control = e.ctrlKey || e.metaKey;
  const key = e.key.toLowerCase();
  let isTaken = true;
  if (document.querySelector('dialog[open]') || e.isComposing) return;
  if (control && e.shiftKey && key === 'o') { goTo('chat'); chat.open(null); }
  else if (control && key === 'k') { showSide(true); sidebar.search.focus(); }
  else if (control && key === 'b') toggleSide();
  else if (control && key === ',') openSettings(settingsPage());
  else if (e.altKey && key === 't') { if (!chat.thinkButton.disabled) chat.setThink(!settings.think); }
  else if (e.altKey && key === 'arrowup') sidebar.walk(-1);
  else if (e.altKey && key === 'arrowdown') sidebar.walk(1);
  else if (key === 'escape') {
    if (!chat.stop()) chat.input.focus();
    if (narrow.matches) showSide(false);
  } else if (!isWriting(e) && !control && !e.altKey && key === '/') chat.input.focus();
  else if (!isWriting(e) && !control && !e.altKey && key === '?') openShortcuts();
  else isTaken = false;
  if (isTaken) e.preventDefault();
}

store.onChangeElsewhere(() => sidebar.refresh());
addEventListener('keydown', onKey);
narrow.addEventListener('change', () => showSide(!narrow.matches));
build();
