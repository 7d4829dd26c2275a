// playground.js - compare texts by their vectors; see a text as the model's tokens.

import {call, explain} from './api.js';
import {$, count, duration, element} from './format.js';
import {roving, tabs} from './tabs.js';

const MAX_TEXTS = 24; // more than that nobody reads in a table
let model = null; // {name, max_length}; null: not known yet
let several = false;

export const modelName = () => model?.name ?? 'model';

const withModel = (body) => (several && model !== null ? {...body, model: model.name} : body);

// ---- compare ----

export function cosine(a, b) {
  let ab = 0, aa = 0, bb = 0;
  for (let i = 0; i < a.length; i++) {
    ab += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
  }
  return aa === 0 || bb === 0 ? 0 : ab / Math.sqrt(aa * bb);
}

const message = (text, kind = 'empty') => element('p', {className: kind}, text);

function table(texts, cosines) {
  const n = texts.length, cells = [];
  const head = element('tr', {}, element('td', {}), ...texts.map((text, j) => element('th', {scope: 'col', title: text}, String(j + 1))));
  const rows = texts.map((text, i) => element('tr', {},
    element('th', {scope: 'row', title: text}, element('b', {}, String(i + 1)), element('span', {}, text)),
    ...texts.map((_, j) => {
      const value = cosines[i][j];
      const cell = element('td', {}, value.toFixed(2).replace('-', '−'));
      cell.style.setProperty('--heat', `${Math.round(100 * Math.max(0, Math.min(1, value)))}%`);
      cell.addEventListener('pointerenter', () => tell(i, j));
      cell.addEventListener('focus', () => tell(i, j));
      cells.push(cell);
      return cell;
    })));

  function tell(i, j) {
    $('pair').replaceChildren(element('b', {}, cosines[i][j].toFixed(4)), ` “${texts[i]}” and `, i === j ? 'itself' : `“${texts[j]}”`);
  }

  roving(cells, (key, at) => {
    const column = at % n;
    return {ArrowUp: at - n, ArrowDown: at + n, ArrowLeft: column > 0 ? at - 1 : -1, ArrowRight: column < n - 1 ? at + 1 : -1}[key];
  });
  return element('div', {className: 'scroll'},
    element('table', {}, element('caption', {}, 'Cosine of each two texts'), element('thead', {}, head), element('tbody', {}, ...rows)));
}

function closest(texts, cosines) {
  let best = [0, 1];
  for (let i = 0; i < texts.length; i++)
    for (let j = i + 1; j < texts.length; j++)
      if (cosines[i][j] > cosines[best[0]][best[1]])
        best = [i, j];
  return best;
}

async function compare() {
  const texts = $('texts').value.split('\n').map((line) => line.trim()).filter((line) => line !== '');
  $('pair').replaceChildren();
  if (texts.length < 2 || texts.length > MAX_TEXTS) {
    $('heat').replaceChildren(message(`Between 2 and ${MAX_TEXTS} texts can be compared here; these are ${texts.length}.`));
    return;
  }
  $('compare').disabled = true;
  $('heat').setAttribute('aria-busy', 'true');
  try {
    const begin = performance.now();
    const reply = await call('v1/embeddings', {model: modelName(), input: texts, encoding_format: 'float'});
    const us = 1000 * (performance.now() - begin);
    const vectors = reply.data.map((row) => row.embedding);
    const cosines = vectors.map((a) => vectors.map((b) => cosine(a, b)));
    $('heat').replaceChildren(table(texts, cosines));
    const [i, j] = closest(texts, cosines);
    $('pair').replaceChildren(element('b', {}, 'Closest: '), `${i + 1} and ${j + 1}, at ${cosines[i][j].toFixed(4)}. `,
      element('span', {className: 'muted'}, `${texts.length} texts, ${count(reply.usage.total_tokens)} tokens, ` +
        `${vectors[0].length} dimensions, ${duration(us)} there and back.`));
  } catch (error) {
    $('heat').replaceChildren(message(explain(error), 'wrong'));
  } finally {
    $('compare').disabled = false;
    $('heat').removeAttribute('aria-busy');
  }
}

// ---- tokens ----

const decoder = new TextDecoder();
const inWord = /^[\p{L}\p{N}\p{M}]/u, endsWord = /[\p{L}\p{N}\p{M}]$/u;

// Offsets count bytes of UTF-8, and begin before the text where the model has a prompt of its own. A token is a piece when it
// goes on, without a gap, in the word that the token before it began.
export function kinds(text, tokens) {
  const utf8 = new TextEncoder().encode(text);
  const slice = (begin, end) => decoder.decode(utf8.subarray(begin, end));
  let before = null;
  return tokens.map((token) => {
    if (token.special || token.start === null || token.stop === null) {
      before = null;
      return {...token, kind: 'special', shown: token.text};
    }
    const shown = token.text;
    const goesOn = before !== null && before.stop === token.start && endsWord.test(before.shown) && inWord.test(shown);
    before = {stop: token.stop, shown};
    const begin = slice(token.start, token.stop) === shown ? [...slice(0, token.start)].length : null;
    return {...token, kind: goesOn ? 'piece' : 'word', shown, begin, end: begin === null ? null : begin + [...shown].length};
  });
}

function describe(token) {
  if (token.kind === 'special')
    return `“${token.shown}” is id ${token.id}: added by the model`;
  const characters = token.begin === null ? '' : `characters ${token.begin}–${token.end}, `;
  return `“${token.shown}” is id ${token.id}: ${characters}bytes ${token.start}–${token.stop}` +
    (token.kind === 'piece' ? ', goes on in the word before it' : '');
}

function chip(token) {
  const item = element('li', {className: token.kind, title: describe(token)},
    element('span', {}, token.shown.replaceAll(/\s/g, '␣')), element('small', {}, String(token.id)));
  for (const type of ['pointerenter', 'focus'])
    item.addEventListener(type, () => ($('token').textContent = describe(token)));
  return item;
}

let asked = null; // what aborts the question before

async function tokenize() {
  asked?.abort();
  asked = new AbortController();
  const text = $('token-text').value;
  $('token').textContent = '';
  if (text === '') {
    $('tokens').replaceChildren();
    $('token-count').textContent = 'Nothing to tokenise yet.';
    return;
  }
  try {
    const [answer] = await call('tokenize', withModel({inputs: text, add_special_tokens: $('specials').checked}), asked.signal);
    const chips = kinds(text, answer).map(chip);
    $('tokens').replaceChildren(...chips);
    roving(chips, (key, at) => ({ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: chips.length - 1}[key]));
    const characters = [...text].length;
    $('token-count').textContent = `${count(answer.length)} tokens` +
      (model === null ? '' : ` of the ${count(model.max_length)} that the model takes`) +
      (answer.length === 0 ? '' : `; ${count(characters)} characters, ${(characters / answer.length).toFixed(1)} to a token`);
  } catch (error) {
    if (error.name === 'AbortError')
      return;
    $('tokens').replaceChildren();
    $('token-count').textContent = explain(error);
  }
}

// ---- both ----

function later(ms, run) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(run, ms);
  };
}

export function start(modelChanged) {
  tabs($('playground').querySelector('[role=tablist]'), (tab) => {
    for (const pane of ['compare', 'tokens'])
      $(`pane-${pane}`).hidden = tab.id !== `tab-${pane}`;
    if (tab.id === 'tab-tokens')
      tokenize();
  });
  $('compare').addEventListener('click', compare);
  $('texts').addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey))
      compare();
  });
  $('token-text').addEventListener('input', later(200, tokenize));
  $('specials').addEventListener('change', tokenize);
  $('model').addEventListener('change', () => {
    model = models.find(({name}) => name === $('model').value);
    if (!$('pane-tokens').hidden)
      tokenize();
    modelChanged();
  });
}

let models = [];

// The models there are; the first is the default.
export function offer(list, modelChanged) {
  const names = list.map(({name}) => name);
  if (model !== null && names.join('\n') === models.map(({name}) => name).join('\n'))
    return;
  models = list;
  several = list.length > 1;
  model = list.find(({name}) => name === model?.name) ?? list[0] ?? null;
  $('model').replaceChildren(...names.map((name) => element('option', {value: name, selected: name === model?.name}, name)));
  $('model-choice').hidden = !several;
  modelChanged();
}
