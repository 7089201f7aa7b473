'use strict';
// Tables: sorted by the heads, filtered by a field, drawn row by row as they are scrolled to.

const STEP = 100; // rows that are drawn at a time
const words = new Intl.Collator('en', { numeric: true, sensitivity: 'base' });

function number(text) {
  const found = /[-+\u2212]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?/i.exec(text);
  return found ? Number(found[0].replace('\u2212', '-')) : NaN;
}

// The order of two cells; what is missing comes last whichever way.
function order(a, b, numeric, sign) {
  if (numeric) {
    const [x, y] = [number(a), number(b)];
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
    return sign * (x - y);
  }
  if (!a || !b) return !a - !b;
  return sign * words.compare(a, b);
}

function drawn(cells, heads) {
  const row = document.createElement('tr');
  cells.forEach((text, place) => {
    const cell = row.insertCell();
    cell.textContent = text;
    if (heads[place].classList.contains('number')) cell.className = 'number';
  });
  return row;
}

function sortable(figure) {
  const box = figure.querySelector('.box');
  const table = box.querySelector('table');
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const rest = box.querySelector('script');
  const rows = [...body.rows].map((row) => ({ row, cells: [...row.cells].map((cell) => cell.textContent) }));
  for (const cells of rest ? JSON.parse(rest.textContent) : []) rows.push({ row: null, cells });
  const all = rows.slice();
  let kept = rows; // what the filter lets through
  let count = figure.querySelector('.count');
  if (!count) {
    count = document.createElement('p');
    count.className = 'count';
    count.hidden = true;
    box.after(count);
  }
  count.setAttribute('aria-live', 'polite');

  function grow(to) {
    const from = body.rows.length;
    const part = document.createDocumentFragment();
    for (const each of kept.slice(from, to)) part.append((each.row ??= drawn(each.cells, heads)));
    body.append(part);
  }

  function redraw() {
    body.replaceChildren();
    box.scrollTop = 0;
    grow(STEP);
    say();
  }

  function say() {
    const some = kept.length < all.length ? `${kept.length} of ${all.length} rows` : `${all.length} rows`;
    count.textContent = some;
    count.hidden = kept.length === all.length && body.rows.length === all.length;
  }

  box.addEventListener('scroll', () => {
    if (body.rows.length < kept.length && box.scrollTop + box.clientHeight > box.scrollHeight - 600) {
      grow(body.rows.length + STEP);
      say();
    }
  }, { passive: true });

  heads.forEach((head, place) => head.querySelector('button').addEventListener('click', () => {
    const up = head.getAttribute('aria-sort') !== 'ascending';
    for (const other of heads) other.setAttribute('aria-sort', 'none');
    head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
    const numeric = head.classList.contains('number');
    all.sort((a, b) => order(a.cells[place], b.cells[place], numeric, up ? 1 : -1));
    filter();
  }));

  const field = document.createElement('input');
  function filter() {
    const asked = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    kept = all.filter(({ cells }) => {
      const text = cells.join(' ').toLowerCase();
      return asked.every((word) => text.includes(word));
    });
    redraw();
  }
  if (table.hasAttribute('data-filter')) {
    field.type = 'search';
    field.placeholder = 'Filter rows';
    field.setAttribute('aria-label', `Filter the rows of: ${figure.querySelector('figcaption').textContent}`);
    field.addEventListener('input', filter);
    figure.querySelector('figcaption').after(field);
  }
  say();
}

function copyable(figure) {
  const text = figure.querySelector('pre');
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = 'Copy';
  button.setAttribute('aria-label', `Copy: ${figure.querySelector('figcaption').textContent}`);
  button.addEventListener('click', async () => {
    getSelection().selectAllChildren(text); // so that it can be copied by hand where the browser refuses
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = 'Copied';
    } catch {
      button.textContent = 'Press Ctrl+C';
    }
    setTimeout(() => { button.textContent = 'Copy'; }, 2000);
  });
  figure.querySelector('figcaption').after(button);
}

document.querySelectorAll('figure.table').forEach(sortable);
document.querySelectorAll('figure.listing').forEach(copyable);

// What is folded is printed; what was open before stays so.
const details = [...document.querySelectorAll('details')];
let closed = [];
addEventListener('beforeprint', () => {
  closed = details.filter((each) => !each.open);
  for (const each of closed) each.open = true;
});
addEventListener('afterprint', () => { for (const each of closed) each.open = false; });

// The list of contents marks the section that is read.
const links = new Map([...document.querySelectorAll('nav a')].map((link) => [link.hash.slice(1), link]));
const seen = new Set();
const watch = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) seen[isIntersecting ? 'add' : 'delete'](target.id);
  let first = true;
  for (const [name, link] of links) {
    const here = first && seen.has(name);
    if (here) first = false;
    link.toggleAttribute('aria-current', here);
  }
}, { rootMargin: '-10% 0px -60% 0px' });
document.querySelectorAll('main section').forEach((section) => watch.observe(section));
