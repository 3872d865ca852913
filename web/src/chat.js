// The chat: the path that is shown, the composer, and the answers that are coming.
import * as api from './api.js';
import { announce, h, icon } from './dom.js';
import { number, t } from './i18n.js';
import { MessageView } from './message.js';
import { samplingOf, toolsOf } from './settings.js';
import * as store from './store.js';
import { addNode, newConversation, pathTo, switchBranch, toMessages } from './tree.js';

const { settings } = store;
const budgets = [16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, -1];
const SAVE_MS = 500;
const DRAW_MS = 40;
const NEAR_END = 80; // pixels

export class Chat {
  // page: {model() -> the entry of /v1/models, onList()}
  constructor(page) {
    this.page = page;
    this.current = newConversation(settings.system);
    this.views = new Map(); // node id -> MessageView
    this.running = new Map(); // node id -> {conversation, node, controller}
    this.messages = h('div', { class: 'messages', role: 'log', 'aria-live': 'off', 'aria-label': t('chat') });
    this.welcome = h('div', { class: 'welcome' }, h('h1', {}, t('welcome')), h('p', {}, t('welcomeHint')));
    this.scroller = h('div', { class: 'scroller', tabindex: '-1', onscroll: () => this.watchScroll() }, this.welcome, this.messages);
    this.toEnd = h('button', { type: 'button', class: 'to-end', title: t('toEnd'), 'aria-label': t('toEnd'), hidden: true,
      onclick: () => this.scrollToEnd() }, icon('down'));
    this.element = h('main', { id: 'chat' }, this.scroller, this.toEnd, this.buildComposer());
    this.isAtEnd = true;
    this.setBudget(budgets.includes(settings.budget) ? settings.budget : -1);
    addEventListener('pagehide', () => this.saveRunning());
  }

  // ---- Composer ---------------------------------------------------------------------------------

  buildComposer() {
    this.input = h('textarea', { id: 'input', rows: '1', placeholder: t('ask'), 'aria-label': t('ask'),
      oninput: () => this.fitInput(), onkeydown: (e) => this.onInputKey(e) });
    this.sendButton = h('button', { type: 'submit', class: 'primary round', id: 'send' });
    this.thinkButton = h('button', { type: 'button', class: 'chip', id: 'think', title: 'Alt+T',
      onclick: () => this.setThink(!settings.think) }, icon('think'), t('think'));
    this.slider = h('input', { type: 'range', id: 'budget', min: '0', max: String(budgets.length - 1), step: '1',
      'aria-label': t('budgetLong'), oninput: () => this.setBudget(budgets[this.slider.value]) });
    this.budgetText = h('output', { for: 'budget' });
    this.budget = h('label', { class: 'budget', title: t('budgetLong') }, t('budget'), this.slider, this.budgetText);
    this.meter = h('span', { class: 'context' });
    return h('form', { class: 'composer', onsubmit: (e) => { e.preventDefault(); this.submit(); } },
      h('div', { class: 'box' }, this.input,
        h('div', { class: 'row' }, this.thinkButton, this.budget, this.meter, this.sendButton)));
  }

  fitInput() {
    this.input.style.height = 'auto';
    this.input.style.height = `${Math.min(this.input.scrollHeight, innerHeight * 0.4)}px`;
    this.drawSend();
  }

  onInputKey(e) {
    if (e.isComposing || e.keyCode === 229) return; // an input method is at work
    if (e.key === 'Enter' && !e.shiftKey) {
      e.preventDefault();
      this.submit();
    } else if (e.key === 'ArrowUp' && !this.input.value) {
      const last = pathTo(this.current).findLast((n) => n.role === 'user');
      if (last) { e.preventDefault(); this.views.get(last.id)?.edit(); }
    }
  }

  setThink(value) {
    store.saveSettings({ think: value });
    this.drawThink();
  }

  setBudget(value) {
    store.saveSettings({ budget: value });
    this.slider.value = String(budgets.indexOf(value));
    this.budgetText.textContent = value < 0 ? t('noLimit') : number(value);
    this.slider.setAttribute('aria-valuetext', this.budgetText.textContent);
    this.drawThink();
  }

  // Whether the model can think, and whether that can be switched.
  drawThink() {
    const template = this.page.model()?.meta?.template ?? 'hybrid';
    const thinks = template === 'thinking' || (template === 'hybrid' && settings.think);
    this.thinkButton.disabled = template !== 'hybrid';
    this.thinkButton.setAttribute('aria-pressed', String(thinks));
    this.budget.hidden = !thinks;
    this.thinks = thinks;
  }

  drawSend() {
    const isRunning = !!this.runningHere();
    this.sendButton.replaceChildren(icon(isRunning ? 'stop' : 'send'));
    const label = t(isRunning ? 'stop' : 'send');
    this.sendButton.title = label;
    this.sendButton.setAttribute('aria-label', label);
    this.sendButton.disabled = !isRunning && !this.input.value.trim();
  }

  drawMeter() {
    const context = this.page.model()?.max_model_len;
    const last = pathTo(this.current).findLast((n) => n.usage);
    this.meter.hidden = !last || !context;
    if (this.meter.hidden) return;
    const used = last.usage.prompt + last.usage.completion;
    const share = used / context;
    this.meter.textContent = `${number(share * 100, share < 0.1 ? 1 : 0)} %`;
    this.meter.title = `${t('context')}: ${number(used)} / ${number(context)} ${t('tokens')}`;
    this.meter.setAttribute('aria-label', this.meter.title);
    this.meter.style.setProperty('--share', Math.min(share, 1));
  }

  // ---- The path ---------------------------------------------------------------------------------

  async open(id) {
    const running = [...this.running.values()].find((r) => r.conversation.id === id);
    const found = id ? running?.conversation ?? await store.readConversation(id) : null;
    this.current = found ?? newConversation(settings.system);
    history.replaceState(null, '', found ? `#${id}` : '#');
    this.views.clear();
    this.messages.replaceChildren();
    this.draw();
    this.scrollToEnd();
    this.input.focus();
    this.page.onList();
    for (const node of Object.values(this.current.nodes))
      if (node.role === 'assistant' && !node.endAt && !this.isRunning(node)) this.pickUp(this.current, node);
  }

  // After an import: what is shown may be another now.
  async reload() {
    if (await store.readConversation(this.current.id)) await this.open(this.current.id);
  }

  draw() {
    const path = pathTo(this.current);
    const shown = new Set(path.map((n) => n.id));
    for (const [id, view] of this.views) {
      if (shown.has(id)) continue;
      view.element.remove();
      this.views.delete(id);
    }
    path.forEach((node, i) => {
      let view = this.views.get(node.id);
      if (view) view.update();
      else this.views.set(node.id, view = new MessageView(this, node));
      if (this.messages.children[i] !== view.element) this.messages.insertBefore(view.element, this.messages.children[i] ?? null);
    });
    this.welcome.hidden = path.length > 0;
    this.drawSend();
    this.drawThink();
    this.drawMeter();
    if (this.isAtEnd) this.scrollToEnd();
  }

  drawSoon() {
    if (this.timer) return;
    this.timer = setTimeout(() => { this.timer = null; this.draw(); }, DRAW_MS);
  }

  watchScroll() {
    const s = this.scroller;
    this.isAtEnd = s.scrollHeight - s.scrollTop - s.clientHeight < NEAR_END;
    this.toEnd.hidden = this.isAtEnd;
  }

  scrollToEnd() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.isAtEnd = true;
    this.toEnd.hidden = true;
  }

  isRunning(node) { return this.running.has(node.id); }

  runningHere() {
    return pathTo(this.current).map((n) => this.running.get(n.id)).find(Boolean);
  }

  // ---- Asking -----------------------------------------------------------------------------------

  submit() {
    if (this.runningHere()) {
      this.stop();
      return;
    }
    const text = this.input.value.trim();
    if (!text) return;
    this.input.value = '';
    this.fitInput();
    if (!this.current.title) this.current.title = text.replace(/\s+/g, ' ').slice(0, 60);
    const node = addNode(this.current, this.current.leaf, { role: 'user', text });
    this.answer(this.current, node.id);
  }

  edit(node, text) {
    const sister = addNode(this.current, node.parent, { role: 'user', text });
    this.answer(this.current, sister.id);
    this.input.focus();
  }

  regenerate(node) { this.answer(this.current, node.parent); }

  answerCalls(node, results) {
    const tool = addNode(this.current, node.id, { role: 'tool', results });
    this.answer(this.current, tool.id);
    this.input.focus();
  }

  branch(node, step) {
    if (!switchBranch(this.current, node, step)) return;
    this.isAtEnd = false;
    this.draw();
    this.save(this.current);
    const path = pathTo(this.current);
    const sister = path.find((n) => n.parent === node.parent);
    const view = this.views.get(sister.id);
    view.element.scrollIntoView({ block: 'nearest' });
    (view.foot.querySelector(`[data-act=${step < 0 ? 'previous' : 'next'}]:not(:disabled)`) ??
      view.foot.querySelector('.branches button:not(:disabled)'))?.focus();
  }

  requestFor(conversation, parent) {
    const body = { model: this.page.model()?.id, messages: toMessages(conversation, pathTo(conversation, parent)), ...samplingOf() };
    if (this.page.model()?.meta?.template !== 'plain') {
      body.think = this.thinks;
      if (this.thinks && settings.budget >= 0) body.thinking_budget = settings.budget;
    }
    const tools = toolsOf();
    if (tools) body.tools = tools;
    return body;
  }

  answer(conversation, parent) {
    const node = addNode(conversation, parent, { role: 'assistant', thinking: '', asked: Date.now(), model: this.page.model()?.id ?? '' });
    history.replaceState(null, '', `#${conversation.id}`);
    this.isAtEnd = true;
    this.run(conversation, node, this.requestFor(conversation, parent));
    this.save(conversation).then(() => this.page.onList());
  }

  pickUp(conversation, node) {
    if (node.stream) {
      this.run(conversation, node, null);
      return;
    }
    node.endAt = node.firstAt ?? node.created;
    node.error ??= t('lost');
    this.save(conversation);
    this.draw();
  }

  async run(conversation, node, body) {
    const run = { conversation, node, controller: new AbortController() };
    this.running.set(node.id, run);
    delete node.error;
    this.draw();
    try {
      await api.chat(body, node.stream ?? null, run.controller.signal,
        (stream) => { node.stream = stream; this.save(conversation); },
        (chunk) => { this.take(node, chunk); this.saveSoon(conversation); this.drawSoon(); });
    } catch (trouble) {
      if (run.controller.signal.aborted) node.finish = 'stopped';
      else node.error = trouble.status === 401 ? t('needKey') : trouble.status === 404 && !body ? t('lost')
        : trouble instanceof api.ServerError ? trouble.message : t('noServer');
    }
    this.running.delete(node.id);
    delete node.stream;
    node.endAt = Date.now();
    await this.save(conversation);
    if (conversation === this.current) this.draw();
    announce(node.error ?? t(node.finish === 'stopped' ? 'stopped' : 'finished'));
    this.page.onList();
  }

  take(node, chunk) {
    const choice = chunk.choices[0];
    const delta = choice?.delta;
    if (chunk.usage) {
      node.usage = { prompt: chunk.usage.prompt_tokens, completion: chunk.usage.completion_tokens,
        reasoning: chunk.usage.completion_tokens_details?.reasoning_tokens ?? 0,
        cached: chunk.usage.prompt_tokens_details?.cached_tokens ?? 0 };
    }
    if (!choice) return;
    if (delta.reasoning_content) {
      node.firstAt ??= Date.now();
      node.thinking += delta.reasoning_content;
      node.thoughtTokens = (node.thoughtTokens ?? 0) + 1;
    }
    if (delta.content || delta.tool_calls) {
      node.firstAt ??= Date.now();
      if (node.thinking) node.thoughtAt ??= Date.now();
      node.text += delta.content ?? '';
    }
    for (const call of delta.tool_calls ?? []) {
      node.calls ??= [];
      node.calls[call.index] ??= { id: call.id, name: call.function.name, arguments: '' };
      node.calls[call.index].arguments += call.function.arguments ?? '';
    }
    if (choice.finish_reason) node.finish = choice.finish_reason;
  }

  stop() {
    const run = this.runningHere();
    if (!run) return false;
    if (run.node.stream) api.dropStream(run.node.stream);
    run.controller.abort();
    return true;
  }

  // ---- Keeping ----------------------------------------------------------------------------------

  async save(conversation) {
    if (conversation.isForgotten) return;
    conversation.updated = Date.now();
    conversation.savedAt = performance.now();
    try {
      await store.saveConversation(structuredClone(conversation));
    } catch (trouble) {
      announce(String(trouble), true);
    }
  }

  saveSoon(conversation) {
    if (performance.now() - (conversation.savedAt ?? 0) > SAVE_MS) this.save(conversation);
  }

  saveRunning() {
    for (const { conversation } of this.running.values()) this.save(conversation);
  }

  async rename(id, title) {
    const conversation = id === this.current.id ? this.current
      : [...this.running.values()].find((r) => r.conversation.id === id)?.conversation ?? await store.readConversation(id);
    conversation.title = title;
    await this.save(conversation);
  }

  // Before it is deleted.
  async forget(id) {
    for (const run of this.running.values()) {
      if (run.conversation.id !== id) continue;
      run.conversation.isForgotten = true;
      if (run.node.stream) api.dropStream(run.node.stream);
      run.controller.abort();
    }
    if (id === this.current.id) {
      this.current.isForgotten = true;
      await this.open(null);
    }
  }
}
