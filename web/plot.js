// plot.js - a small plot of the last two minutes, drawn as SVG: lines, an area under the first one, a cursor that follows the
// pointer or the arrow keys. Colours come from the style sheet (.line-0, .line-1).

import {element} from './format.js';

const SECONDS = 120;
const LEFT = 52, TOP = 8, BOTTOM = 20;
const SVG = 'http://www.w3.org/2000/svg';

function svg(name, attributes, parent, text) {
  const e = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes))
    e.setAttribute(key, value);
  if (text !== undefined)
    e.textContent = text;
  parent?.append(e);
  return e;
}

// The smallest of 1, 2, 5 times a power of ten that is not below the value.
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 5, 10].find((step) => step * power >= value * 0.999999);
}

export class Plot {
  // lines: [{name, format, right?}] where `right` has the scale at the right-hand side.
  constructor(figure, {title, lines, floor}) {
    this.lines = lines;
    this.floor = floor; // the left scale never ends below it
    this.right = lines.some((line) => line.right) ? 44 : 10; // room there
    this.values = lines.map(() => new Array(SECONDS).fill(null));
    this.second = 0; // the newest
    this.cursor = null; // seconds ago
    this.title = title;
    this.readings = lines.map((line, i) => element('b', {className: `reading-${i}`}, '–'));
    this.when = element('small', {}, 'now');
    figure.append(
      element('figcaption', {}, element('h3', {}, title, ' ', this.when),
        element('span', {className: 'readings'},
          ...lines.map((line, i) => element('span', {className: `key-${i}`}, this.readings[i], ` ${line.name}`)))));
    this.svg = svg('svg', {role: 'img', tabindex: '0', class: 'plot'}, figure);
    new ResizeObserver(() => this.draw()).observe(this.svg);
    this.svg.addEventListener('pointermove', (event) => {
      const box = this.svg.getBoundingClientRect();
      const share = (event.clientX - box.left - LEFT) / (box.width - LEFT - this.right);
      this.point(Math.round((1 - share) * (SECONDS - 1)));
    });
    this.svg.addEventListener('pointerleave', () => this.point(null));
    this.svg.addEventListener('blur', () => this.point(null));
    this.svg.addEventListener('keydown', (event) => this.key(event));
  }

  key(event) {
    const steps = {ArrowLeft: 1, ArrowRight: -1, PageUp: 10, PageDown: -10};
    if (event.key in steps)
      this.point((this.cursor ?? 0) + steps[event.key]);
    else if (event.key === 'Home' || event.key === 'End')
      this.point(event.key === 'Home' ? SECONDS - 1 : 0);
    else if (event.key === 'Escape')
      this.point(null);
    else
      return;
    event.preventDefault();
  }

  point(ago) {
    this.cursor = ago === null ? null : Math.max(0, Math.min(SECONDS - 1, ago));
    this.draw();
  }

  // Moves the newest second to `second`; what nothing is known of is `empty` (null: a gap).
  advance(second, empty) {
    if (second < this.second) // another server
      this.values = this.lines.map(() => new Array(SECONDS).fill(null));
    const steps = second < this.second || this.second === 0 ? 0 : Math.min(second - this.second, SECONDS);
    for (const row of this.values) {
      row.splice(0, steps);
      row.push(...new Array(steps).fill(empty));
    }
    this.second = second;
  }

  set(second, values) {
    const at = SECONDS - 1 - (this.second - second);
    if (at >= 0 && at < SECONDS)
      values.forEach((value, i) => (this.values[i][at] = value));
  }

  // Everything since the server started that nobody told of was nothing.
  fill(first, empty) {
    for (const row of this.values)
      for (let i = 0; i < SECONDS; i++)
        if (row[i] === null && this.second - (SECONDS - 1 - i) >= first)
          row[i] = empty;
  }

  top(i) {
    const rows = this.values.filter((_, j) => Boolean(this.lines[j].right) === Boolean(this.lines[i].right));
    return roundUp(Math.max(this.lines[i].right ? 10 : this.floor, ...rows.flat().map((v) => v ?? 0)));
  }

  path(row, x, y) {
    let path = '', down = false;
    row.forEach((value, i) => {
      if (value !== null)
        path += `${down ? 'L' : 'M'}${x(i).toFixed(1)},${y(value).toFixed(1)}`;
      else
        down = false;
      down = value !== null;
    });
    return path;
  }

  draw() {
    const width = this.svg.clientWidth, height = this.svg.clientHeight;
    if (width <= LEFT + this.right)
      return;
    const x = (i) => LEFT + (i / (SECONDS - 1)) * (width - LEFT - this.right);
    const scale = (top) => (v) => TOP + (1 - v / top) * (height - TOP - BOTTOM);
    const base = height - BOTTOM, right = this.lines.findIndex((line) => line.right);
    this.svg.replaceChildren();
    this.svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
    for (const share of [0, 0.5, 1]) {
      const y = scale(1)(share);
      svg('line', {x1: LEFT, x2: width - this.right, y1: y, y2: y, class: share === 0 ? 'axis' : 'grid'}, this.svg);
      svg('text', {x: LEFT - 8, y: y + 4, 'text-anchor': 'end'}, this.svg, this.lines[0].format(share * this.top(0)));
      if (right >= 0)
        svg('text', {x: width - this.right + 8, y: y + 4, class: `scale-${right}`}, this.svg, this.lines[right].format(share * this.top(right)));
    }
    for (const [ago, text, anchor] of [[SECONDS - 1, '2 min ago', 'start'], [60, '1 min', 'middle'], [0, 'now', 'end']])
      svg('text', {x: x(SECONDS - 1 - ago), y: height - 4, 'text-anchor': anchor}, this.svg, text);
    this.values.forEach((row, i) => {
      const y = scale(this.top(i)), path = this.path(row, x, y), first = row.findIndex((v) => v !== null);
      if (i === 0 && first >= 0 && !row.includes(null, first))
        svg('path', {d: `${path}V${base}H${x(first)}Z`, class: 'area'}, this.svg);
      svg('path', {d: path, class: `line line-${i}`}, this.svg);
      row.forEach((v, j) => { // a second between two gaps has no line
        if (v !== null && (row[j - 1] ?? null) === null && (row[j + 1] ?? null) === null)
          svg('circle', {cx: x(j), cy: y(v), r: 1.6, class: `spot-${i}`}, this.svg);
      });
    });
    this.read(x, scale, base);
  }

  // The numbers beside the title: those under the cursor, else the newest.
  read(x, scale, base) {
    const ago = this.cursor ?? 0, at = SECONDS - 1 - ago;
    const texts = this.values.map((row, i) => (row[at] === null ? '–' : this.lines[i].format(row[at])));
    texts.forEach((text, i) => (this.readings[i].textContent = text));
    this.when.textContent = this.cursor === null ? 'now' : `${ago} s ago`;
    this.svg.setAttribute('aria-label', `${this.title}, ${this.when.textContent}: ` +
      texts.map((text, i) => `${text} ${this.lines[i].name}`).join(', ') + '. Arrow keys look back.');
    if (this.cursor === null)
      return;
    svg('line', {x1: x(at), x2: x(at), y1: TOP, y2: base, class: 'cursor'}, this.svg);
    this.values.forEach((row, i) => {
      if (row[at] !== null)
        svg('circle', {cx: x(at), cy: scale(this.top(i))(row[at]), r: 3, class: `spot-${i}`}, this.svg);
    });
  }
}
