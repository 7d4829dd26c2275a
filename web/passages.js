// passages.js - what the index answers, as text and elements. Its offsets count bytes of UTF-8.

import {element} from './format.js';

const encoder = new TextEncoder(), decoder = new TextDecoder();

// Spans {start, end} of bytes as [text, is marked] in turn; those that touch or overlap become one.
export function pieces(text, spans) {
  const utf8 = encoder.encode(text), parts = [];
  let at = 0;
  for (const {start, end} of [...spans].sort((a, b) => a.start - b.start)) {
    const begin = Math.max(start, at);
    if (end <= begin)
      continue;
    if (begin > at)
      parts.push([decoder.decode(utf8.subarray(at, begin)), false]);
    const before = parts.at(-1);
    if (before?.[1] && begin === at)
      before[0] += decoder.decode(utf8.subarray(begin, end));
    else
      parts.push([decoder.decode(utf8.subarray(begin, end)), true]);
    at = end;
  }
  if (at < utf8.length)
    parts.push([decoder.decode(utf8.subarray(at)), false]);
  return parts;
}

export const marked = (text, spans) => pieces(text, spans).map(([part, is]) => (is ? element('mark', {}, part) : part));

const quoted = (value) => `"${value.replaceAll(/["\\]/g, '\\$&')}"`;

// {source: Set{a, b}, mime: Set{c}} in the filter language.
export function filterOf(chosen) {
  return Object.entries(chosen).filter(([, values]) => values.size > 0).map(([field, values]) =>
    (values.size === 1 ? `${field} = ${quoted([...values][0])}` : `${field} IN (${[...values].map(quoted).join(', ')})`)).join(' AND ');
}

// What a document is called: its title, else its file's name, else its id.
export const nameOf = (document) => document.title || (document.path ?? document.id ?? document.doc_id).split('/').pop() || document.doc_id;

// "notes/looms.md:12", "paper.pdf, page 3": what an editor or a person finds the passage by.
export function placeOf(document, {line, page}) {
  const file = document.path ?? document.url ?? document.doc_id ?? document.id;
  return page > 0 ? `${file}, page ${page}` : line > 0 && document.path !== null ? `${file}:${line}` : file;
}

export const sectionOf = (section) => section.split(' > ').filter((name) => name !== '').join(' › ');

// Without a secure context there is no clipboard to write to: a hidden field is copied from.
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = element('textarea', {value: text, className: 'unseen'});
    (document.querySelector('dialog[open]') ?? document.body).append(field);
    field.select();
    const done = document.execCommand('copy');
    field.remove();
    return done;
  }
}
