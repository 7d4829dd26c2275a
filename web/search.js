// search.js - passages as one types: the query, what narrows it, hits with their highlights and what each leg thought of them.

import {call, explain} from './api.js';
import {$, bytes, count, duration, element} from './format.js';
import {filterOf, marked, nameOf, placeOf, sectionOf} from './passages.js';
import * as source from './source.js';

const PAUSE_MS = 90, LIMIT = 20, FACETS = ['source', 'mime', 'author'];
const LEGS = {bm25: 'words', dense: 'meaning', sparse: 'learned words', multi: 'tokens', rerank: 'reranked'};

let hits = [], asked = null, timer = 0, facts = null, limit = LIMIT;
const chosen = Object.fromEntries(FACETS.map((field) => [field, new Set()]));
const known = Object.fromEntries(FACETS.map((field) => [field, []])); // values of each, as last counted without a choice among them

function stored(name, value) {
  try {
    if (value !== undefined)
      localStorage.setItem(name, value);
    return localStorage.getItem(name);
  } catch {
    return null; // storage is forbidden
  }
}

// ---- hits ----

// Each leg's score as a bar, from the worst to the best of the hits that are shown.
function legRows(hit, ranges) {
  const rows = Object.keys(LEGS).filter((leg) => leg in ranges).map((leg) => {
    const score = hit.scores[leg], [low, high] = ranges[leg];
    const bar = element('i', {className: `leg-${leg}`});
    bar.style.width = score === undefined ? '0' : `${8 + 92 * (high > low ? (score - low) / (high - low) : 1)}%`;
    return element('div', {className: 'leg'}, element('dt', {}, LEGS[leg]), element('dd', {},
      element('span', {className: 'track', 'aria-hidden': 'true'}, bar),
      element('b', {}, score === undefined ? '–' : `#${hit.ranks[leg]}`),
      element('span', {className: 'muted'}, score === undefined ? 'not found' : score.toPrecision(3).replace('-', '−'))));
  });
  return element('dl', {className: 'legs'}, ...rows);
}

function rangesOf(list) {
  const ranges = {};
  for (const {scores} of list)
    for (const [leg, score] of Object.entries(scores))
      if (leg in LEGS)
        ranges[leg] = [Math.min(score, ranges[leg]?.[0] ?? score), Math.max(score, ranges[leg]?.[1] ?? score)];
  return ranges;
}

function openHit(i) {
  const at = (k) => (k >= 0 && k < hits.length ? () => openHit(k) : null);
  for (const button of $('hits').querySelectorAll('.hit'))
    button.classList.toggle('opened', Number(button.dataset.at) === i);
  source.open(hits[i], {previous: at(i - 1), next: at(i + 1)});
}

function hitElement(hit, i, ranges) {
  const section = sectionOf(hit.section);
  const button = element('button', {type: 'button', className: 'hit', tabIndex: i === 0 ? 0 : -1},
    element('span', {className: 'hit-head'}, element('b', {}, nameOf(hit)), ...(section !== '' ? [element('small', {}, section)] : [])),
    element('span', {className: 'snippet'}, ...marked(hit.snippet, hit.highlights)),
    element('span', {className: 'hit-foot'},
      ...[placeOf(hit), hit.source, hit.author, hit.created_at?.slice(0, 10)].filter((fact) => fact).map((fact) => element('span', {}, fact))));
  button.dataset.at = i;
  button.addEventListener('click', () => openHit(i));
  return element('li', {}, button, ...($('scores').checked ? [legRows(hit, ranges)] : []));
}

function showHits() {
  const ranges = rangesOf(hits);
  $('hits').replaceChildren(...hits.map((hit, i) => hitElement(hit, i, ranges)));
}

// ---- facets ----

const KINDS = {'text/markdown': 'Markdown', 'text/plain': 'Text', 'text/html': 'HTML', 'application/pdf': 'PDF', 'text/csv': 'CSV',
  'application/json': 'JSON', 'application/epub+zip': 'EPUB', 'application/vnd.openxmlformats-officedocument.wordprocessingml.document': 'Word',
  'application/vnd.openxmlformats-officedocument.presentationml.presentation': 'Slides'};

const kindOf = (mime) => KINDS[mime] ?? mime.replace(/^(text|application)\/(x-)?/, '').replace(/^./, (letter) => letter.toUpperCase());
const shown = (field, value) => (field !== 'mime' ? value : kindOf(value));

function facetElement(field) {
  const boxes = known[field].slice(0, 12).map(({value, n}) => {
    const box = element('input', {type: 'checkbox', checked: chosen[field].has(value)});
    box.addEventListener('change', () => {
      chosen[field][box.checked ? 'add' : 'delete'](value);
      limit = LIMIT;
      search();
    });
    return element('li', {}, element('label', {}, box, element('span', {title: value}, shown(field, value)), element('small', {className: 'muted'}, count(n))));
  });
  return element('fieldset', {}, element('legend', {}, {source: 'Source', mime: 'Kind', author: 'Author'}[field]), element('ul', {}, ...boxes));
}

function showFacets(facets) {
  for (const field of FACETS)
    if (chosen[field].size === 0)
      known[field] = (facets[field] ?? []).filter(({value}) => value !== '');
  const focus = document.activeElement?.closest('#facets') ? document.activeElement.nextSibling?.title : null;
  $('facets').replaceChildren(...FACETS.filter((field) => known[field].length > 1 || chosen[field].size > 0).map(facetElement));
  if (focus !== null) // the box that was just ticked is another element now
    [...$('facets').querySelectorAll('input')].find((box) => box.nextSibling.title === focus)?.focus();
}

const anyChosen = () => FACETS.some((field) => chosen[field].size > 0);

function forgetChosen() {
  for (const field of FACETS)
    chosen[field].clear();
  search();
}

// ---- states ----

function say(kind, ...children) {
  $('search-state').replaceChildren(...(children.length > 0 ? [element('div', {className: kind}, ...children)] : []));
}

function sayIdle() {
  hits = [];
  showHits();
  $('facets').replaceChildren();
  $('more').hidden = true;
  $('search-status').textContent = '';
  if (facts === null)
    say('empty', 'Asking what is indexed …');
  else if (facts.n_documents === 0)
    say('empty', element('p', {}, 'Nothing is indexed yet. Point Heddle at a folder:'),
      element('pre', {}, `heddle index --db ${facts.path} ~/notes`), element('p', {}, 'or send documents to ', element('code', {}, 'POST /v1/documents'), '.'));
  else
    say('empty', element('p', {className: 'big'}, `${facts.n_chunks.toLocaleString('en')} passages of ${facts.n_documents.toLocaleString('en')} documents`),
      element('p', {}, [facts.model ?? 'words alone', bytes(facts.file_bytes), facts.path].join(' · ')),
      element('p', {className: 'keys-help'}, element('kbd', {}, '/'), ' to type, ', element('kbd', {}, '↓'), element('kbd', {}, '↑'), ' to move, ',
        element('kbd', {}, 'Enter'), ' to open, ', element('kbd', {}, 'Esc'), ' to go back'));
}

function sayNothing(query) {
  const again = element('button', {type: 'button'}, 'Search everything');
  again.addEventListener('click', forgetChosen);
  say('empty', element('p', {}, `No passage answers “${query}”${anyChosen() ? ' within these filters' : ''}.`), ...(anyChosen() ? [again] : []));
}

function sayWrong(error) {
  const again = element('button', {type: 'button'}, 'Try again');
  again.addEventListener('click', search);
  say('wrong', element('p', {}, explain(error)), again);
}

// ---- asking ----

function show(answer, query) {
  hits = answer.hits;
  say('');
  showHits();
  showFacets(answer.facets);
  if (hits.length === 0)
    sayNothing(query);
  $('more').hidden = hits.length < limit || limit >= 200;
  $('search-status').textContent = hits.length === 0 ? '' : `${hits.length} of ${count(answer.n_matching)} passages, ${duration(1000 * answer.total_ms)}`;
  $('search-status').title = Object.entries(answer.legs).map(([leg, {n, ms}]) => `${LEGS[leg]}: ${n} in ${ms} ms`).join(', ');
  $('search-warning').textContent = answer.warning ?? '';
}

async function search() {
  clearTimeout(timer);
  asked?.abort();
  asked = null;
  const query = $('query').value.trim();
  remember(query);
  $('search').removeAttribute('aria-busy');
  if (query === '') {
    sayIdle();
    return;
  }
  const mine = (asked = new AbortController());
  const filter = filterOf(chosen);
  const mode = document.querySelector('input[name=mode]:checked').value;
  $('search').setAttribute('aria-busy', 'true');
  try {
    const answer = await call('v1/search', {query, mode, limit, facets: FACETS, snippet_bytes: 320,
      ...(filter !== '' ? {filter} : {}), ...($('rerank').checked && !$('rerank').disabled ? {rerank: true} : {})}, mine.signal);
    if (mine === asked)
      show(answer, query);
  } catch (error) {
    if (mine === asked && error.name !== 'AbortError')
      sayWrong(error);
  } finally {
    if (mine === asked)
      $('search').removeAttribute('aria-busy');
  }
}

function later() {
  limit = LIMIT;
  clearTimeout(timer);
  timer = setTimeout(search, PAUSE_MS);
}

// ---- the address: #search?q=… ----

const queryOf = (hash) => new URLSearchParams(hash.split('?')[1] ?? '').get('q') ?? '';

function remember(query) {
  const hash = query === '' ? '#search' : `#search?q=${encodeURIComponent(query)}`;
  if (document.documentElement.dataset.view === 'search' && location.hash !== hash && (query !== '' || location.hash !== ''))
    history.replaceState(null, '', hash);
}

// The page is either what searches or what tells of the server.
export function view() {
  const searching = facts !== null && (location.hash.startsWith('#search') || location.hash === '' || location.hash === '#');
  const changed = document.documentElement.dataset.view !== (searching ? 'search' : 'server');
  document.documentElement.dataset.view = searching ? 'search' : 'server';
  $('search-link').setAttribute('aria-current', searching ? 'page' : 'false');
  if (!searching)
    return;
  if (changed && document.activeElement === document.body && matchMedia('(hover: hover)').matches)
    $('query').focus();
  const query = queryOf(location.hash);
  if (query !== $('query').value.trim() && location.hash.includes('?')) {
    $('query').value = query;
    search();
  }
}

// ---- keys ----

function move(step) {
  const buttons = [...$('hits').querySelectorAll('.hit')];
  const at = buttons.indexOf(document.activeElement), next = at + step;
  if (next < 0) {
    $('query').focus();
    return;
  }
  if (buttons[next] === undefined)
    return;
  buttons[Math.max(at, 0)].tabIndex = -1;
  buttons[next].tabIndex = 0;
  buttons[next].focus();
  buttons[next].scrollIntoView({block: 'nearest'});
}

function onKey(event) {
  const inField = event.target.closest('input, textarea, select') !== null;
  if (document.documentElement.dataset.view !== 'search' || event.altKey || event.ctrlKey || event.metaKey || $('source').open)
    return;
  const inHits = event.target.closest('#hits, #query') !== null;
  if (event.key === '/' && !inField) {
    event.preventDefault();
    $('query').focus();
    $('query').select();
  } else if (inHits && (event.key === 'ArrowDown' || event.key === 'ArrowUp')) {
    event.preventDefault();
    move(event.key === 'ArrowDown' ? 1 : -1);
  } else if (event.key === 'Escape' && event.target.closest('#hits')) {
    $('query').focus();
  } else if (event.key === 'Enter' && event.target === $('query')) {
    event.preventDefault();
    search();
  }
}

// ---- both ----

// What is indexed, asked for when the status says that there is an index and now and then after.
export async function offer(hasIndex) {
  $('search-link').hidden = !hasIndex;
  if (!hasIndex || (facts !== null && Date.now() - facts.asked < 10000))
    return;
  const first = facts === null;
  facts = {...(facts ?? {n_documents: 0, n_chunks: 0, file_bytes: 0, path: '', model: null, legs: []}), asked: Date.now()};
  try {
    facts = {...await call('v1/index'), asked: Date.now()};
  } catch {
    if (first)
      facts = null;
    return;
  }
  $('rerank').disabled = !facts.legs.includes('rerank') && !facts.legs.includes('multi');
  $('rerank-choice').hidden = $('rerank').disabled;
  for (const input of document.querySelectorAll('input[name=mode]'))
    input.parentElement.hidden = input.value !== 'hybrid' && !facts.legs.includes(input.value);
  document.querySelector('input[value=hybrid] + span').textContent = facts.legs.includes('sparse') ? 'All' : 'Both';
  if (first)
    view();
  if ($('query').value.trim() === '')
    sayIdle();
}

export function start() {
  $('scores').checked = stored('heddle-scores') === 'yes';
  $('scores').addEventListener('change', () => {
    stored('heddle-scores', $('scores').checked ? 'yes' : 'no');
    showHits();
  });
  $('query').addEventListener('input', later);
  $('query-form').addEventListener('submit', (event) => event.preventDefault());
  for (const input of [...document.querySelectorAll('input[name=mode]'), $('rerank')])
    input.addEventListener('change', search);
  $('more').addEventListener('click', () => {
    limit += LIMIT;
    search();
  });
  document.addEventListener('keydown', onKey);
  addEventListener('hashchange', view);
  source.start(() => $('hits').querySelector('.opened')?.focus());
}
