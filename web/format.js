// format.js - numbers for people, and small pieces of the document.

const digits = (value, n) => value.toLocaleString('en', {maximumFractionDigits: n, minimumFractionDigits: n});

// 0, 4.2, 37, 1,280, 12.4k, 3.1M
export function count(value) {
  if (value >= 1e9)
    return `${digits(value / 1e9, 1)}G`;
  if (value >= 1e6)
    return `${digits(value / 1e6, 1)}M`;
  if (value >= 1e4)
    return `${digits(value / 1e3, 1)}k`;
  return digits(value, value > 0 && value < 10 && !Number.isInteger(value) ? 1 : 0);
}

// Microseconds: 340 µs, 2.41 ms, 1.2 s
export function duration(us) {
  if (us === null)
    return '–';
  if (us < 1000)
    return `${digits(us, 0)} µs`;
  if (us < 1e6)
    return `${digits(us / 1e3, us % 1000 === 0 || us >= 1e5 ? 0 : us < 1e4 ? 2 : 1)} ms`;
  return `${digits(us / 1e6, us % 1e6 === 0 ? 0 : us < 1e7 ? 2 : 1)} s`;
}

export function bytes(n) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let i = 0;
  for (; n >= 1024 && i < units.length - 1; i++)
    n /= 1024;
  return `${digits(n, i > 0 && n < 10 ? 1 : 0)} ${units[i]}`;
}

export const percent = (share) => `${digits(100 * share, share > 0 && share < 0.1 ? 1 : 0)} %`;

// 42 s, 3 min, 5 h 12 min, 4 d 3 h
export function span(s) {
  if (s < 120)
    return `${Math.floor(s)} s`;
  const minutes = Math.floor(s / 60), hours = Math.floor(minutes / 60);
  if (minutes < 120)
    return `${minutes} min`;
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export const $ = (id) => document.getElementById(id);

// An element with properties and children: strings are text, never markup.
export function element(name, properties = {}, ...children) {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in e)
      e[key] = value;
    else
      e.setAttribute(key, value);
  }
  e.append(...children);
  return e;
}
