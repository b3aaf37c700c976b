/* A stand-in for Google Charts, for pages that need no network.

   TFMA's web components draw every chart and table with Google Charts, which is loaded from
   Google's server and may not be hosted elsewhere. This is the part of its public API that the
   components of TFMA 0.52 call, drawn as SVG and as an HTML table. It holds no code of Google's.

   Left out: dragging to zoom, logarithmic axes, animation. */
(function () {
'use strict';

const SVG = 'http://www.w3.org/2000/svg';
const COLOURS = ['#3366cc', '#dc3912', '#ff9900', '#109618', '#990099', '#0099c6', '#dd4477', '#66aa00'];
const NOT_DEFINED = 'not defined';
const LABEL_HEIGHT = 14;
const LETTER_WIDTH = 6.2;

// What can be drawn: NaN and infinities leave a gap.
const isNumber = value => typeof value === 'number' && Number.isFinite(value);
const range = length => Array.from({length}, (_, index) => index);

function svg(tag, attributes, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value != null) element.setAttribute(name, value);
  }
  // As text, whatever it holds.
  if (text != null) element.textContent = text;
  return element;
}

function format(value) {
  if (value == null) return '';
  if (typeof value !== 'number') return String(value);
  if (!Number.isFinite(value)) return NOT_DEFINED;
  return Number.isInteger(value) ? value.toLocaleString('en-US') : String(Number(value.toPrecision(5)));
}

/* Data --------------------------------------------------------------------------------------- */

// A cell is a value, or {v: value, f: how it is shown}.
function cell(content) {
  const formatted = content !== null && typeof content === 'object' && ('v' in content || 'f' in content);
  return formatted ? {v: content.v, f: content.f} : {v: content};
}

// Of values of any kinds: numbers first, then text, then what is not defined, whatever the
// direction.
function compare(a, b, descending) {
  const rank = value => value == null || Number.isNaN(value) ? 2 : typeof value === 'number' ? 0 : 1;
  if (rank(a) !== rank(b)) return rank(a) - rank(b);
  if (rank(a) === 2 || a === b) return 0;
  return (a < b) === descending ? 1 : -1;
}

class DataTable {
  constructor(source) {
    this.columns = source ? source.cols.map(column => ({...column})) : [];
    this.rows = source ? (source.rows || []).map(row => row.c.map(cell)) : [];
  }
  getNumberOfRows() { return this.rows.length; }
  getNumberOfColumns() { return this.columns.length; }
  getValue(row, column) { return this.rows[row][column]?.v ?? null; }
  getFormattedValue(row, column) {
    const {v, f} = this.rows[row][column] || {};
    const defined = typeof v !== 'number' || Number.isFinite(v);
    return f != null && defined ? String(f) : format(v);
  }
  getColumnLabel(column) { return this.columns[column].label || ''; }
  getColumnType(column) { return this.columns[column].type || 'number'; }
  getColumnRole(column) { return this.columns[column].role || ''; }
  getSortedRows([{column, desc = false}]) {
    return range(this.rows.length).sort((a, b) =>
      compare(this.getValue(a, column), this.getValue(b, column), desc) || a - b);
  }
  sort(keys) { this.rows = this.getSortedRows(keys).map(row => this.rows[row]); }
}

// Rows of cells below a header; a column is of the type of its first value.
function arrayToDataTable([header, ...rows]) {
  const table = new DataTable();
  table.columns = header.map((column, index) => {
    const described = column !== null && typeof column === 'object' ? {...column} : {label: String(column)};
    const first = rows.map(row => cell(row[index]).v).find(value => value != null);
    return {type: first == null ? 'string' : typeof first, ...described};
  });
  table.rows = rows.map(row => row.map(cell));
  return table;
}

// A selection of a table's columns: each an index, or what to make of one.
class DataView {
  constructor(table) { this.table = table; this.columns = range(table.getNumberOfColumns()); }
  setColumns(columns) { this.columns = columns; }
  getNumberOfRows() { return this.table.getNumberOfRows(); }
  getNumberOfColumns() { return this.columns.length; }
  getValue(row, index) {
    const column = this.columns[index];
    if (typeof column === 'number') return this.table.getValue(row, column);
    return this.table.getFormattedValue(row, column.sourceColumn); // calc: 'stringify'
  }
  getFormattedValue(row, index) {
    const column = this.columns[index];
    return this.table.getFormattedValue(row, typeof column === 'number' ? column : column.sourceColumn);
  }
  getColumnLabel(index) { return this.described(index, 'label', 'getColumnLabel'); }
  getColumnType(index) { return this.described(index, 'type', 'getColumnType'); }
  getColumnRole(index) { return this.described(index, 'role', 'getColumnRole'); }
  described(index, property, getter) {
    const column = this.columns[index];
    return typeof column === 'number' ? this.table[getter](column) : column[property] || '';
  }
}

/* Events ------------------------------------------------------------------------------------- */

const listeners = new WeakMap();
const events = {
  addListener(source, name, call) {
    if (!listeners.has(source)) listeners.set(source, []);
    listeners.get(source).push({name, call});
  },
  addOneTimeListener(source, name, call) {
    const once = event => {
      listeners.set(source, listeners.get(source).filter(one => one.call !== once));
      call(event);
    };
    events.addListener(source, name, once);
  },
  trigger(source, name, event = {}) {
    (listeners.get(source) || []).filter(one => one.name === name).forEach(one => one.call(event));
  },
};

/* Charts ------------------------------------------------------------------------------------- */

class Chart {
  constructor(container) { this.container = container; this.selection = []; }
  getSelection() { return this.selection; }
  setSelection(selection) { this.selection = selection || []; this.mark(); }
  isSelected(element) { return this.selection.some(one => one.row === Number(element.dataset.row)); }
  // Choose a row, or leave it if it was chosen.
  toggle(row, column) {
    this.setSelection(this.selection[0]?.row === row ? [] : [{row, column}]);
    events.trigger(this, 'select');
  }
}

const TABLE_STYLE = `
  .scroll { overflow-x: auto; }
  table { border-collapse: collapse; width: 100%; font: 13px system-ui, sans-serif; color: #202124; }
  th, td { border: 1px solid #ddd; padding: 4px 8px; text-align: right; font-variant-numeric: tabular-nums; }
  th:first-child, td:first-child { text-align: left; overflow-wrap: anywhere; min-width: 15em; }
  th { padding: 0; background: #eee; }
  th button { width: 100%; padding: 4px 8px; border: 0; background: none; color: inherit; font: inherit; font-weight: 600; text-align: inherit; cursor: pointer; }
  tbody tr { cursor: pointer; }
  tbody tr:hover { background: #f5f5f5; }
  tbody tr[aria-selected=true] { background: #d6e9f8; }
  nav { margin-top: 6px; }
  :focus-visible { outline: 2px solid #0a47a4; outline-offset: -2px; }`;

// An element by which TFMA shows a figure that is more than a number: alone, empty, and with no
// attribute but these.
const CELL = new RegExp(
  '^<(tfma-(?:array-value|bounded-value|confusion-matrix-at-thresholds|int64' +
  '|multi-class-confusion-matrix|value-at-cutoffs))' +
  '((?: (?:data|lower-bound|upper-bound|value)=(?:"[^"<>]*"|[^\\s"\'<>=`]+))*)></\\1>$');
const ATTRIBUTE = / ([a-z-]+)=(?:"([^"]*)"|(\S+))/g;
const ENTITIES = {'&amp;': '&', '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#39;': "'"};

// The element of a formatted cell; null if it is anything else, which is text. It is made by hand:
// nothing out of the data is ever parsed as HTML.
function cellElement(formatted) {
  const [, tag, attributes] = CELL.exec(formatted) || [];
  if (!tag) return null;
  const element = document.createElement(tag);
  for (const [, name, quoted, bare] of attributes.matchAll(ATTRIBUTE)) {
    element.setAttribute(name, (quoted ?? bare).replace(/&(?:amp|lt|gt|quot|#39);/g, entity => ENTITIES[entity]));
  }
  return element;
}

class Table extends Chart {
  draw(data, options = {}) {
    Object.assign(this, {data, options, page: 0, order: null, sorted: null});
    this.render();
    events.trigger(this, 'ready');
  }

  render(focused) {
    const {data, options} = this;
    const rows = this.order || range(data.getNumberOfRows());
    const pageSize = options.page === 'enable' ? options.pageSize || 10 : rows.length;
    const pages = Math.ceil(rows.length / pageSize);

    const style = document.createElement('style');
    style.textContent = TABLE_STYLE;
    const table = document.createElement('table');
    const header = table.createTHead().insertRow();
    range(data.getNumberOfColumns()).forEach(column => header.append(this.heading(column)));
    const body = table.createTBody();
    rows.slice(this.page * pageSize, (this.page + 1) * pageSize).forEach(row => this.fill(body.insertRow(), row));
    const scroll = document.createElement('div');
    scroll.className = 'scroll';
    scroll.append(table);
    this.container.replaceChildren(style, scroll);
    if (pages > 1) this.container.append(this.navigation(pages));
    this.mark();
    if (focused != null) header.cells[focused].firstChild.focus();
  }

  heading(column) {
    const th = document.createElement('th');
    th.scope = 'col';
    const direction = this.sorted?.column === column ? (this.sorted.ascending ? 'ascending' : 'descending') : 'none';
    th.setAttribute('aria-sort', direction);
    const button = document.createElement('button');
    button.textContent = this.data.getColumnLabel(column) + {ascending: ' ▲', descending: ' ▼', none: ''}[direction];
    button.onclick = () => this.sort(column);
    th.append(button);
    return th;
  }

  fill(tr, row) {
    tr.dataset.row = row;
    tr.tabIndex = 0;
    tr.onclick = () => this.toggle(row);
    tr.onkeydown = event => { if (event.key === 'Enter') this.toggle(row); };
    range(this.data.getNumberOfColumns()).forEach(column => {
      const formatted = this.data.getFormattedValue(row, column);
      // The first column names the row, in words out of the data.
      const element = this.options.allowHtml && column > 0 ? cellElement(formatted) : null;
      tr.insertCell().append(element || formatted);
    });
  }

  navigation(pages) {
    const nav = document.createElement('nav');
    nav.setAttribute('aria-label', 'Pages of the table');
    range(pages).forEach(page => {
      const button = document.createElement('button');
      button.textContent = page + 1;
      button.disabled = page === this.page;
      button.onclick = () => { this.page = page; this.render(); events.trigger(this, 'page', {page}); };
      nav.append(button);
    });
    return nav;
  }

  sort(column) {
    const ascending = !(this.sorted?.column === column && this.sorted.ascending);
    this.order = this.data.getSortedRows([{column, desc: !ascending}]);
    this.sorted = {column, ascending};
    this.page = 0;
    this.render(column);
    events.trigger(this, 'sort', {column, ascending, sortedIndexes: this.order});
  }

  mark() {
    this.container.querySelectorAll('tr[data-row]').forEach(tr => tr.setAttribute('aria-selected', this.isSelected(tr)));
  }
}

// Round numbers that divide an axis in about `parts`.
function roundTicks(low, high, parts) {
  const raw = (high - low) / parts;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find(factor => raw / power < factor * 1.5);
  const first = Math.ceil(low / step - 1e-9), last = Math.floor(high / step + 1e-9);
  return range(last - first + 1).map(index => Number(((first + index) * step).toPrecision(12)));
}

// Two ends between which all values lie, as an axis asks.
function extent(values, axis, fromZero) {
  const shown = values.filter(isNumber);
  if (fromZero || !shown.length) shown.push(0);
  if (!values.some(isNumber)) shown.push(1);
  let low = shown.reduce((a, b) => Math.min(a, b)), high = shown.reduce((a, b) => Math.max(a, b));
  if (isNumber(axis.minValue)) low = Math.min(low, axis.minValue);
  if (isNumber(axis.maxValue)) high = Math.max(high, axis.maxValue);
  low = axis.viewWindow?.min ?? low;
  high = axis.viewWindow?.max ?? high;
  return low < high ? [low, high] : [low - 0.5, high + 0.5];
}

function mix(from, to, share) {
  const parts = colour => [1, 3, 5].map(at => parseInt(colour.slice(at, at + 2), 16));
  const ends = parts(to);
  return `rgb(${parts(from).map((value, index) => Math.round(value + (ends[index] - value) * share)).join(',')})`;
}

// What all charts with two axes share: size, scales, grid, labels, legend.
class AxesChart extends Chart {
  draw(data, options = {}) {
    this.data = data;
    this.options = options;
    this.rows = range(data.getNumberOfRows());
    this.series = this.findSeries();
    this.horizontal = options.hAxis || {};
    this.vertical = [0, 1].map(axis => ({...options.vAxis, ...options.vAxes?.[axis]}));
    this.measure();
    const marks = svg('g'), labels = svg('g');
    this.drawMarks(marks, labels);
    this.container.replaceChildren(this.assemble(marks, labels));
    this.mark();
    events.trigger(this, 'ready');
  }

  measure() {
    const {options, container} = this;
    const host = container.getRootNode().host;
    this.width = options.width || container.clientWidth || host?.clientWidth || 400;
    this.height = options.height || container.clientHeight || host?.clientHeight || 200;
    this.discrete = this.data.getColumnType(0) === 'string' && this.xColumn === 0;
    this.x = this.discrete ? [-0.5, this.rows.length - 0.5] : extent(this.rows.map(row => this.xValue(row)), this.horizontal);
    this.barStep = this.discrete ? 1 : this.widenForBars();
    this.y = [0, 1].map(axis => this.yExtent(axis));
    this.twoAxes = this.series.some(one => one.axis === 1);
    this.legend = this.legendSeries();
    const right = (this.legend.position === 'right' ? 110 : 16) + (this.twoAxes ? 44 : 0);
    this.left = 56;
    this.top = (options.title ? 26 : 10) + (this.legend.position === 'top' ? 18 : 0);
    this.plotWidth = Math.max(20, this.width - this.left - right);
    const below = (this.horizontal.title ? 38 : 22) + (this.legend.position === 'bottom' ? 16 : 0);
    this.plotHeight = Math.max(20, this.height - this.top - below);
  }

  // The distance between bars; room for half of one on either side.
  widenForBars() {
    if (!this.series.some(one => one.type === 'bars')) return 0;
    const values = this.rows.map(row => this.xValue(row)).filter(isNumber).sort((a, b) => a - b);
    const steps = values.slice(1).map((value, index) => value - values[index]).filter(step => step > 0);
    const step = steps.length ? Math.min(...steps) : this.x[1] - this.x[0];
    this.x = [this.x[0] - step / 2, this.x[1] + step / 2];
    return step;
  }

  legendSeries() {
    const shown = this.series.filter(one => one.visibleInLegend !== false && this.data.getColumnLabel(one.column));
    const position = shown.length ? this.options.legend?.position || 'right' : 'none';
    return {position, shown};
  }

  xValue(row) { return this.discrete ? row : this.data.getValue(row, this.xColumn); }
  px(value) { return this.left + (value - this.x[0]) / (this.x[1] - this.x[0]) * this.plotWidth; }
  py(value, axis = 0) {
    const [low, high] = this.y[axis];
    return this.top + this.plotHeight - (value - low) / (high - low) * this.plotHeight;
  }

  assemble(marks, labels) {
    const {left, top, plotWidth, plotHeight, options} = this;
    const name = options.title || [this.vertical[0].title, this.horizontal.title].filter(Boolean).join(' by ');
    const root = svg('svg', {
      width: this.width, height: this.height, role: 'img',
      'aria-label': name || this.data.getColumnLabel(this.yColumn), style: 'font: 11px system-ui, sans-serif',
    });
    const id = `plot-area-${AxesChart.drawn = (AxesChart.drawn || 0) + 1}`;
    const clip = svg('clipPath', {id});
    // A little more than the plot, so that marks on its edge are whole.
    clip.append(svg('rect', {x: left - 4, y: top - 4, width: plotWidth + 8, height: plotHeight + 8}));
    // TFMA's histogram finds its bars in the second group of the clipped one, and their labels in
    // the third group after that.
    const clipped = svg('g', {'clip-path': `url(#${id})`});
    const {lines, texts} = this.axes();
    clipped.append(lines, marks);
    root.append(clip, clipped, texts, this.titles(), labels, this.legendMarks());
    return root;
  }

  axes() {
    const {left, top, plotWidth, plotHeight} = this;
    const lines = svg('g'), texts = svg('g', {fill: '#444'});
    const right = left + plotWidth, bottom = top + plotHeight;
    const parts = Math.max(2, plotHeight / 40);
    for (const {v, f} of this.ticks(this.vertical[0], this.y[0], parts)) {
      lines.append(svg('line', {x1: left, x2: right, y1: this.py(v), y2: this.py(v), stroke: '#ddd'}));
      texts.append(svg('text', {x: left - 5, y: this.py(v) + 4, 'text-anchor': 'end'}, f));
    }
    if (this.twoAxes) {
      for (const {v, f} of this.ticks(this.vertical[1], this.y[1], parts)) {
        texts.append(svg('text', {x: right + 5, y: this.py(v, 1) + 4}, f));
      }
    }
    let free = -Infinity;
    for (const {v, f} of this.horizontalTicks()) {
      const x = this.px(v), half = f.length * LETTER_WIDTH / 2;
      if (!this.discrete) lines.append(svg('line', {x1: x, x2: x, y1: top, y2: bottom, stroke: '#eee'}));
      if (x - half < free) continue; // there is no room for its label
      texts.append(svg('text', {x, y: bottom + LABEL_HEIGHT, 'text-anchor': 'middle'}, f));
      free = x + half + 4;
    }
    lines.append(svg('path', {d: `M${left} ${top}V${bottom}H${right}`, fill: 'none', stroke: '#333'}));
    return {lines, texts};
  }

  ticks(axis, [low, high], parts) {
    const given = axis.ticks || roundTicks(low, high, parts);
    return given.map(tick => typeof tick === 'object' ? tick : {v: tick, f: format(tick)});
  }

  horizontalTicks() {
    if (this.discrete && !this.horizontal.ticks) {
      return this.rows.map(row => ({v: row, f: this.data.getFormattedValue(row, 0)}));
    }
    const inside = ({v}) => v >= this.x[0] - 1e-9 && v <= this.x[1] + 1e-9;
    return this.ticks(this.horizontal, this.x, Math.max(2, this.plotWidth / 90)).filter(inside);
  }

  titles() {
    const {left, top, plotWidth, plotHeight, options} = this;
    const group = svg('g', {fill: '#222'});
    if (options.title) group.append(svg('text', {x: left, y: 16, 'font-weight': 'bold'}, options.title));
    const italic = {'text-anchor': 'middle', 'font-style': 'italic'};
    if (this.horizontal.title) {
      group.append(svg('text', {x: left + plotWidth / 2, y: top + plotHeight + 31, ...italic}, this.horizontal.title));
    }
    this.vertical.slice(0, this.twoAxes ? 2 : 1).forEach(({title}, axis) => {
      const x = axis ? left + plotWidth + 42 : 13, y = top + plotHeight / 2;
      if (title) group.append(svg('text', {x, y, transform: `rotate(-90 ${x} ${y})`, ...italic}, title));
    });
    return group;
  }

  legendMarks() {
    const group = svg('g', {fill: '#222'});
    const {position, shown} = this.legend;
    if (position === 'none') return group;
    const beside = position === 'right';
    let x = beside ? this.width - 104 : this.left;
    let y = beside ? this.top + 8 : position === 'top' ? this.top - 8 : this.height - 4;
    for (const one of shown) {
      const label = this.data.getColumnLabel(one.column);
      group.append(svg('rect', {x, y: y - 9, width: 10, height: 10, fill: one.colour}), svg('text', {x: x + 14, y}, label));
      if (beside) y += 16; else x += 30 + LETTER_WIDTH * label.length;
    }
    return group;
  }

  // A mark with its explanation, which may be chosen.
  markOf(element, row, column, explanation) {
    element.append(svg('title', {}, explanation));
    if (this.options.enableInteractivity === false) return element;
    element.dataset.row = row;
    element.style.cursor = 'pointer';
    element.addEventListener('click', () => this.toggle(row, column));
    return element;
  }

  mark() {
    this.container.querySelectorAll('[data-row]').forEach(element => {
      element.style.stroke = this.isSelected(element) ? '#000' : '';
      element.style.strokeWidth = this.isSelected(element) ? '2' : '';
    });
  }
}

// Columns, lines and points over the first column; `defaultType` is how a series is drawn of which
// the options say nothing.
class SeriesChart extends AxesChart {
  get xColumn() { return 0; }
  get yColumn() { return 1; }

  // A column with a role belongs to the series before it.
  findSeries() {
    const found = [];
    range(this.data.getNumberOfColumns()).slice(1).forEach(column => {
      const role = this.data.getColumnRole(column);
      if (role) { found.at(-1)[role] = column; return; }
      const options = this.options.series?.[found.length] || {};
      found.push({
        ...options, column, type: options.type || this.defaultType, axis: options.targetAxisIndex || 0,
        colour: options.color || COLOURS[found.length % COLOURS.length],
      });
    });
    return found;
  }

  yExtent(axis) {
    const series = this.series.filter(one => one.axis === axis);
    const values = series.flatMap(one => this.rows.map(row => this.data.getValue(row, one.column)));
    return extent(values, this.vertical[axis], series.some(one => one.type !== 'line'));
  }

  drawMarks(marks, labels) {
    const bars = this.series.filter(one => one.type === 'bars');
    bars.forEach((one, index) => this.drawBars(one, index, bars.length, marks, labels));
    this.series.filter(one => one.type === 'line').forEach(one => this.drawLine(one, marks));
    this.series.filter(one => one.type === 'scatter').forEach(one => this.drawPoints(one, marks));
  }

  // The rows in which a series has a point: [row, x, y] with x and y in pixels.
  points({column, axis}) {
    return this.rows
      .filter(row => isNumber(this.xValue(row)) && isNumber(this.data.getValue(row, column)))
      .map(row => [row, this.px(this.xValue(row)), this.py(this.data.getValue(row, column), axis)]);
  }

  explanation({column, tooltip}, row) {
    if (tooltip != null) return this.data.getFormattedValue(row, tooltip);
    return `${this.data.getFormattedValue(row, 0)}\n${this.data.getColumnLabel(column)}: ${this.data.getFormattedValue(row, column)}`;
  }

  drawBars(one, index, count, marks, labels) {
    const room = (this.px(this.x[0] + this.barStep) - this.left) * parseFloat(this.options.bar?.groupWidth || '62') / 100;
    const width = room / count;
    const base = this.py(Math.max(0, this.y[one.axis][0]), one.axis);
    // A bar and a label for every row, by whose position TFMA finds them.
    for (const row of this.rows) {
      const value = this.data.getValue(row, one.column);
      const left = this.px(this.xValue(row)) - room / 2 + index * width;
      const y = isNumber(value) ? this.py(value, one.axis) : base;
      const bar = svg('rect', {
        x: left, y: Math.min(y, base), width: Math.max(1, width - 1), height: Math.abs(base - y), fill: one.colour,
      });
      marks.append(this.markOf(bar, row, one.column, this.explanation(one, row)));
      const note = one.annotation == null ? '' : this.data.getValue(row, one.annotation);
      const shown = note !== '0' && note.length * LETTER_WIDTH < width;
      const inside = base - y > LABEL_HEIGHT;
      labels.append(svg('text', {
        x: left + width / 2, y: inside ? y + 12 : y - 3, 'text-anchor': 'middle', fill: inside ? '#fff' : '#333',
      }, shown ? note : ''));
    }
  }

  drawLine(one, marks) {
    let path = '', last = null;
    const points = this.points(one);
    for (const [row, x, y] of points) {
      // A line stops at a value that is not defined.
      path += `${last === row - 1 ? 'L' : 'M'}${x.toFixed(2)} ${y.toFixed(2)}`;
      last = row;
    }
    marks.append(svg('path', {
      d: path, fill: 'none', stroke: one.colour, 'stroke-width': 2, 'stroke-dasharray': one.lineDashStyle?.join(' '),
    }));
    // Where points are many, they are there for the pointer only.
    const few = points.length < 40;
    for (const [row, x, y] of points) {
      const point = svg('circle', {cx: x, cy: y, r: few ? 3 : 5, fill: one.colour, 'fill-opacity': few ? 1 : 0});
      marks.append(this.markOf(point, row, one.column, this.explanation(one, row)));
    }
  }

  drawPoints(one, marks) {
    for (const [row, x, y] of this.points(one)) {
      const point = one.pointShape === 'diamond'
        ? svg('path', {d: `M${x} ${y - 5}l5 5l-5 5l-5-5z`, fill: one.colour})
        : svg('circle', {cx: x, cy: y, r: 4, fill: one.colour});
      marks.append(this.markOf(point, row, one.column, this.explanation(one, row)));
    }
  }
}

class ColumnChart extends SeriesChart { get defaultType() { return 'bars'; } }
class LineChart extends SeriesChart { get defaultType() { return 'line'; } }
class ComboChart extends SeriesChart { get defaultType() { return 'line'; } }
class ScatterChart extends SeriesChart { get defaultType() { return 'scatter'; } }

// Circles; the columns are name, x, y, colour, size.
class BubbleChart extends AxesChart {
  get xColumn() { return 1; }
  get yColumn() { return 2; }
  findSeries() { return []; }
  yExtent(axis) { return extent(this.rows.map(row => this.data.getValue(row, 2)), this.vertical[axis]); }

  // How far along its axis a value lies, from 0 to 1.
  share(row, column, axis) {
    const [low, high] = extent(this.rows.map(one => this.data.getValue(one, column)), {});
    const from = axis.minValue ?? low, to = axis.maxValue ?? high;
    return Math.max(0, Math.min(1, (this.data.getValue(row, column) - from) / (to - from)));
  }

  drawMarks(marks) {
    const {colorAxis, sizeAxis} = this.options;
    for (const row of this.rows) {
      const x = this.data.getValue(row, 1), y = this.data.getValue(row, 2);
      if (!isNumber(x) || !isNumber(y)) continue;
      const radius = sizeAxis.minSize + this.share(row, 4, sizeAxis) * (sizeAxis.maxSize - sizeAxis.minSize);
      const fill = mix(...colorAxis.colors, this.share(row, 3, colorAxis));
      const circle = svg('circle', {cx: this.px(x), cy: this.py(y), r: radius, fill, stroke: '#777'});
      const said = [1, 2, 3, 4].map(column =>
        `${this.data.getColumnLabel(column)}: ${this.data.getFormattedValue(row, column)}`);
      marks.append(this.markOf(circle, row, undefined, said.join('\n')));
    }
  }
}

const KINDS = {Table, ColumnChart, LineChart, ComboChart, ScatterChart, BubbleChart};

// What holds a chart of any kind in its place on the page.
class ChartWrapper {
  constructor({container}) { this.container = container; this.chart = null; this.options = {}; }
  setChartType(type) { this.type = type; }
  setDataTable(data) { this.data = data; }
  setOptions(options) { this.options = options; }
  getChart() { return this.chart; }
  draw() {
    const Kind = KINDS[this.type];
    if (!(this.chart instanceof Kind)) {
      this.chart = new Kind(this.container);
      events.addListener(this.chart, 'select', event => events.trigger(this, 'select', event));
    }
    this.chart.draw(this.data, this.options);
    events.trigger(this, 'ready');
  }
}

window.google = {
  charts: {load: () => Promise.resolve()},
  visualization: {DataTable, DataView, arrayToDataTable, events, ChartWrapper, ...KINDS},
};
})();
