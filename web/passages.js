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

const escaped = (text) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll(/\s+/g, '\\s+');

// A chunk's text with what its snippet marks: the snippet is part of it, its blanks made one and its ends cut.
export function markedIn(text, snippet, highlights) {
  const words = [...new Set(pieces(snippet, highlights).filter(([, is]) => is).map(([part]) => escaped(part)))];
  if (words.length === 0)
    return [text];
  const within = new RegExp(escaped(snippet.replaceAll(/^…|…$/g, '').trim())).exec(text);
  const begin = within?.index ?? 0, end = within === null ? text.length : begin + within[0].length;
  const parts = text.slice(begin, end).split(new RegExp(`(${words.join('|')})`));
  return [text.slice(0, begin), ...parts.map((part, i) => (i % 2 === 1 ? element('mark', {}, part) : part)), text.slice(end)];
}

// What a document is called: its title, else its file's name, else its id.
export const nameOf = ({title, path, doc_id: id}) => title || (path ?? id).split('/').pop() || id;

// "notes/looms.md:12", "paper.pdf, page 3": what an editor or a person finds the passage by.
export function placeOf({path, url, doc_id: id, line, page}) {
  const file = path ?? url ?? id;
  return page > 0 ? `${file}, page ${page}` : line > 0 ? (path !== null ? `${file}:${line}` : `${file}, line ${line}`) : file;
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
