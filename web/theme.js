// theme.js - light, dark, or as the system has it. Runs before the first paint, so that the page does not flash.
'use strict';

(() => {
  const names = {auto: 'Auto', light: 'Light', dark: 'Dark'};

  function stored() {
    try {
      const theme = localStorage.getItem('heddle-theme');
      return theme in names ? theme : 'auto';
    } catch {
      return 'auto'; // storage is forbidden
    }
  }

  function show(theme) {
    document.documentElement.dataset.theme = theme;
    const name = document.getElementById('theme-name');
    if (name !== null) {
      name.textContent = names[theme];
      document.getElementById('theme-button').setAttribute('aria-label', `Colours: ${names[theme]}`);
    }
  }

  show(stored());
  document.addEventListener('DOMContentLoaded', () => {
    show(stored());
    document.getElementById('theme-button').addEventListener('click', () => {
      const order = Object.keys(names);
      const next = order[(order.indexOf(document.documentElement.dataset.theme) + 1) % order.length];
      try {
        localStorage.setItem('heddle-theme', next);
      } catch {
        // it holds until the page is left
      }
      show(next);
    });
  });
})();
