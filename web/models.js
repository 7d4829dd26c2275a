// models.js - a card for each model, one for the device, the settings.

import {$, bytes, count, element} from './format.js';

const facts = (rows) => element('dl', {className: 'facts'},
  ...rows.map(([name, value]) => element('div', {}, element('dt', {}, name), element('dd', {}, value))));

const ofVectors = (model) => (!model.heads.includes('dense') ? [] : [
  ['dimensions', count(model.n_dimensions)],
  ['pooling', model.pooling],
  ['similarity', model.similarity],
]);

function card(model) {
  return element('li', {className: 'panel'},
    element('header', {},
      element('h3', {className: 'name'}, model.name),
      element('span', {className: 'pill', 'data-state': model.state}, model.state)),
    element('p', {className: 'path muted small'}, model.path),
    facts([
      ['kind', model.architecture],
      ['type', model.dtype],
      ['gives', model.heads.join(', ')],
      ['max tokens', count(model.max_length)],
      ['layers', `${model.n_layers} × ${count(model.hidden_size)}`],
      ...ofVectors(model),
      ['memory', model.state === 'loaded' ? bytes(model.weights_bytes) : 'none'],
    ]));
}

function meter(name, parts, whole, text) {
  const bar = element('div', {className: 'stack', 'aria-hidden': 'true'});
  let left = whole;
  for (const [value, kind] of parts) {
    const part = element('i', {className: kind});
    part.style.flexGrow = whole === 0 ? 0 : value / whole;
    left -= value;
    bar.append(part);
  }
  const rest = element('i', {className: 'rest'});
  rest.style.flexGrow = whole === 0 ? 1 : Math.max(0, left / whole);
  bar.append(rest);
  return element('div', {className: 'meter'}, element('p', {}, element('span', {}, name), element('b', {}, text)), bar);
}

function gpu({name, hardware, driver, up, memory_bytes, free_bytes, used_bytes, n_texts, n_batches, n_failures, ...felt}) {
  const rows = [['texts', count(n_texts)], ['batches', count(n_batches)], ['failures', count(n_failures)]];
  if (felt.utilisation_percent !== undefined) rows.push(['busy', `${felt.utilisation_percent} %`]);
  if (felt.temperature_c !== undefined) rows.push(['temperature', `${felt.temperature_c} °C`]);
  if (felt.clock_mhz !== undefined) rows.push(['clock', `${felt.clock_mhz} MHz`]);
  const others = Math.max(0, memory_bytes - free_bytes - used_bytes);
  return [
    element('header', {}, element('h3', {className: 'name'}, hardware),
      element('span', {className: 'pill', 'data-state': up ? 'loaded' : 'failed'}, up ? name : `${name} down`)),
    element('p', {className: 'muted small'}, driver),
    meter('memory of the GPU', [[used_bytes, 'phase-2'], [others, 'phase-0']], memory_bytes,
      `${bytes(used_bytes)} of ${bytes(memory_bytes)}, ${bytes(free_bytes)} free`),
    facts(rows),
  ];
}

function device({device, gpus, machine, engine, process}) {
  const used = machine.memory_bytes - machine.memory_free_bytes;
  return [
    ...gpus.flatMap(gpu),
    element('header', {}, element('h3', {className: 'name'}, machine.cpu), element('span', {className: 'pill', 'data-state': 'loaded'}, 'cpu')),
    element('p', {className: 'muted small'}, device),
    meter('this process', [[process.rss_bytes, 'phase-2']], machine.memory_bytes,
      `${bytes(process.rss_bytes)} of ${bytes(machine.memory_bytes)}`),
    meter('whole machine', [[used, 'phase-0']], machine.memory_bytes, `${bytes(machine.memory_free_bytes)} free`),
    facts([
      ['workers', count(engine.n_threads)],
      ['models loaded', count(engine.n_models_loaded)],
      ['weights', bytes(engine.weights_bytes)],
      ['batches', bytes(engine.scratch_bytes)],
      ['vector cache', bytes(engine.cache_used_bytes)],
      ['vectors in it', count(engine.cache_entries)],
    ]),
  ];
}

let shown = '';

// Only what changed is drawn again, so that a selection or the focus is not lost each second.
export function show(status) {
  const models = JSON.stringify(status.models);
  if (models !== shown) {
    $('model-cards').replaceChildren(...status.models.map(card));
    shown = models;
  }
  $('device').replaceChildren(...device(status));
  const list = $('setting-list');
  const rows = status.settings.map(({name, value}) => element('div', {}, element('dt', {}, name), element('dd', {}, value)));
  if (list.textContent !== rows.map((row) => row.textContent).join(''))
    list.replaceChildren(...rows);
}
