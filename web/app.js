// app.js - asks for the status each second while the page can be seen, and shows it.

import {call, getKey, Refused, setKey} from './api.js';
import {$} from './format.js';
import * as models from './models.js';
import * as overview from './overview.js';
import * as playground from './playground.js';
import * as search from './search.js';
import * as snippets from './snippets.js';

const PERIOD_MS = 1000, LONGEST_MS = 15000;

let timer = 0, failures = 0;

function say(state, text) {
  if ($('state-text').textContent !== text) // it is read aloud when it changes
    $('state-text').textContent = text;
  $('state').dataset.state = state;
}

function alertAbout(text) {
  $('alert').hidden = text === null;
  if (text !== null && $('alert').textContent !== text)
    $('alert').textContent = text;
}

function showKeys(shown, focus) {
  $('key-form').hidden = !shown;
  $('key-button').setAttribute('aria-expanded', String(shown));
  if (shown && focus)
    $('key').focus();
}

function show(status) {
  document.documentElement.classList.remove('stale');
  $('version').textContent = status.version;
  say(status.ready ? 'ready' : 'waiting', status.ready ? 'ready' : 'not ready yet');
  alertAbout(null);
  overview.show(status);
  models.show(status);
  playground.offer(status.models, snippets.show);
  search.offer(status.index);
}

function fail(error) {
  document.documentElement.classList.add('stale');
  if (error instanceof Refused && error.status === 401) {
    say('refused', 'key needed');
    if ($('key-form').hidden)
      showKeys(true, document.activeElement === document.body);
    alertAbout(getKey() === '' ? 'This server asks for a key.' : 'The server does not take this key.');
    return;
  }
  failures++;
  say('lost', 'not connected');
  alertAbout(error instanceof Refused ? `No status: ${error.message}` : 'The server does not answer. What you see is the last that it said; this page keeps trying.');
}

async function poll() {
  clearTimeout(timer);
  try {
    show(await call(`page/status?since=${overview.nextSecond()}`, undefined, AbortSignal.timeout(10000)));
    failures = 0;
  } catch (error) {
    fail(error);
  }
  clearTimeout(timer);
  if (!document.hidden)
    timer = setTimeout(poll, Math.min(LONGEST_MS, PERIOD_MS * 2 ** Math.min(failures, 4)));
}

$('key-button').addEventListener('click', () => showKeys($('key-form').hidden, true));
$('key-form').addEventListener('submit', (event) => {
  event.preventDefault();
  setKey($('key').value.trim());
  showKeys(false);
  snippets.show();
  poll();
});
$('key-forget').addEventListener('click', () => {
  $('key').value = '';
  setKey('');
  snippets.show();
  poll();
});
$('key').value = getKey();
document.addEventListener('visibilitychange', () => {
  if (!document.hidden)
    poll();
});

playground.start(snippets.show);
search.start();
snippets.start();
poll();
