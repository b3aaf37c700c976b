// What the model said of one film, drawn.

import { drawBar, drawMap, hottest } from "./heat.js";
import * as words from "./words.js";

const SCALE_END = words.logOdds(0.999);
const TICKS = [0.01, 0.1, 0.5, 0.9, 0.99];

export const $ = (id) => document.getElementById(id);

export function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

let opacityIsChosen = false;

/** Draw a film in whatever state it is; `served` is the model as it is now. */
export function draw(film, served) {
  const { file, url, state, answer } = film;
  $("name").textContent = `${file.name}, ${words.size(file.size)}`;
  $("problem").hidden = state !== "failed";
  $("reason").textContent = film.reason ?? "";
  $("again").hidden = !film.again;
  $("film").parentElement.hidden = !url;
  if (url) drawFilm(film);

  const isAnswered = state === "answered";
  const isOld = isAnswered && film.model !== served;
  $("old").hidden = !isOld;
  $("versions").textContent = isOld ? `This is the answer of ${named(film.model)}.` : "";
  $("renew").textContent = isOld ? `Ask ${named(served)}` : "";
  const care = isAnswered ? words.warnings(answer.quality, film.model.warnings) : [];
  $("care").hidden = !care.length;
  $("warnings").replaceChildren(...care.map((text) => element("li", "", text)));
  $("result").classList.toggle("doubtful", care.length > 0);

  const isMulti = isAnswered && Array.isArray(answer.probability);
  $("decision").hidden = !isAnswered || isMulti;
  $("findings").hidden = !isMulti;
  $("reading").hidden = !isAnswered;
  $("by").textContent = isAnswered ? `Model: ${named(film.model)}.` : "";
  if (isMulti) drawFindings(film);
  else if (isAnswered) drawDecision(film);
  drawHeat(film);
}

/** A film's state in a word or two. */
export function brief({ state, answer }) {
  if (state !== "answered") {
    return { waiting: "waiting", asking: "asking …", failed: "no answer" }[state];
  }
  const doubt = answer.quality ? "? " : "";
  if (Array.isArray(answer.label)) {
    const present = answer.decision.filter((one) => one === 1).length;
    return `${doubt}${present} of ${answer.label.length} findings`;
  }
  return `${doubt}${words.plain(answer.label)} ${words.probability(answer.probability)}`;
}

/** The slider has moved. */
export function showOpacity() {
  opacityIsChosen = true;
  const percent = $("opacity").value;
  $("map").style.opacity = percent / 100;
  $("bar").style.opacity = percent / 100;
  $("percent").textContent = `${percent} %`;
  $("opacity").setAttribute("aria-valuetext", `${percent} percent`);
}

function named({ name, version }) {
  return `${name}, version ${version}`;
}

function drawFilm({ file, url, width, height }) {
  if ($("film").src !== url) $("film").src = url;
  $("film").alt = `Film ${file.name}`;
  $("film").parentElement.style.setProperty("--ratio", width / height);
}

function drawDecision({ answer, model }) {
  const output = model.outputs[0];
  const finding = words.plain(output?.name ?? model.class_names?.[1] ?? "the finding");
  const label = words.plain(answer.label);
  $("verdict").textContent = label;
  $("whose").textContent = `calibrated probability of ${finding}`;
  if (!output) {
    $("probability").textContent = words.probability(answer.probability);
    $("scale").replaceChildren();
    $("meaning").textContent = "The model does not say what its operating point is.";
    $("chosen").textContent = "";
    return;
  }
  const { threshold } = output.operating_point;
  const [value, limit] = words.compared(answer.probability, threshold);
  const side = answer.decision ? "At or above" : "Below";
  $("probability").textContent = value;
  $("scale").replaceChildren(scale(answer.probability, threshold, TICKS));
  $("meaning").textContent = `${side} the operating point ${limit}: ${label}.`;
  $("chosen").textContent = words.chosen(output.operating_point, finding);
}

function drawFindings(film) {
  const { answer, model } = film;
  const rows = answer.label.map((name, k) => {
    const threshold = model.outputs.find((one) => one.name === name)?.operating_point.threshold;
    const probability = answer.probability[k];
    const margin = words.logOdds(probability) - words.logOdds(threshold ?? 0.5);
    return { name, threshold, probability, margin, isPresent: answer.decision[k] === 1 };
  });
  rows.sort((one, other) => other.margin - one.margin);
  film.finding ??= rows[0].name;
  $("rows").replaceChildren(...rows.map((row) => findingRow(film, row)));
}

function findingRow(film, { name, threshold, probability, isPresent }) {
  const row = element("label", isPresent ? "finding present" : "finding");
  const input = element("input");
  Object.assign(input, { type: "radio", name: "finding", value: name });
  input.checked = name === film.finding;
  input.addEventListener("change", () => {
    film.finding = name;
    drawHeat(film);
  });
  const who = element("span", "who", words.plain(name));
  const number = element("span", "number", words.probability(probability));
  row.append(input, who, number);
  if (threshold !== undefined) {
    row.append(scale(probability, threshold, []));
    const side = isPresent ? "at or above" : "below";
    const spoken = `, ${side} the operating point ${words.probability(threshold)}`;
    number.append(element("span", "spoken", spoken));
  }
  return row;
}

/** Probability and operating point on a line of log odds, as in the reports. */
function scale(probability, threshold, ticks) {
  const line = element("span", ticks.length ? "scale" : "scale small");
  line.setAttribute("aria-hidden", "true");
  const put = (className, value, text = "") => {
    const mark = element("span", className, text);
    const fraction = (words.logOdds(value) / SCALE_END + 1) / 2;
    mark.style.left = `${100 * Math.min(Math.max(fraction, 0), 1)}%`;
    line.append(mark);
  };
  line.append(element("span", "track"));
  put("above", threshold);
  for (const tick of ticks) put("tick", tick, String(tick));
  put("threshold", threshold);
  if (ticks.length) put(threshold > 0.5 ? "label before" : "label", threshold, "operating point");
  put("mark", probability);
  return line;
}

function drawHeat({ answer, state, model, finding, width, height }) {
  const isAnswered = state === "answered";
  const map = isAnswered ? answer.heatmap : undefined;
  $("heat").hidden = !map;
  $("map").hidden = !map;
  $("caption").textContent = isAnswered && !map ? "This model draws no heat map." : "";
  if (!map) return;
  const place = Array.isArray(answer.label) ? answer.label.indexOf(finding) : 0;
  const rows = Array.isArray(answer.label) ? map[place] : map;
  const reference = model.explanation.references[place];
  drawMap($("map"), rows, reference, width, height);
  drawBar($("bar"));

  const name = words.plain(finding ?? model.outputs[place]?.name ?? "the finding");
  const hot = hottest(rows);
  const where = hot ? `hottest ${hot.place}, ${words.logits(hot.logits)} logits` : "none anywhere";
  $("caption").textContent = `Evidence for ${name}: ${where}.`;
  $("map").setAttribute("aria-label", `Heat map on the film. ${$("caption").textContent}`);
  $("half").textContent = words.logits(reference / 2);
  $("full").textContent = `≥ ${words.logits(reference)}`;
  if (!opacityIsChosen) {
    $("opacity").value = 100 * model.explanation.opacity;
    showOpacity();
  }
}
