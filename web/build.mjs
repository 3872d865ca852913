// Makes dist/page.html, the whole page in one file, and dist/policy.txt, its Content-Security-Policy.
// The same sources and package versions give the same bytes.
//   usage: node build.mjs [FOLDER]      (dist)
import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] ?? join(here, 'dist');
const shipped = ['dompurify', 'highlight.js', 'katex', 'marked'];

async function bundle(entry) {
  const result = await build({
    entryPoints: [join(here, 'src', entry)],
    bundle: true,
    minify: true,
    write: false,
    format: 'iife',
    target: 'es2022',
    charset: 'utf8',
    legalComments: 'none',
    absWorkingDir: here,
  });
  return result.outputFiles[0].text.trim();
}

// "<!--" and "<script" inside a script would change how HTML reads its end.
const inScript = (text) => text.replaceAll(/<(?=!--|\/?script)/gi, '\\x3C');
const hash = (text) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

function license(name) {
  const require = createRequire(import.meta.url);
  let folder = dirname(require.resolve(name));
  while (!folder.endsWith(join('node_modules', name))) folder = dirname(folder);
  const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  let text = readFileSync(join(folder, readdirSync(folder).find((x) => /^licen[cs]e/i.test(x))), 'utf8');
  // Of DOMPurify's two licenses the Apache License is taken, which is this program's own: see LICENSE there.
  if (name === 'dompurify') text = 'Copyright (c) Cure53 and other contributors. Apache License, Version 2.0:\nhttp://www.apache.org/licenses/LICENSE-2.0';
  return `${name} ${version}\n\n${text.trim().replaceAll('--', '- -')}\n`;
}

const script = inScript(await bundle('main.js'));
const style = await bundle('style.css');
const policy = [
  "default-src 'none'",
  `script-src ${hash(script)}`,
  `style-src ${hash(style)}`,
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  'trusted-types dompurify',
].join('; ');
const put = { SCRIPT: script, STYLE: style, LICENSES: shipped.map(license).join('\n') };
const html = readFileSync(join(here, 'src', 'page.html'), 'utf8').replace(
  /@(SCRIPT|STYLE|LICENSES)@/g,
  (_, name) => put[name],
);

mkdirSync(out, { recursive: true });
writeFileSync(join(out, 'page.html'), html);
writeFileSync(join(out, 'policy.txt'), policy);
