"use strict";
const $ = (selector, within = document) => within.querySelector(selector);
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];

const form = $(".controls");
const list = $(".cases");
const cases = $$(".case").map((element) => ({
  element,
  outcome: element.dataset.outcome,
  name: element.dataset.name,
  values: JSON.parse(element.dataset.values),
  ...Object.fromEntries(
    ["number", "probability", "distance", "peak"].map((key) => [key, Number(element.dataset[key])]),
  ),
}));

// --- Which cases are shown ---------------------------------------------------------------------

const features = $$("select[data-feature]", form);
const bound = (name, missing) => {
  const value = form.elements[name].valueAsNumber;
  return Number.isNaN(value) ? missing : value;
};

function filter() {
  const outcomes = new Set($$("[name=outcome]:checked", form).map((box) => box.value));
  const [from, to] = [bound("from", 0), bound("to", 1)];
  let shown = 0;
  for (const one of cases) {
    const fits =
      outcomes.has(one.outcome) &&
      one.probability >= from &&
      one.probability <= to &&
      features.every((s) => !s.value || (one.values[s.name] ?? []).includes(s.value));
    one.element.hidden = !fits;
    shown += fits;
  }
  $(".count").textContent = `${shown.toLocaleString("en")} of ${cases.length.toLocaleString("en")} cases`;
  $(".none").hidden = shown > 0;
  const said = features
    .filter((s) => s.selectedOptions[0].dataset.said)
    .map((s) => `${s.value}: ${s.selectedOptions[0].dataset.said}`);
  $(".said").textContent = said.join("; ");
  $(".said").hidden = !said.length;
}

function order() {
  const [, falling, key] = form.elements.order.value.match(/^(-?)(.*)$/);
  const compare = (a, b) =>
    (typeof a[key] === "string" ? a[key].localeCompare(b[key], "en", { numeric: true }) : a[key] - b[key]) ||
    a.number - b.number;
  cases.sort((a, b) => (falling ? compare(b, a) : compare(a, b)));
  list.append(...cases.map((one) => one.element));
}

form.addEventListener("input", (event) => {
  if (event.target.name === "order") order();
  filter();
});
form.addEventListener("reset", () => setTimeout(() => (order(), filter())));
form.addEventListener("submit", (event) => event.preventDefault());
$(".none button").addEventListener("click", () => form.reset());

// --- How they look -----------------------------------------------------------------------------

const sliders = $$("[name=opacity]");
for (const slider of sliders) {
  slider.addEventListener("input", () => {
    document.documentElement.style.setProperty("--opacity", slider.value);
    for (const other of sliders) {
      other.value = slider.value;
      other.nextElementSibling.textContent = `${Math.round(100 * slider.value)} %`;
    }
  });
}
$("[name=boxes]")?.addEventListener("change", (event) => {
  document.body.classList.toggle("unboxed", !event.target.checked);
});

// --- Film and heat, enlarged together ----------------------------------------------------------

const viewer = $(".viewer");
const panes = $$(".pane");
// The point of the film that is in the middle of its pane, as fractions, and how large it is drawn.
const view = { x: 0.5, y: 0.5, zoom: 1 };
const MOST = 12;
const size = { width: 1, height: 1 };
let current;

function draw() {
  view.zoom = Math.min(MOST, Math.max(1, view.zoom));
  for (const axis of ["x", "y"]) {
    const half = 0.5 / view.zoom;
    view[axis] = Math.min(1 - half, Math.max(half, view[axis]));
  }
  for (const pane of panes) {
    const stage = pane.firstElementChild;
    const fit = Math.min(pane.clientWidth / size.width, pane.clientHeight / size.height);
    const [width, height] = [size.width * fit, size.height * fit];
    stage.style.width = `${width}px`;
    stage.style.height = `${height}px`;
    stage.style.transform =
      `scale(${view.zoom}) translate(${-view.x * width}px, ${-view.y * height}px)`;
  }
  $(".zoom").textContent = `${Math.round(100 * view.zoom)} %`;
}

function show(one) {
  current = one;
  const stages = $$(".stage", one.element);
  for (const side of ["width", "height"]) size[side] = Number($(".film", one.element).getAttribute(side));
  panes.forEach((pane, number) => {
    const stage = stages[number].cloneNode(true);
    for (const picture of $$("img", stage)) {
      picture.loading = "eager";
      picture.draggable = false;
    }
    pane.replaceChildren(stage);
  });
  const outcome = $(".outcome", one.element).textContent;
  $(".caption").textContent = `${one.number}  ${one.name}  ${outcome}, probability ${$(".probability", one.element).textContent}`;
  if (!viewer.open) {
    Object.assign(view, { x: 0.5, y: 0.5, zoom: 1 });
    viewer.showModal();
    $(".panes").focus();
  }
  draw();
}

function step(by) {
  const visible = cases.filter((one) => !one.element.hidden);
  const next = visible[visible.indexOf(current) + by];
  if (next) show(next);
}

// Zooms so that the point of the film below the pointer stays there.
function zoom(factor, event) {
  const pane = event?.target.closest?.(".pane");
  const old = view.zoom;
  view.zoom = Math.min(MOST, Math.max(1, old * factor));
  if (pane) {
    const place = pane.getBoundingClientRect();
    const stage = pane.firstElementChild;
    const gain = 1 / old - 1 / view.zoom;
    view.x += ((event.clientX - place.left - place.width / 2) / stage.offsetWidth) * gain;
    view.y += ((event.clientY - place.top - place.height / 2) / stage.offsetHeight) * gain;
  }
  draw();
}

function move(dx, dy) {
  view.x += dx / view.zoom;
  view.y += dy / view.zoom;
  draw();
}

const actions = {
  in: () => zoom(1.5),
  out: () => zoom(1 / 1.5),
  fit: () => zoom(0),
  next: () => step(1),
  previous: () => step(-1),
  close: () => viewer.close(),
};
const keys = { "+": "in", "=": "in", "-": "out", 0: "fit", n: "next", p: "previous" };
const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

for (const one of cases) {
  for (const picture of $$(".picture", one.element)) {
    picture.addEventListener("click", () => show(one));
  }
}
for (const button of $$("[data-do]", viewer)) {
  button.addEventListener("click", () => actions[button.dataset.do]());
}
viewer.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input")) return;
  if (keys[event.key]) actions[keys[event.key]]();
  else if (arrows[event.key]) move(...arrows[event.key].map((way) => 0.1 * way));
  else return;
  event.preventDefault();
});
viewer.addEventListener("close", () => $(".picture", current.element).focus({ preventScroll: true }));
window.addEventListener("resize", () => viewer.open && draw());

const fingers = new Map();
for (const pane of panes) {
  pane.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 400), event);
  });
  pane.addEventListener("dblclick", (event) => zoom(2, event));
  pane.addEventListener("pointerdown", (event) => {
    pane.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
  });
  pane.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const others = [...fingers].filter(([id]) => id !== event.pointerId);
    const here = [event.clientX, event.clientY];
    const stage = pane.firstElementChild;
    if (others.length) {
      const span = (point) => Math.hypot(point[0] - others[0][1][0], point[1] - others[0][1][1]);
      zoom(span(here) / Math.max(1, span(before)), event);
    } else {
      move((before[0] - here[0]) / stage.offsetWidth, (before[1] - here[1]) / stage.offsetHeight);
    }
    fingers.set(event.pointerId, here);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    pane.addEventListener(end, (event) => fingers.delete(event.pointerId));
  }
}

form.hidden = false;
$(".looks").hidden = false;
filter();
