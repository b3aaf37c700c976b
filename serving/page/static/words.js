// Numbers and codes in words.

/** Warnings about an image, from comma-joined codes and what each means. */
export function warnings(codes, meanings) {
  const named = (codes ?? "").split(",").filter(Boolean);
  return named.map((code) => meanings[code] ?? `The model warns of this image: ${code}.`);
}

/** Three decimals, and never a rounded 0 or 1. */
export function probability(value, digits = 3) {
  if (value < 0.001) return "< 0.001";
  return value > 0.999 ? "> 0.999" : value.toFixed(digits);
}

/** Probability and threshold, with as many decimals as it takes to tell them apart. */
export function compared(value, threshold) {
  const alike = (digits) => probability(value, digits) === probability(threshold, digits);
  const digits = value === threshold ? 3 : [3, 4, 5, 6].find((n) => !alike(n)) ?? 6;
  return [probability(value, digits), probability(threshold, digits)];
}

/** Two significant digits. */
export function logits(value) {
  return value === 0 ? "0" : String(Number(value.toPrecision(2)));
}

/** How an operating point was found, and what it reached on the films it was found on. */
export function chosen(point, finding) {
  if (!point.chosen_by) return "";
  const how = point.chosen_by.startsWith("a ") ? "is" : "was chosen by";
  const reached = [
    rate("found", point.sensitivity, point.positives, `with ${finding}`, "sensitivity"),
    rate("cleared", point.specificity, point.negatives, "without", "specificity"),
  ].filter(Boolean);
  const there = reached.length ? ` On the validation films it ${reached.join(" and ")}.` : "";
  return `The operating point ${how} ${point.chosen_by}.${there}`;
}

/** The log odds of a probability, which may be 0 or 1 after rounding. */
export function logOdds(value) {
  const clipped = Math.min(Math.max(value, 1e-12), 1 - 1e-12);
  return Math.log(clipped / (1 - clipped));
}

/** A class name as it stands in a sentence. */
export function plain(name) {
  return name.replaceAll("_", " ");
}

/** A file's size for people. */
export function size(bytes) {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function rate(verb, share, of, which, name) {
  if (share === null || share === undefined || !of) return "";
  return `${verb} ${Math.round(share * of)} of ${of} ${which} (${name} ${share.toFixed(3)})`;
}
