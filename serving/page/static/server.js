// What the page asks of its server, and what to do when it does not get it.

/** Why there is no answer, in words. `again`: whether asking once more may help. */
export class Refusal extends Error {
  constructor(message, { again = false } = {}) {
    super(message);
    this.again = again;
  }
}

const REASONS = {
  404: ["This model is not served now. Ask again soon.", true],
  408: ["The file took too long to reach the server.", true],
  413: ["The file is larger than the server takes. Save it smaller, as JPEG for instance.", false],
  429: ["The server is busy. Wait a moment, then ask again.", true],
  503: ["The model is not available now: it is being loaded or replaced. Ask again soon.", true],
  504: ["The model took too long. Wait a moment, then ask again.", true],
};

/** Facts about a model: the one of this name, or the server's first. */
export async function readModel(name, signal) {
  const query = name ? `?name=${encodeURIComponent(name)}` : "";
  const response = await ask(`page/model${query}`, { signal });
  return response.json();
}

/** A film as the model takes it, JPEG or PNG: upright, and of 8 bits. */
export async function readFilm(file, signal) {
  const response = await ask("page/film", { method: "POST", body: file, signal }, (words) =>
    `This film cannot be shown: ${words}.`,
  );
  return response.blob();
}

/** What a model says of a film; with a map if it can explain itself. */
export async function predict(model, film, signal) {
  const body = JSON.stringify({
    signature_name: model.explanation ? "explain" : "serving_default",
    instances: [{ b64: await toBase64(film) }],
  });
  // The version that the facts are about, so that no answer is read by another's operating point.
  const path = `v1/models/${encodeURIComponent(model.name)}/versions/${model.version}:predict`;
  const response = await ask(path, { method: "POST", body, signal }, (words) =>
    `The model cannot use this image: ${words}. Save it smaller, or as an 8-bit PNG or JPEG, and try again.`,
  );
  const said = await response.json().catch(abortOr("The server’s answer cannot be read."));
  const row = said.predictions?.[0];
  if (row?.probability === undefined) throw new Refusal("The model’s answer has no probability.");
  return row;
}

async function ask(path, options, onBadRequest = (words) => words) {
  const unreachable = "The server cannot be reached. See that it still runs, then ask again.";
  const response = await fetch(path, { cache: "no-store", ...options }).catch(
    abortOr(unreachable, { again: true }),
  );
  if (response.ok) return response;
  const words = await readError(response);
  if (response.status === 400) throw new Refusal(onBadRequest(words.replace(/\.$/, "")));
  const [reason, again] = REASONS[response.status] ?? ["The server failed.", true];
  const refusal = new Refusal(REASONS[response.status] ? reason : `${reason} It says: ${words}`, {
    again,
  });
  refusal.status = response.status;
  throw refusal;
}

/** What the server says, without TensorFlow's graph around it. */
async function readError(response) {
  const said = await response.json().catch(() => ({}));
  const words = String(said.error ?? `status ${response.status}`);
  const bare = words.replace(/\{\{.*?\}\}|\[\[.*?\]\]|\[Op:.*?\]/g, "").split("\n");
  const causes = bare.map((line) => line.replace(/^\(\d+\)\s+[A-Z_]+:/, "").trim());
  const chatter = /^(Graph execution error|Detected at|File "|<stack|\d+ (root|successful|derived))/;
  return causes.find((line) => line && !chatter.test(line))?.slice(0, 300) ?? words.slice(0, 300);
}

function abortOr(message, options) {
  return (error) => {
    throw error.name === "AbortError" ? error : new Refusal(message, options);
  };
}

function toBase64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(new Refusal("The file cannot be read any more. Choose it again."));
    reader.readAsDataURL(blob);
  });
}
