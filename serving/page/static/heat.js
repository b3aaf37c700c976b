// Heat maps as pixels, by the rules of the reports: bilinear between the centres of the cells,
// one scale for all films, and the colder a place the more of the film shows through.

import { PLASMA } from "./plasma.js";

const LONGEST_SIDE = 512;

/** Draw a map, rows of logits, onto a canvas that covers a film of this width and height. */
export function drawMap(canvas, rows, reference, width, height) {
  const scale = Math.min(1, LONGEST_SIDE / Math.max(width, height));
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const across = mixes(canvas.width, rows[0].length);
  const down = mixes(canvas.height, rows.length);
  paint(canvas, (x, y) => {
    const [left, right, toRight] = across[x];
    const [above, below, toBelow] = down[y];
    const upper = rows[above][left] * (1 - toRight) + rows[above][right] * toRight;
    const lower = rows[below][left] * (1 - toRight) + rows[below][right] * toRight;
    const logit = upper * (1 - toBelow) + lower * toBelow;
    return reference > 0 ? logit / reference : 0;
  });
}

/** Draw the legend: heat 0 to 1 from left to right. */
export function drawBar(canvas) {
  paint(canvas, (x) => x / (canvas.width - 1));
}

/** Where a map is hottest, in thirds of the image, and by how many logits; null if nowhere. */
export function hottest(rows) {
  let best = { logits: 0, row: 0, column: 0 };
  rows.forEach((cells, row) =>
    cells.forEach((logits, column) => {
      if (logits > best.logits) best = { logits, row, column };
    }),
  );
  if (!best.logits) return null;
  const third = (at, size, names) => names[Math.min(2, Math.floor(((at + 0.5) / size) * 3))];
  const vertical = third(best.row, rows.length, ["upper", "middle", "lower"]);
  const horizontal = third(best.column, rows[0].length, ["left", "centre", "right"]);
  return { logits: best.logits, place: `${vertical} ${horizontal}` };
}

/** For each of `size` pixels the two cells around its centre, and how near it is to the second. */
function mixes(size, cells) {
  return Array.from({ length: size }, (_, pixel) => {
    const at = Math.min(Math.max(((pixel + 0.5) * cells) / size - 0.5, 0), cells - 1);
    const first = Math.floor(at);
    return [first, Math.min(first + 1, cells - 1), at - first];
  });
}

/** Colour each pixel by its heat, which is also its opacity. */
function paint(canvas, heatAt) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  for (let y = 0, at = 0; y < canvas.height; y++) {
    for (let x = 0; x < canvas.width; x++, at += 4) {
      const level = Math.round(255 * Math.min(Math.max(heatAt(x, y), 0), 1));
      image.data.set(PLASMA.subarray(3 * level, 3 * level + 3), at);
      image.data[at + 3] = level;
    }
  }
  context.putImageData(image, 0, 0);
}
