// The list of conversations: search, rename, delete, export, import.
import { announce, download, h, icon, iconButton, pickFile } from './dom.js';
import { t } from './i18n.js';
import * as store from './store.js';

export const titleOf = (c) => c.title || t('newChat');

const contains = (c, text) => titleOf(c).toLowerCase().includes(text) ||
  Object.values(c.nodes).some((n) => n.text.toLowerCase().includes(text));

export class Sidebar {
  // chat: {open(id | null), current}; goTo(view)
  constructor(chat, goTo) {
    this.chat = chat;
    this.all = [];
    this.search = h('input', { type: 'search', id: 'search', placeholder: t('search'), 'aria-label': t('search'),
      oninput: () => this.draw(), onkeydown: (e) => this.onSearchKey(e) });
    this.list = h('ul', { class: 'conversations', 'aria-label': t('conversations') });
    this.element = h('nav', { id: 'side', 'aria-label': t('conversations') },
      h('div', { class: 'side-head' },
        h('button', { type: 'button', class: 'new', title: 'Ctrl+Shift+O', onclick: () => { goTo('chat'); chat.open(null); } },
          icon('plus'), t('newChat'))),
      this.search, this.list,
      h('div', { class: 'side-foot' },
        iconButton('chart', t('training'), () => goTo('train'), { id: 'to-train' }),
        iconButton('export', t('exportAll'), () => this.exportAll()),
        h('button', { type: 'button', class: 'quiet text', onclick: () => this.import() }, t('import'))));
    this.goTo = goTo;
  }

  async refresh() {
    this.all = (await store.allConversations()).sort((a, b) => b.updated - a.updated);
    this.draw();
  }

  shown() {
    const text = this.search.value.trim().toLowerCase();
    return text ? this.all.filter((c) => contains(c, text)) : this.all;
  }

  draw() {
    if (this.list.querySelector('input')) return; // somebody renames
    const shown = this.shown();
    const focused = document.activeElement?.closest?.('li')?.dataset.id;
    this.list.replaceChildren(...shown.map((c) => this.item(c)));
    if (!shown.length) this.list.append(h('li', { class: 'none' }, this.all.length ? t('nothingFound') : t('none')));
    if (focused) this.list.querySelector(`li[data-id="${focused}"] .open`)?.focus();
  }

  item(c) {
    const isCurrent = c.id === this.chat.current.id;
    return h('li', { 'data-id': c.id, class: isCurrent ? 'current' : '' },
      h('button', { type: 'button', class: 'open', title: titleOf(c), 'aria-current': isCurrent && 'true',
        onclick: () => { this.goTo('chat'); this.chat.open(c.id); }, ondblclick: () => this.rename(c) }, titleOf(c)),
      h('span', { class: 'tools' },
        iconButton('edit', t('rename'), () => this.rename(c)),
        iconButton('export', t('export'), () => download(`${titleOf(c).replace(/[^\p{L}\p{N}]+/gu, '-').slice(0, 40)}.json`, store.exportText([c]))),
        iconButton('trash', t('remove'), () => this.remove(c))));
  }

  rename(c) {
    const item = this.list.querySelector(`li[data-id="${c.id}"]`);
    let isDone = false;
    const end = async (isSaved) => {
      if (isDone) return;
      isDone = true;
      const title = input.value.trim().slice(0, 300);
      input.remove();
      if (isSaved && title) await this.chat.rename(c.id, title);
      await this.refresh();
      this.list.querySelector(`li[data-id="${c.id}"] .open`)?.focus();
    };
    const input = h('input', { class: 'rename', 'aria-label': t('rename'), onblur: () => end(true), onkeydown: (e) => {
      if (e.isComposing) return;
      if (e.key === 'Enter') end(true);
      if (e.key === 'Escape') { e.stopPropagation(); end(false); }
    } });
    input.value = titleOf(c);
    item.replaceChildren(input);
    input.select();
  }

  async remove(c) {
    if (!confirm(t('removeSure'))) return;
    await this.chat.forget(c.id);
    await store.deleteConversation(c.id);
    await this.refresh();
  }

  async exportAll() {
    download('wen-conversations.json', store.exportText(await store.allConversations()));
  }

  async import() {
    const file = await pickFile('.json,application/json');
    if (!file) return;
    try {
      announce(t('imported') + await store.importText(await file.text()), true);
      await this.chat.reload();
    } catch (trouble) {
      announce(t('importFailed') + trouble.message, true);
    }
    await this.refresh();
  }

  onSearchKey(e) {
    if (e.key === 'Escape' && this.search.value) {
      e.stopPropagation();
      this.search.value = '';
      this.draw();
    } else if (e.key === 'Enter' && !e.isComposing && this.shown()[0]) {
      this.goTo('chat');
      this.chat.open(this.shown()[0].id);
    } else if (e.key === 'ArrowDown') {
      e.preventDefault();
      this.list.querySelector('.open')?.focus();
    }
  }

  // The conversation before or behind the current one.
  walk(step) {
    const shown = this.shown();
    const at = shown.findIndex((c) => c.id === this.chat.current.id);
    const next = shown[at < 0 ? 0 : at + step];
    if (next) this.chat.open(next.id);
  }
}
