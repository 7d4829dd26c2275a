// source.js - a document opened at a passage: all of its chunks, the one that was found marked and in view.

import {call, explain} from './api.js';
import {$, element} from './format.js';
import {copy, markedIn, nameOf, placeOf, sectionOf} from './passages.js';

let steps = null, asked = null;

function chunkElement(chunk, hit, before) {
  const isHit = chunk.id === hit.id;
  const section = sectionOf(chunk.section);
  const place = chunk.page > 0 ? `page ${chunk.page}` : chunk.line > 0 ? `line ${chunk.line}` : '';
  return element('li', {className: isHit ? 'here' : '', ...(isHit ? {'aria-current': 'true'} : {})},
    ...(section !== '' && section !== before ? [element('h4', {}, section)] : []),
    element('small', {className: 'muted'}, place),
    element(chunk.is_code ? 'pre' : 'p', {}, ...(isHit ? markedIn(chunk.text, hit.snippet, hit.highlights) : [chunk.text])));
}

function show(document_, hit) {
  const chunks = document_.chunks.map((chunk, i) => chunkElement(chunk, hit, i > 0 ? sectionOf(document_.chunks[i - 1].section) : ''));
  const facts = [document_.source, document_.mime, document_.author, document_.created_at?.slice(0, 10)].filter((fact) => fact);
  $('source-facts').textContent = [...facts, `${document_.n_chunks} ${document_.n_chunks === 1 ? 'passage' : 'passages'}`].join(' · ');
  $('source-chunks').replaceChildren(...chunks);
  $('source-chunks').querySelector('.here')?.scrollIntoView({block: 'center'});
}

// steps: {previous, next} each a function, or null at the end of the hits.
export async function open(hit, neighbours) {
  steps = neighbours;
  asked?.abort();
  asked = new AbortController();
  $('source-title').textContent = nameOf(hit);
  $('source-place').textContent = placeOf(hit);
  $('source-facts').textContent = '';
  $('source-copy').textContent = 'Copy';
  $('source-link').hidden = !/^https?:/.test(hit.url ?? '');
  $('source-link').href = $('source-link').hidden ? '' : hit.url;
  $('source-previous').disabled = steps.previous === null;
  $('source-next').disabled = steps.next === null;
  $('source-chunks').replaceChildren(element('li', {className: 'here'}, element('p', {}, hit.text)));
  $('source-chunks').setAttribute('aria-busy', 'true');
  if (!$('source').open)
    $('source').showModal();
  try {
    show(await call(`v1/documents/${encodeURIComponent(hit.doc_id)}`, undefined, asked.signal), hit);
  } catch (error) {
    if (error.name === 'AbortError')
      return;
    $('source-chunks').prepend(element('li', {}, element('p', {className: 'wrong'}, explain(error))));
  }
  $('source-chunks').removeAttribute('aria-busy');
}

export function start(closed) {
  const dialog = $('source');
  dialog.addEventListener('close', () => {
    asked?.abort();
    closed();
  });
  dialog.addEventListener('click', (event) => {
    if (event.target === dialog) // the ground beside it
      dialog.close();
  });
  $('source-close').addEventListener('click', () => dialog.close());
  $('source-previous').addEventListener('click', () => steps.previous?.());
  $('source-next').addEventListener('click', () => steps.next?.());
  dialog.addEventListener('keydown', (event) => {
    const step = {ArrowLeft: steps?.previous, ArrowRight: steps?.next}[event.key];
    if (step && !event.altKey && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      step();
    }
  });
  $('source-copy').addEventListener('click', async () => {
    $('source-copy').textContent = (await copy($('source-place').textContent)) ? 'Copied' : 'Not copied';
    setTimeout(() => ($('source-copy').textContent = 'Copy'), 1500);
  });
}
