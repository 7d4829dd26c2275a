// tabs.js - tab lists as https://www.w3.org/WAI/ARIA/apg/patterns/tabs/ has them: arrow keys move and choose.

export function tabs(list, chosen) {
  const all = [...list.querySelectorAll('[role=tab]')];

  function choose(tab) {
    for (const other of all) {
      other.setAttribute('aria-selected', String(other === tab));
      other.tabIndex = other === tab ? 0 : -1;
    }
    chosen(tab);
  }

  list.addEventListener('click', (event) => {
    if (all.includes(event.target))
      choose(event.target);
  });
  list.addEventListener('keydown', (event) => {
    const at = all.indexOf(event.target), n = all.length;
    const next = {ArrowRight: (at + 1) % n, ArrowLeft: (at + n - 1) % n, Home: 0, End: n - 1}[event.key];
    if (at < 0 || next === undefined)
      return;
    event.preventDefault();
    all[next].focus();
    choose(all[next]);
  });
}

// One stop of the Tab key for many things: the arrow keys go on from there. `step` maps a key and a place to the next place.
export function roving(items, step) {
  items.forEach((item, i) => {
    item.tabIndex = i === 0 ? 0 : -1;
    item.addEventListener('keydown', (event) => {
      const next = items[step(event.key, i)];
      if (next === undefined)
        return;
      event.preventDefault();
      item.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    });
  });
}
