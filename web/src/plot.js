// Line plots as SVG. A plot has named series over one axis of steps; gaps are where a row has no value.
import { h, svg } from './dom.js';
import { number } from './i18n.js';

const WIDTH = 460, HEIGHT = 220, LEFT = 52, RIGHT = 10, TOP = 10, BOTTOM = 24;
const POINTS_MAX = 400;

// About n round numbers that cover [low, high].
function ticks(low, high, n) {
  const raw = (high - low || 1) / n;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((x) => x * power >= raw);
  const found = [];
  for (let x = Math.ceil(low / step) * step; x <= high + step * 1e-9; x += step) found.push(x);
  return found;
}

export function shortNumber(x) {
  if (x === 0) return '0';
  const size = Math.abs(x);
  if (size < 1e-3 || size >= 1e9) return x.toExponential(1).replace('e+', 'e');
  if (size >= 1e6) return `${number(x / 1e6, size < 1e7 ? 1 : 0)}M`;
  if (size >= 1e4) return `${number(x / 1e3, 0)}k`;
  return String(Number(x.toPrecision(3)));
}

// Means of neighbours, so that a long run stays light.
function thinned(points) {
  const every = Math.ceil(points.length / POINTS_MAX);
  if (every <= 1) return points;
  const result = [];
  for (let i = 0; i < points.length; i += every) {
    const part = points.slice(i, i + every);
    const mean = (k) => part.reduce((sum, p) => sum + p[k], 0) / part.length;
    result.push([mean(0), mean(1)]);
  }
  return result;
}

// An exponential mean over about `span` points.
function smoothed(points, span) {
  const keep = 1 - 1 / Math.max(span, 1);
  let sum = 0, weight = 0;
  return points.map(([x, y]) => {
    sum = keep * sum + y;
    weight = keep * weight + 1;
    return [x, sum / weight];
  });
}

// series: [{name, points [[x, y]]}]; smooth: a noisy series is drawn faint with its mean over it;
// xName: what the axis counts; xText(x): its labels.
export function plot(title, series, { smooth = false, xName = '', xText = shortNumber } = {}) {
  const drawn = series.filter((s) => s.points.length).map((s) => {
    const points = thinned(s.points);
    return { ...s, points, mean: smooth && points.length > 20 ? smoothed(points, points.length / 20) : null };
  });
  const figure = h('figure', { class: 'plot' });
  const caption = h('figcaption', {}, h('b', {}, title));
  drawn.forEach((s, i) => caption.append(h('span', { class: `key c${i % 8}` }, s.name, ' ',
    h('span', { class: 'last' }, shortNumber(s.points.at(-1)[1])))));
  const xs = drawn.flatMap((s) => s.points.map((p) => p[0]));
  const ys = drawn.flatMap((s) => s.points.map((p) => p[1]));
  let [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  if (x1 === x0) x1 = x0 + 1;
  const pad = (y1 - y0 || Math.abs(y1) || 1) * 0.05;
  y0 -= pad;
  y1 += pad;
  const px = (x) => LEFT + ((x - x0) / (x1 - x0)) * (WIDTH - LEFT - RIGHT);
  const py = (y) => HEIGHT - BOTTOM - ((y - y0) / (y1 - y0)) * (HEIGHT - TOP - BOTTOM);
  const root = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img',
    'aria-label': `${title}: ${drawn.map((s) => `${s.name} ${shortNumber(s.points.at(-1)[1])}`).join(', ')}` });
  for (const y of ticks(y0, y1, 5)) {
    root.append(svg('line', { class: 'grid', x1: LEFT, x2: WIDTH - RIGHT, y1: py(y), y2: py(y) }),
      svg('text', { class: 'tick', x: LEFT - 6, y: py(y) + 4, 'text-anchor': 'end' }, shortNumber(y)));
  }
  for (const x of ticks(x0, x1, 5)) {
    root.append(svg('text', { class: 'tick', x: px(x), y: HEIGHT - 6, 'text-anchor': 'middle' }, xText(x)));
  }
  const line = (points, extra) => svg('path', { class: `series ${extra}`,
    d: points.map((p, i) => `${i ? 'L' : 'M'}${px(p[0]).toFixed(1)} ${py(p[1]).toFixed(1)}`).join('') });
  drawn.forEach((s, i) => {
    root.append(line(s.points, `c${i % 8}${s.mean ? ' faint' : ''}`));
    if (s.mean) root.append(line(s.mean, `c${i % 8}`));
    if (s.points.length < 30) {
      for (const p of s.points) root.append(svg('circle', { class: `dot c${i % 8}`, cx: px(p[0]), cy: py(p[1]), r: 2.6 }));
    }
  });
  const rule = svg('line', { class: 'rule', y1: TOP, y2: HEIGHT - BOTTOM, x1: -9, x2: -9 });
  root.append(rule);
  const tip = h('div', { class: 'tip', hidden: true });
  root.addEventListener('pointermove', (e) => {
    const box = root.getBoundingClientRect();
    const x = x0 + ((((e.clientX - box.left) / box.width) * WIDTH - LEFT) / (WIDTH - LEFT - RIGHT)) * (x1 - x0);
    const near = drawn.map((s) => s.points.reduce((a, b) => (Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a)));
    const at = near.reduce((a, b) => (Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a))[0];
    rule.setAttribute('x1', px(at));
    rule.setAttribute('x2', px(at));
    tip.textContent = `${xName} ${xText(Math.round(at))}: ${drawn.map((s, i) => `${s.name} ${shortNumber(near[i][1])}`).join(', ')}`;
    tip.hidden = false;
  });
  root.addEventListener('pointerleave', () => {
    tip.hidden = true;
    rule.setAttribute('x1', -9);
    rule.setAttribute('x2', -9);
  });
  figure.append(caption, root, tip);
  return figure;
}
