/* Gives TFMA's components their data, and lets the reader choose whose plots are drawn. */
(function () {
'use strict';

// As TFMA's Python code says it: where a plot's data lies in the message.
const PLOT_KEYS = {
  calibrationPlot: {metricName: 'calibrationHistogramBuckets', dataSeries: 'buckets'},
  confusionMatrixPlot: {metricName: 'confusionMatrixAtThresholds', dataSeries: 'matrices'},
};

// JSON has no NaN; a metric that is none stands there as text.
function withNumbers(metrics) {
  return JSON.parse(JSON.stringify(metrics), (name, value) =>
    ['NaN', 'Infinity', '-Infinity'].includes(value) ? NaN : value);
}

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Response(stream).json();
}

// What a component has drawn in its shadow tree, once it has.
async function drawn(component, selector) {
  for (;;) {
    const found = component.shadowRoot?.querySelector(selector);
    if (found) return found;
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}

// Ticks the outputs, and then all their classes, in TFMA's menus; it shows nothing of itself.
async function preselect(metrics, outputs) {
  const picker = await drawn(metrics, 'tfma-config-picker');
  const tick = async (menu, wanted) => {
    const {items} = await drawn(picker, menu);
    const chosen = items.map((item, index) => index).filter(index => wanted(items[index]));
    (await drawn(picker, menu)).selectedIndices_ = chosen;
  };
  if (picker.availableOutputs_.length > 1) await tick('#output-picker', output => outputs.includes(output));
  if (picker.availableClasses_.length > 1) await tick('#class-picker', () => true);
}

function showMetrics(section, data) {
  const metrics = section.querySelector('tfma-nb-slicing-metrics');
  metrics.config = {weightedExamplesColumn: data.weights};
  metrics.data = data.slices.map(one => ({slice: one.slice, metrics: withNumbers(one.metrics)}));
  preselect(metrics, data.outputs);
}

function offerPlots(section, plots) {
  const menus = [...section.querySelectorAll('select')];
  if (!menus.length) return;
  const component = section.querySelector('tfma-nb-plot');
  const note = section.querySelector('[role=status]');
  const [slices, classes] = menus;
  const show = async () => {
    const chosen = [slices.selectedIndex, classes ? classes.selectedIndex : 0];
    const plot = plots[chosen[0]][chosen[1]];
    note.textContent = !plot ? 'This slice has no such plots.'
      : plot.defined ? ''
      : 'All images of this slice are of one class: curves over thresholds, such as ROC, are not defined.';
    component.hidden = !plot;
    if (!plot) return;
    const data = await unpack(plot.packed);
    // Another may have been chosen in the meantime.
    if (chosen[0] !== slices.selectedIndex || (classes && chosen[1] !== classes.selectedIndex)) return;
    component.config = {sliceName: menus.map(menu => menu.selectedOptions[0].text).join(', '), metricKeys: PLOT_KEYS};
    component.data = data;
    (await drawn(component, 'tfma-plot')).showAll_ = true;
  };
  menus.forEach(menu => menu.addEventListener('change', show));
  show();
}

for (const section of document.querySelectorAll('section')) {
  const data = JSON.parse(section.querySelector('script[type="application/json"]').textContent);
  showMetrics(section, data);
  offerPlots(section, data.plots);
}
})();
