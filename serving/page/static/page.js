// The page: films come in, are asked about one after the other, and one of them is shown.

import { $, brief, draw, element, showOpacity } from "./answer.js";
import { Refusal, predict, readFilm, readModel } from "./server.js";

const MOST_FILMS = 24;
const LOOK_EVERY_MS = 30_000;

let model = null; // facts, see GET /page/model
let films = [];
let shown = null;
let work = new AbortController();

// --- Films come in ---------------------------------------------------------------------------

/** A newer choice takes the place of all that came before. */
function take(files) {
  if (!files.length) return;
  for (const film of films) if (film.url) URL.revokeObjectURL(film.url);
  films = files
    .slice(0, MOST_FILMS)
    .map((file) => ({ file, state: "waiting", button: stripButton(file) }));
  for (const film of films) film.button.addEventListener("click", () => show(film));
  $("strip").replaceChildren(...films.map(({ button }) => inItem(button)));
  $("strip").hidden = films.length < 2;
  films.forEach(redraw);
  show(films[0]);
  const left = files.length - films.length;
  askAbout(films, left ? `${left} more were left out: at most ${MOST_FILMS} at a time.` : "");
}

/** The film that is shown, once more, and then those whose turn has not come. */
function takeAgain() {
  const open = films.filter(({ state }) => state === "waiting" || state === "asking");
  askAbout([shown, ...open.filter((film) => film !== shown)]);
}

async function askAbout(wanted, remark = "") {
  work.abort();
  work = new AbortController();
  const { signal } = work;
  for (const [i, film] of wanted.entries()) {
    const which = wanted.length > 1 ? `${i + 1} of ${wanted.length}: ` : "";
    say(`${which}asking the model about ${film.file.name} …`, true);
    try {
      await ask(film, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Refusal)) console.error(error);
      const reason = error instanceof Refusal ? error.message : "Something is wrong with this page.";
      Object.assign(film, { state: "failed", reason, again: error.again ?? false });
    }
    redraw(film);
  }
  const said = wanted.length > 1 ? `${wanted.length} films are done.` : summary(wanted[0]);
  say([said, remark].filter(Boolean).join(" "));
}

async function ask(film, signal) {
  film.state = "asking";
  redraw(film);
  if (!film.url) {
    await open(film, signal);
    redraw(film);
  }
  try {
    await predictBy(await findModel(signal), film, signal);
  } catch (error) {
    // Between the two questions, the version may have gone.
    if (error.status !== 404) throw error;
    await predictBy(await findModel(signal), film, signal);
  }
}

async function predictBy(found, film, signal) {
  const answer = await predict(found, film.image, signal);
  Object.assign(film, { answer, model: found, finding: answer.explained, state: "answered" });
}

/** Find out by its content what a file is, and get a picture of it. */
async function open(film, signal) {
  const start = new Uint8Array(await film.file.slice(0, 132).arrayBuffer().catch(unreadable));
  const has = (at, ...bytes) => bytes.every((byte, i) => start[at + i] === byte);
  const isDicom = has(128, 0x44, 0x49, 0x43, 0x4d);
  if (!isDicom && !has(0, 0x89, 0x50, 0x4e, 0x47) && !has(0, 0xff, 0xd8, 0xff)) {
    const what = start.length ? "not a PNG, JPEG or DICOM file" : "empty";
    throw new Refusal(`This file is ${what}. Choose the film itself, in one of these formats.`);
  }
  film.image = await readFilm(film.file, signal);
  // Upright by now. What EXIF may still say, the model does not heed.
  const stored = { imageOrientation: "none" };
  const bitmap = await createImageBitmap(film.image, stored).catch(() => {
    throw new Refusal("This image is damaged or cut short. Get the file once more, and try again.");
  });
  signal.throwIfAborted();
  Object.assign(film, { width: bitmap.width, height: bitmap.height });
  film.url = URL.createObjectURL(film.image);
  bitmap.close();
}

function unreadable() {
  throw new Refusal("This file cannot be read. Is it a folder, or has it been moved?");
}

// --- The model -------------------------------------------------------------------------------

/** The model that is chosen, in the version that is served now. */
async function findModel(signal) {
  const found = await readModel($("models").value, signal);
  if (found.version === model?.version && found.name === model.name) return model;
  model = found;
  const isOne = model.models.length < 2;
  $("intended").textContent = model.intended_use ?? "";
  $("model").textContent = `${isOne ? `Model ${model.name}, ` : ""}version ${model.version}`;
  $("choice").hidden = isOne;
  if (!$("models").options.length) {
    $("models").append(...model.models.map((name) => new Option(name, name)));
  }
  if (shown) draw(shown, model);
  return model;
}

function look() {
  if (document.hidden) return;
  findModel().catch((error) => {
    if (!model) $("model").textContent = error.message;
  });
}

// --- What is shown ---------------------------------------------------------------------------

function show(film) {
  shown?.button.removeAttribute("aria-current");
  shown = film;
  film.button.setAttribute("aria-current", "true");
  $("result").hidden = false;
  redraw(film);
}

function redraw(film) {
  if (film === shown) draw(film, model);
  const [picture, , said] = film.button.children;
  if (film.url && picture.src !== film.url) picture.src = film.url;
  said.textContent = brief(film);
}

/** A film's place in the strip, which is there when there are several. */
function stripButton(file) {
  const button = element("button");
  button.type = "button";
  const picture = element("img");
  picture.alt = "";
  button.append(picture, element("span", "", file.name), element("span", "said"));
  return button;
}

function inItem(button) {
  const item = element("li");
  item.append(button);
  return item;
}

function summary(film) {
  if (film.state !== "answered") return "";
  const care = film.answer.quality ? " Read it with care: there is a warning." : "";
  return `${film.file.name}: ${brief(film).replace("? ", "")}.${care}`;
}

function say(text, isBusy = false) {
  $("status").textContent = text;
  $("status").classList.toggle("busy", isBusy);
}

// --- Hands on it -----------------------------------------------------------------------------

$("files").addEventListener("change", ({ target }) => {
  take([...target.files]);
  target.value = ""; // so that the same file can be chosen again
});
$("opacity").addEventListener("input", showOpacity);
$("again").addEventListener("click", takeAgain);
$("renew").addEventListener("click", takeAgain);
$("models").addEventListener("change", () => (shown ? takeAgain() : look()));
document.addEventListener("paste", ({ clipboardData }) => take([...clipboardData.files]));
// Anywhere on the page: a film that misses the box must not replace the page.
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  $("drop").classList.add("over");
});
document.addEventListener("dragleave", ({ relatedTarget }) => {
  if (!relatedTarget) $("drop").classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  take([...event.dataTransfer.files]);
});
document.addEventListener("visibilitychange", look);
setInterval(look, LOOK_EVERY_MS);
look();
