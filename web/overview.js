// overview.js - the tiles, the three plots and where the time goes.

import {$, bytes, count, duration, element, percent, span} from './format.js';
import {Plot} from './plot.js';

const RECENT = 5; // seconds over which rates are taken

const plots = {
  throughput: new Plot($('plot-throughput'), {
    title: 'Throughput', floor: 10,
    lines: [{name: 'texts/s', format: count}, {name: 'of them cached', format: count}],
  }),
  latency: new Plot($('plot-latency'), {
    title: 'Latency', floor: 1000,
    lines: [{name: 'median', format: duration}, {name: '99 %', format: duration}],
  }),
  queue: new Plot($('plot-queue'), {
    title: 'Queue', floor: 100,
    lines: [{name: 'tokens waiting', format: count}, {name: 'in flight', format: count, right: true}],
  }),
};

const tiles = new Map();
for (const [id, name] of [['texts', 'texts/s'], ['tokens', 'tokens/s'], ['median', 'median latency'], ['tail', '99 % latency'],
  ['waiting', 'tokens waiting'], ['cached', 'from the cache'], ['memory', 'memory'], ['cpu', 'processor']]) {
  const value = element('dd', {}, '–');
  tiles.set(id, value);
  $('tiles').append(element('div', {}, element('dt', {}, name), value));
}

const PHASES = [['queue_us', 'waiting for a worker'], ['tokenize_us', 'tokenising'], ['compute_us', 'computing'],
  ['read_us', 'reading JSON'], ['write_us', 'writing JSON']];
const phaseParts = PHASES.map(([, name], i) => {
  const bar = element('i', {className: `phase-${i}`}), value = element('b', {}, '–');
  $('phase-bar').append(bar);
  $('phase-legend').append(element('li', {}, element('i', {className: `phase-${i}`}), `${name} `, value));
  return {bar, value};
});

const seconds = new Map(); // number → row by column name, of the last three minutes
let last = null; // the newest status and when it came

export const nextSecond = () => (last === null ? 0 : last.status.history.second);

function remember(history) {
  for (const row of history.seconds) {
    const second = Object.fromEntries(history.columns.map((name, i) => [name, row[i]]));
    seconds.set(second.second, second);
  }
  for (const number of seconds.keys())
    if (number + 180 < history.second)
      seconds.delete(number);
}

function sum(history, n, name) {
  let total = 0;
  for (let i = history.second - n; i < history.second; i++)
    total += seconds.get(i)?.[name] ?? 0;
  return total;
}

function showPlots(history, engine, process) {
  const newest = Math.max(history.second - 1, 0); // the last whole one
  const skipped = plots.queue.second === newest - 2; // polls come a little later than each second: now and then one is left out
  const zeros = {throughput: 0, latency: null, queue: null};
  for (const [name, plot] of Object.entries(plots))
    plot.advance(newest, zeros[name]);
  plots.throughput.fill(0, 0);
  for (const row of history.seconds.map((r) => seconds.get(r[0]))) {
    plots.throughput.set(row.second, [row.n_inputs, row.n_cached]);
    plots.latency.set(row.second, [row.p50_us, row.p99_us]);
  }
  for (const second of skipped ? [newest - 1, newest] : [newest])
    plots.queue.set(second, [engine.queue_tokens, process.n_in_flight]);
  for (const plot of Object.values(plots))
    plot.draw();
}

function showTiles(status, processorShare) {
  const {history, engine, process} = status;
  const n = Math.max(1, Math.min(RECENT, history.second));
  const looked = engine.cache_hits + engine.cache_misses;
  const texts = {
    texts: count(sum(history, n, 'n_inputs') / n),
    tokens: count(sum(history, n, 'n_tokens') / n),
    median: duration(history.window.p50_us),
    tail: duration(history.window.p99_us),
    waiting: count(engine.queue_tokens),
    cached: looked === 0 ? '–' : percent(engine.cache_hits / looked),
    memory: bytes(process.rss_bytes),
    cpu: processorShare === null ? '–' : percent(processorShare),
  };
  for (const [id, text] of Object.entries(texts))
    tiles.get(id).textContent = text;
}

function showPhases(history) {
  const sums = PHASES.map(([name]) => sum(history, 60, name));
  const all = sums.reduce((a, b) => a + b, 0), requests = sum(history, 60, 'n_requests');
  phaseParts.forEach(({bar, value}, i) => {
    bar.style.flexGrow = all === 0 ? 0 : sums[i] / all;
    value.textContent = requests === 0 ? '–' : duration(sums[i] / requests);
  });
}

function showFacts({history, engine, start_s, now_s}) {
  const faults = Object.entries(history.errors).map(([kind, n]) => `${count(n)} ${kind}`).join(', ');
  const facts = [
    ['running for', span(now_s - start_s)],
    ['requests', count(history.totals.n_requests)],
    ['texts', count(history.totals.n_inputs)],
    ['batches filled', engine.n_batch_capacity === 0 ? '–' : percent(engine.n_batch_tokens / engine.n_batch_capacity)],
    ['shared in flight', count(engine.n_shared)],
    ['faults', faults || 'none'], // a line of its own: there may be several kinds
  ];
  $('facts').replaceChildren(...facts.map(([name, value]) =>
    element('div', {className: name === 'faults' ? 'wide' : ''}, element('dt', {}, name), element('dd', {}, value))));
}

// Share of the processors this process may use, since the status before.
function processorShare(status, before) {
  if (before === null || status.start_s !== before.status.start_s)
    return null;
  const us = (status.now_s - before.status.now_s) * 1e6;
  return us <= 0 ? null : (status.process.cpu_us - before.status.process.cpu_us) / us / status.machine.n_cpus;
}

export function show(status) {
  const before = last;
  if (before !== null && status.start_s !== before.status.start_s)
    seconds.clear();
  last = {status};
  remember(status.history);
  showPlots(status.history, status.engine, status.process);
  showTiles(status, processorShare(status, before));
  showPhases(status.history);
  showFacts(status);
}
