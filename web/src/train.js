// The training view: what a run's log says, as it grows. Files are read from where the last reading ended.
import * as api from './api.js';
import { h } from './dom.js';
import { number, t } from './i18n.js';
import { plot, shortNumber } from './plot.js';

const POLL_MS = 2000;
const LIVE_SECONDS = 120;
const ROLLOUT_BYTES = 200000;
const SHOWN = 12;

// A file that grows: rest() gives the new lines, or begins again when it has become another.
class Tail {
  constructor(run, name, from = 0) {
    Object.assign(this, { run, name, from, next: from, file: null });
  }

  // {lines, isNew}: isNew when all earlier lines are to be forgotten.
  async rest() {
    let isNew = this.file === null;
    const lines = [];
    for (;;) {
      const found = await api.runFile(this.run, this.name, this.next);
      if (found === null || (this.file && found.file !== this.file)) {
        this.file = null;
        this.next = this.from;
        isNew = true;
        lines.length = 0;
        continue;
      }
      this.file = found.file || null;
      if (this.file) this.next = found.next;
      lines.push(...found.text.split('\n').filter(Boolean));
      if (!found.text) return { lines, isNew };
    }
  }
}

const parsed = (lines) => lines.flatMap((line) => {
  try {
    return [JSON.parse(line)];
  } catch { // a line that is being written
    return [];
  }
});

// log.csv: columns of numbers, NaN where a cell is empty.
class Table {
  constructor() {
    this.columns = null;
  }

  add(lines) {
    for (const line of lines) {
      const cells = line.split(',');
      if (!this.columns) this.columns = new Map(cells.map((name) => [name, []]));
      else [...this.columns.values()].forEach((column, i) => column.push(cells[i] ? Number(cells[i]) : NaN));
    }
  }

  points(name) {
    const steps = this.columns?.get('step') ?? [];
    return (this.columns?.get(name) ?? []).flatMap((y, i) => (Number.isFinite(y) ? [[steps[i], y]] : []));
  }

  last(name) { return this.points(name).at(-1)?.[1]; }
}

// Which columns stand in one plot.
const groups = [
  ['loss', /^(loss|heldout_loss)(\/.*)?$/],
  ['rewards', /^(reward|score)$/],
  ['accuracy', /^accuracy_(think|plain)$/],
  ['accuracyBudget', /^accuracy_budget/],
  ['lengths', /^(reply_tokens_(think|plain)|length_(right|wrong))$/],
  ['rate', /^lr$/],
  ['norm', /^grad_norm$/],
  ['speed', /^tokens_per_s$/],
];
const hidden = /^(step|tokens|seconds|skipped)$/;

// results.json of wen eval: shares of right answers along the budgets, a series a task.
function budgetSeries(results) {
  return Object.entries(results?.budgets ?? {}).map(([task, curve]) => ({ name: task,
    points: (curve.budgets ?? []).map((b, i) => [i, curve.acc?.[i]]).filter((p) => Number.isFinite(p[1])),
    labels: curve.budgets ?? [] })).filter((s) => s.points.length);
}

export class Training {
  constructor() {
    this.picker = h('select', { id: 'run', 'aria-label': t('run'), onchange: () => this.choose(this.picker.value) });
    this.state = h('span', { class: 'state' });
    this.smooth = h('input', { type: 'checkbox', id: 'smooth', checked: true, onchange: () => this.draw() });
    this.tiles = h('div', { class: 'tiles' });
    this.plots = h('div', { class: 'plots' });
    this.texts = h('div', { class: 'texts' });
    this.none = h('p', { class: 'welcome' });
    this.element = h('main', { id: 'train', tabindex: '-1' },
      h('div', { class: 'train-head row' }, this.picker, this.state, h('span', { class: 'space' }),
        h('label', { class: 'row' }, this.smooth, t('smooth'))),
      this.none, this.tiles, this.plots, this.texts);
    this.runs = [];
    this.run = null;
  }

  setRunning(isRunning) {
    clearTimeout(this.timer);
    this.isRunning = isRunning;
    if (isRunning) this.poll();
  }

  async poll() {
    clearTimeout(this.timer);
    try {
      await this.refresh();
      this.none.textContent = this.runs.length ? '' : t('noRuns');
    } catch (trouble) {
      this.none.textContent = trouble.status === 401 ? t('needKey') : t('noServer');
    }
    this.none.hidden = !this.none.textContent;
    if (this.isRunning) this.timer = setTimeout(() => this.poll(), POLL_MS);
  }

  async refresh() {
    this.runs = await api.runs();
    const ids = this.runs.map((r) => r.id);
    if (ids.join() !== [...this.picker.options].map((o) => o.value).join())
      this.picker.replaceChildren(...ids.map((id) => h('option', { value: id }, id)));
    if (!ids.includes(this.run)) {
      const newest = this.runs.reduce((a, b) => (!a || b.modified > a.modified ? b : a), null);
      this.start(newest?.id ?? null);
    }
    this.picker.value = this.run ?? '';
    if (this.run) await this.read();
  }

  choose(id) {
    this.start(id);
    this.poll();
  }

  start(id) {
    this.run = id;
    this.table = new Table();
    this.samples = [];
    this.rollouts = [];
    this.results = null;
    this.seen = '';
    this.tails = { log: new Tail(id, 'log.csv'), samples: new Tail(id, 'samples.jsonl', -ROLLOUT_BYTES),
      rollouts: new Tail(id, 'rollouts.jsonl', -ROLLOUT_BYTES) };
    [this.tiles, this.plots, this.texts].forEach((x) => x.replaceChildren());
  }

  async read() {
    const { run } = this;
    const entry = this.runs.find((r) => r.id === run);
    const isLive = Date.now() / 1000 - entry.modified < LIVE_SECONDS;
    this.state.textContent = t(isLive ? 'live' : 'idle');
    this.state.classList.toggle('live', isLive);
    const seen = JSON.stringify(entry.files);
    if (seen === this.seen) return;
    const log = await this.tails.log.rest();
    const samples = entry.files['samples.jsonl'] ? await this.tails.samples.rest() : { lines: [] };
    const rollouts = entry.files['rollouts.jsonl'] ? await this.tails.rollouts.rest() : { lines: [] };
    const results = entry.files['results.json'] ? await api.runFile(run, 'results.json', 0) : null;
    if (run !== this.run) return; // another was chosen meanwhile
    this.seen = seen;
    if (log.isNew) this.table = new Table();
    this.table.add(log.lines);
    this.samples = [...(samples.isNew ? [] : this.samples), ...parsed(samples.lines)].slice(-200);
    this.rollouts = [...(rollouts.isNew ? [] : this.rollouts), ...parsed(rollouts.lines)].slice(-200);
    this.results = results?.text ? parsed([results.text])[0] ?? null : null;
    this.draw();
  }

  draw() {
    const names = [...(this.table.columns?.keys() ?? [])];
    const smooth = this.smooth.checked;
    const plots = [];
    const used = new Set();
    const add = (title, columns, isSmooth) => {
      const series = columns.map((name) => ({ name, points: this.table.points(name) })).filter((s) => s.points.length);
      if (series.length) plots.push(plot(title, series, { smooth: isSmooth && smooth, xName: t('step') }));
      columns.forEach((c) => used.add(c));
    };
    for (const [name, rule] of groups) add(t(name), names.filter((n) => rule.test(n)), true);
    const budgets = budgetSeries(this.results);
    if (budgets.length) {
      const labels = budgets.reduce((a, s) => (s.labels.length > a.length ? s.labels : a), []);
      plots.push(plot(t('accuracyBudget'), budgets, { xName: t('budget'), xText: (i) => (Number.isInteger(i) ? String(labels[i] ?? '') : '') }));
    }
    const families = Map.groupBy(names.filter((n) => n.includes('/') && !used.has(n)), (n) => n.split('/')[0]);
    for (const [name, columns] of families) add(name, columns, true);
    for (const name of names) if (!used.has(name) && !hidden.test(name)) add(name, [name], true);
    this.plots.replaceChildren(...plots);
    this.drawTiles();
    this.drawTexts();
    if (!names.length && !budgets.length) this.plots.append(h('p', {}, t('noData')));
  }

  drawTiles() {
    const shown = ['step', 'tokens', 'loss', 'heldout_loss', 'reward', 'accuracy_think', 'accuracy_plain', 'tokens_per_s'];
    const steps = this.table.columns?.get('step') ?? [];
    const value = (name) => (name === 'step' ? steps.at(-1) : this.table.last(name));
    this.tiles.replaceChildren(...shown.filter((n) => Number.isFinite(value(n))).map((n) =>
      h('div', { class: 'tile' }, h('b', {}, n === 'step' ? number(value(n)) : shortNumber(value(n))), h('span', {}, n === 'step' ? t('step') : n))));
  }

  drawTexts() {
    const open = new Set([...this.texts.querySelectorAll('details[open]')].map((d) => d.dataset.key));
    const fold = (key, summary, ...content) => h('details', { class: 'call', 'data-key': key, open: open.has(key) }, h('summary', {}, summary), ...content);
    const text = (x, kind) => x && h('pre', { class: kind, tabindex: '0' }, String(x));
    const asked = (s) => s.prompt ?? s.messages?.at(-1)?.content ?? '';
    const newest = (list) => list.slice(-SHOWN).reverse();
    this.texts.replaceChildren(
      ...(this.samples.length ? [h('h3', {}, t('samples'))] : []),
      ...newest(this.samples).map((s) => fold(`s${s.step}.${s.prompt_i}.${s.mode}`,
        `${t('step')} ${s.step} · ${s.mode === 'plain' ? t('plain') : t('think')} · ${String(asked(s)).slice(0, 80)}`,
        text(asked(s), 'asked'), text(s.thinking, 'thinking'), text(s.content, 'said'))),
      ...(this.rollouts.length ? [h('h3', {}, t('rollouts'))] : []),
      ...newest(this.rollouts).map((r, i) => fold(`r${r.step}.${r.problem}.${i}`,
        `${t('step')} ${r.step} · ${r.family} ${r.difficulty} · ${t('reward')} ${shortNumber(r.reward)} · ${number(r.tokens)} ${t('tokens')} · ${r.finish}`,
        text(r.output, 'said'))));
  }
}
