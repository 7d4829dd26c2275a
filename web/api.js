// api.js - calls to this server. Addresses are relative to the page, so that a proxy may serve it below a prefix.

export const base = new URL('.', document.baseURI).href.replace(/\/$/, '');

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

let key = '';
try {
  key = sessionStorage.getItem('heddle-key') ?? '';
} catch {
  // storage is forbidden: the key holds until the page is left
}

export const getKey = () => key;

export function setKey(value) {
  key = value;
  try {
    sessionStorage.setItem('heddle-key', value);
  } catch {
    // as above
  }
}

// What each protocol calls the text of an error.
function messageOf(text, status) {
  try {
    const body = JSON.parse(text);
    const message = body.error?.message ?? body.error ?? body.message ?? body.detail;
    if (typeof message === 'string' && message !== '')
      return message;
  } catch {
    // not JSON
  }
  return text.trim().slice(0, 300) || `The server answered ${status}.`;
}

// GET without a body, POST with one; the answer's JSON. Throws Refused, or TypeError when nobody answers.
export async function call(path, body, signal) {
  const headers = key === '' ? {} : {Authorization: `Bearer ${key}`};
  if (body !== undefined)
    headers['Content-Type'] = 'application/json';
  const response = await fetch(`${base}/${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    cache: 'no-store',
    signal,
  });
  if (!response.ok)
    throw new Refused(response.status, messageOf(await response.text(), response.status));
  return response.json();
}

export function explain(error) {
  if (error instanceof Refused && error.status === 401)
    return 'The server asks for a key: give one with “Key” at the top.';
  return error instanceof Refused ? error.message : 'The server does not answer.';
}
