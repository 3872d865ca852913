// Markdown to elements, safely and as it streams.
//
// Three walls: raw HTML but for a few harmless tags becomes text; DOMPurify lets only known tags and
// attributes pass; the page's Content-Security-Policy runs and loads nothing that comes with an answer.
// Pictures become links, so that looking at an answer asks nobody for anything.
import DOMPurify from 'dompurify';
import hljs from 'highlight.js/lib/core';
import bash from 'highlight.js/lib/languages/bash';
import c from 'highlight.js/lib/languages/c';
import cpp from 'highlight.js/lib/languages/cpp';
import css from 'highlight.js/lib/languages/css';
import diff from 'highlight.js/lib/languages/diff';
import go from 'highlight.js/lib/languages/go';
import java from 'highlight.js/lib/languages/java';
import javascript from 'highlight.js/lib/languages/javascript';
import json from 'highlight.js/lib/languages/json';
import python from 'highlight.js/lib/languages/python';
import rust from 'highlight.js/lib/languages/rust';
import sql from 'highlight.js/lib/languages/sql';
import typescript from 'highlight.js/lib/languages/typescript';
import xml from 'highlight.js/lib/languages/xml';
import yaml from 'highlight.js/lib/languages/yaml';
import katex from 'katex';
import { Marked } from 'marked';
import { copyText, h } from './dom.js';
import { t } from './i18n.js';

for (const [name, language] of Object.entries(
  { bash, c, cpp, css, diff, go, java, javascript, json, python, rust, sql, typescript, xml, yaml }))
  hljs.registerLanguage(name, language);

const HIGHLIGHT_MAX = 100000; // characters

const escape = (text) => text.replace(/[&<>"']/g, (x) => `&#${x.charCodeAt(0)};`);

// ---- Mathematics: $x$, $$x$$, \(x\), \[x\] --------------------------------------------------------------

// As Pandoc has it: no blank inside the dollars, no digit behind them, so that prices stay prices.
const inlineMath = /^(?:\$\$([^$]+?)\$\$|\$(?![\s$])((?:\\.|[^\\$\n])*?[^\s\\]|\\.)\$(?!\d)|\\\(([^\n]+?)\\\))/;
const blockMath = /^ {0,3}(?:\$\$\s*([\s\S]+?)\s*\$\$|\\\[\s*([\s\S]+?)\s*\\\])[ \t]*(?:\n+|$)/;

function mathExtension(name, level, rule, start) {
  return {
    name,
    level,
    start: (source) => source.match(start)?.index,
    tokenizer(source) {
      const found = rule.exec(source);
      if (!found) return undefined;
      const isDisplay = level === 'block' || found[0].startsWith('$$');
      return { type: name, raw: found[0], text: found.slice(1).find((x) => x !== undefined), isDisplay };
    },
    renderer: (token) => `<${level === 'block' ? 'div' : 'span'} class="math${token.isDisplay ? ' display' : ''}">` +
      `${escape(token.text)}</${level === 'block' ? 'div' : 'span'}>`,
  };
}

function setMath(element) {
  const source = element.textContent;
  try {
    katex.render(source, element, { output: 'mathml', displayMode: element.classList.contains('display'),
      throwOnError: true, strict: 'ignore', trust: false, maxExpand: 500, maxSize: 20 });
    element.title = source;
  } catch { // half of a formula, or none: as it was written
    element.textContent = source;
    element.classList.add('raw');
  }
}

// ---- HTML ---------------------------------------------------------------------------------------------

const harmless = 'br|sub|sup|kbd|mark|u|b|i|em|strong|s|del|details|summary';
const otherTag = new RegExp(`<(?!/?(?:${harmless})\\s*/?>)`, 'gi');

const marked = new Marked({
  gfm: true,
  breaks: false,
  extensions: [
    mathExtension('mathBlock', 'block', blockMath, /(?:^|\n) {0,3}(?:\$\$|\\\[)/),
    mathExtension('mathInline', 'inline', inlineMath, /\$|\\\(/),
  ],
  renderer: {
    html: ({ text }) => text.replace(otherTag, '&lt;'),
    image({ href, title, text }) {
      return `<a href="${escape(href)}" title="${escape(title ?? '')}">${escape(text || href)}</a>`;
    },
  },
});

const rules = {
  ALLOWED_TAGS: ['p', 'br', 'hr', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'ul', 'ol', 'li', 'blockquote', 'pre', 'code', 'em', 'strong',
    'del', 's', 'u', 'b', 'i', 'a', 'table', 'thead', 'tbody', 'tr', 'th', 'td', 'sub', 'sup', 'kbd', 'mark', 'details', 'summary',
    'span', 'div', 'input'],
  ALLOWED_ATTR: ['href', 'title', 'class', 'align', 'start', 'type', 'checked', 'disabled', 'open'],
  ALLOWED_URI_REGEXP: /^(?:https?:|mailto:|#)/i,
  ADD_URI_SAFE_ATTR: ['type', 'align', 'start'], // their values are no addresses
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};

// Inputs are the boxes of task lists, nothing else.
DOMPurify.addHook('uponSanitizeElement', (node, data) => {
  if (data.tagName !== 'input' || !node.parentNode) return;
  if (node.getAttribute('type') !== 'checkbox') node.remove();
  else node.setAttribute('disabled', '');
});
DOMPurify.addHook('afterSanitizeAttributes', (node) => {
  if (node.tagName !== 'A') return;
  node.setAttribute('target', '_blank');
  node.setAttribute('rel', 'noopener noreferrer nofollow');
});

function dressCode(pre) {
  const code = pre.querySelector('code');
  if (!code) return;
  const text = code.textContent;
  const language = /language-([\w+#-]+)/.exec(code.className)?.[1] ?? '';
  if (language && hljs.getLanguage(language) && text.length < HIGHLIGHT_MAX) {
    const html = hljs.highlight(text, { language, ignoreIllegals: true }).value;
    code.replaceChildren(DOMPurify.sanitize(html,
      { ALLOWED_TAGS: ['span'], ALLOWED_ATTR: ['class'], RETURN_DOM_FRAGMENT: true }));
  }
  const button = h('button', { type: 'button', class: 'copy-code', onclick: async () => {
    await copyText(text.replace(/\n$/, ''));
    button.textContent = t('copied');
    setTimeout(() => { button.textContent = t('copy'); }, 1500);
  } }, t('copy'));
  pre.tabIndex = 0;
  const frame = h('div', { class: 'code' }, h('div', { class: 'code-head' }, h('span', {}, language), button));
  pre.replaceWith(frame);
  frame.append(pre);
}

function toElements(html) {
  const fragment = DOMPurify.sanitize(html, rules);
  fragment.querySelectorAll('.math').forEach(setMath);
  fragment.querySelectorAll('pre').forEach(dressCode);
  fragment.querySelectorAll('table').forEach((table) => {
    const frame = h('div', { class: 'table', tabindex: '0' });
    table.replaceWith(frame);
    frame.append(table);
  });
  return fragment;
}

// A growing text in `element`: blocks that have not changed are left alone, so that a long answer costs
// no more at its end than at its beginning, and what the reader has marked stays marked.
export class MarkdownView {
  constructor(element) {
    this.element = element;
    this.blocks = []; // {raw, node}
    this.text = null;
  }

  set(text) {
    if (text === this.text) return;
    this.text = text;
    const tokens = marked.lexer(text);
    const blocks = tokens.filter((x) => x.type !== 'space' && x.type !== 'def');
    let i = 0;
    for (const token of blocks) {
      const old = this.blocks[i];
      if (!old || old.raw !== token.raw) {
        const node = h('div', { class: 'block' }, toElements(marked.parser(Object.assign([token], { links: tokens.links }))));
        if (old) old.node.replaceWith(node);
        else this.element.append(node);
        this.blocks[i] = { raw: token.raw, node };
      }
      i++;
    }
    for (const extra of this.blocks.splice(i)) extra.node.remove();
  }
}
