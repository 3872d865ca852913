// One message of the conversation on the page.
import { copyText, h, icon, iconButton, announce } from './dom.js';
import { isChinese, number, t } from './i18n.js';
import { MarkdownView } from './markdown.js';
import { childrenOf } from './tree.js';

const seconds = (ms) => (isChinese() ? `${number(ms / 1000, 1)} ${t('seconds')}` : `${number(ms / 1000, 1)} s`);
const now = () => Date.now();

function prettyJson(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch { // cut, or still coming
    return text;
  }
}

// Tokens per second from the first token on, as the reader sees them.
export function speedOf(node) {
  const ms = (node.endAt ?? now()) - node.firstAt;
  const n = (node.usage?.completion ?? 0) - 1;
  return node.firstAt && ms > 0 && n > 0 ? (n * 1000) / ms : 0;
}

// chat: {current, regenerate(node), edit(node, text), branch(node, step), answerCalls(node, results), isRunning(node)}
export class MessageView {
  constructor(chat, node) {
    this.chat = chat;
    this.node = node;
    this.foot = h('div', { class: 'foot' });
    this.element = h('article', { class: `message ${node.role}`, 'data-node': node.id,
      'aria-label': t(node.role === 'user' ? 'you' : node.role === 'tool' ? 'toolResult' : 'answer') });
    if (node.role === 'user') this.element.append(h('div', { class: 'bubble' }, node.text), this.foot);
    else if (node.role === 'tool') this.buildResults();
    else this.buildAnswer();
    this.update();
  }

  buildResults() {
    this.element.append(...this.node.results.map((r) => h('details', { class: 'call' },
      h('summary', {}, icon('tool'), `${t('toolResult')}: ${r.name}`), h('pre', { tabindex: '0' }, prettyJson(r.text)))), this.foot);
  }

  buildAnswer() {
    this.summary = h('summary', {});
    this.thoughtText = h('div', { class: 'thought-text' });
    this.thought = h('details', { class: 'thought', ontoggle: () => this.updateThought() }, this.summary, this.thoughtText);
    this.body = h('div', { class: 'markdown' });
    this.view = new MarkdownView(this.body);
    this.calls = h('div', { class: 'calls' });
    this.trouble = h('p', { class: 'trouble', role: 'alert' });
    this.element.append(this.thought, this.body, this.calls, this.trouble, this.foot);
  }

  update() {
    const { node } = this;
    const isRunning = this.chat.isRunning(node);
    this.element.classList.toggle('running', isRunning);
    if (node.role === 'assistant') {
      this.updateThought(isRunning);
      this.view.set(node.text);
      this.updateCalls();
      this.trouble.textContent = node.error ?? '';
      this.trouble.hidden = !node.error;
      this.body.classList.toggle('waiting', isRunning && !node.text && !node.thinking);
    }
    this.updateFoot(isRunning);
  }

  updateThought(isRunning = this.chat.isRunning(this.node)) {
    const { node } = this;
    this.thought.hidden = !node.thinking;
    if (!node.thinking) return;
    const isOpenEnd = isRunning && !node.thoughtAt;
    const ms = (node.thoughtAt ?? node.endAt ?? now()) - (node.firstAt ?? now());
    const tokens = node.usage?.reasoning || node.thoughtTokens || 0;
    const parts = [seconds(Math.max(ms, 0))];
    if (tokens) parts.push(`${number(tokens)} ${t('tokens')}`);
    const label = `${t(isOpenEnd ? 'thinking' : 'thought')} · ${parts.join(' · ')}`;
    this.thought.classList.toggle('live', isOpenEnd);
    if (this.summary.textContent !== label) this.summary.replaceChildren(icon('think'), label);
    if (this.thought.open && this.thoughtText.textContent !== node.thinking) this.thoughtText.textContent = node.thinking;
  }

  updateCalls() {
    const { calls } = this.node;
    const state = JSON.stringify(calls ?? []);
    if (state === this.callsState) return;
    this.callsState = state;
    this.calls.replaceChildren(...(calls ?? []).map((c) => h('details', { class: 'call', open: true },
      h('summary', {}, icon('tool'), `${t('toolCall')}: `, h('code', {}, c.name)),
      h('pre', { tabindex: '0' }, prettyJson(c.arguments)))));
  }

  resultsForm() {
    const areas = this.node.calls.map((c) => h('textarea', { rows: '2', 'aria-label': `${t('toolResultHint')} ${c.name}`,
      placeholder: `${t('toolResultHint')}: ${c.name}` }));
    return h('form', { class: 'results', onsubmit: (e) => {
      e.preventDefault();
      this.chat.answerCalls(this.node, this.node.calls.map((c, i) => ({ id: c.id, name: c.name, text: areas[i].value })));
    } }, areas, h('button', { type: 'submit', class: 'primary' }, t('sendResults')));
  }

  updateFoot(isRunning) {
    const { node, chat } = this;
    const siblings = childrenOf(chat.current, node.parent);
    const at = siblings.indexOf(node);
    const state = [isRunning, at, siblings.length, node.finish, chat.current.leaf === node.id, node.role, node.error].join();
    if (state !== this.footState) {
      this.footState = state;
      const items = [];
      if (siblings.length > 1) {
        items.push(h('span', { class: 'branches', role: 'group', 'aria-label': t('branch') },
          iconButton('left', t('previous'), () => chat.branch(node, -1), { disabled: at === 0, 'data-act': 'previous' }),
          h('span', { 'aria-live': 'polite' }, `${at + 1} / ${siblings.length}`),
          iconButton('right', t('next'), () => chat.branch(node, 1), { disabled: at === siblings.length - 1, 'data-act': 'next' })));
      }
      if (!isRunning && node.role !== 'tool') {
        items.push(iconButton('copy', t('copy'), async () => { await copyText(node.text); announce(t('copied'), true); }));
        if (node.role === 'user') items.push(iconButton('edit', t('edit'), () => this.edit(), { 'data-act': 'edit' }));
        else items.push(iconButton('again', t('regenerate'), () => chat.regenerate(node), { 'data-act': 'again' }));
      }
      this.stats = h('span', { class: 'stats' });
      this.form?.remove();
      this.form = null;
      this.foot.replaceChildren(...items, this.stats);
      if (!isRunning && node.calls?.length && chat.current.leaf === node.id && node.finish !== 'stopped') {
        this.form = this.resultsForm();
        this.foot.before(this.form);
      }
    }
    if (node.role === 'assistant') this.stats.textContent = this.statsText();
  }

  statsText() {
    const { node } = this;
    const parts = [];
    const speed = speedOf(node);
    if (node.usage?.completion) parts.push(`${number(node.usage.completion)} ${t('tokens')}`);
    if (speed) parts.push(`${number(speed, speed < 100 ? 1 : 0)} ${t('perSecond')}`);
    if (node.finish === 'length') parts.push(t('cut'));
    if (node.finish === 'stopped') parts.push(t('stopped'));
    return parts.join(' · ');
  }

  edit() {
    const { node, chat } = this;
    const area = h('textarea', { 'aria-label': t('edit'), rows: '3', onkeydown: (e) => {
      if (e.isComposing) return;
      if (e.key === 'Enter' && !e.shiftKey) { e.preventDefault(); done(); }
      if (e.key === 'Escape') { e.stopPropagation(); cancel(); }
    } });
    area.value = node.text;
    const cancel = () => {
      form.replaceWith(this.element.bubble);
      this.foot.hidden = false;
      this.foot.querySelector('[data-act=edit]')?.focus();
    };
    const done = () => {
      if (area.value.trim()) chat.edit(node, area.value);
      else cancel();
    };
    const form = h('form', { class: 'editing', onsubmit: (e) => { e.preventDefault(); done(); } }, area,
      h('div', { class: 'row' }, h('button', { type: 'button', onclick: cancel }, t('cancel')),
        h('button', { type: 'submit', class: 'primary' }, t('send'))));
    this.element.bubble = this.element.querySelector('.bubble');
    this.element.bubble.replaceWith(form);
    this.foot.hidden = true;
    area.focus();
  }
}
