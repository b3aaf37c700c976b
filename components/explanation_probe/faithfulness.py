"""Whether the model's own answer depends on what a map calls hot.

Deletion and insertion, Petsiuk et al., "RISE: Randomized Input Sampling for Explanation of
Black-box Models", BMVC 2018, arXiv:1806.07421. The cells of a map are taken out of the film,
hottest first; the sooner the probability of the finding falls, the better the map knows what the
model looks at: a small area under that curve. Or they are put back, hottest first, into a film
that has nothing but blur: there a large area is good.

What is out is blurred, in both directions. Black patches would be shapes that no film has, and the
fall of the probability might be their doing (Hooker et al. 2019, arXiv:1806.10758).

The same is done in two orders that look at nothing: a random one, and from the centre outwards.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

DELETION, INSERTION = "deletion", "insertion"
HEAT, RANDOM, CENTRE = "heat", "random", "centre"
ORDERS = (HEAT, RANDOM, CENTRE)

# Of the blur, as a fraction of the film's side: no opacity is left of it, and no new edge.
_BLUR = 0.1

Values = NDArray[np.float64]
# Films, float32 [N, S, S, 3] on [0, 1], to the probability of the finding, float64 [N].
Predict = Callable[[NDArray[np.float32]], Values]


@dataclasses.dataclass(frozen=True)
class Curves:
    """The probability of the finding while one film is taken apart, and put together.

    Attributes:
      deletion: by order, float64 [steps + 1]: nothing taken out, ..., all of it.
      insertion: by order, likewise: nothing put back, ..., all of it.
    """

    deletion: Mapping[str, NDArray[np.float64]]
    insertion: Mapping[str, NDArray[np.float64]]


def take_apart(
    film: NDArray[np.float32],
    heat: NDArray[np.floating],
    predict: Predict,
    *,
    steps: int,
    rng: np.random.Generator,
) -> Curves:
    """Delete and insert the cells of a map.

    Args:
      film: float32 [S, S, 3] on [0, 1].
      heat: float [h, w], at least 0.
      predict: the model; asked about 5 (steps - 1) + 2 films at once.
      steps: as equal as whole cells allow.
      rng: of the random order, and of cells that are equally hot.
    """
    orders = _orders(heat, rng)
    cells = heat.size
    counts = np.round(np.linspace(0, cells, steps + 1)).astype(int)
    blurred = blur(film)
    # To put cells back is to take out all the others. The random order backwards is random, too,
    # so that one row of films tells both of its curves.
    sequences = {(DELETION, name): order for name, order in orders.items()}
    sequences |= {(INSERTION, name): orders[name][::-1] for name in (HEAT, CENTRE)}
    films = [film, blurred]
    for order in sequences.values():
        for count in counts[1:-1]:
            out = np.zeros(cells, bool)
            out[order[:count]] = True
            films.append(np.where(_pixels(out.reshape(heat.shape), film.shape), blurred, film))
    whole, nothing, *between = predict(np.stack(films))
    rows = np.reshape(between, (len(sequences), steps - 1))
    falling = {
        key: np.array([whole, *row, nothing]) for key, row in zip(sequences, rows, strict=True)
    }
    falling[INSERTION, RANDOM] = falling[DELETION, RANDOM]
    return Curves(
        deletion={name: falling[DELETION, name] for name in ORDERS},
        insertion={name: falling[INSERTION, name][::-1] for name in ORDERS},
    )


def area(curve: NDArray[np.float64]) -> float:
    """The area under a curve whose points are equally far apart on [0, 1]."""
    return float(np.trapezoid(curve, dx=1 / (len(curve) - 1)))


def blur(film: NDArray[np.float32]) -> NDArray[np.float32]:
    """A film without detail: float32 [S, S, 3] both."""
    return cv2.GaussianBlur(
        film, (0, 0), _BLUR * film.shape[0], borderType=cv2.BORDER_REPLICATE
    ).astype(np.float32)


def _orders(heat: NDArray[np.floating], rng: np.random.Generator) -> dict[str, NDArray[np.intp]]:
    """The cells by number, those that are taken out first at the front; each int [h w]."""
    rows, columns = heat.shape
    y = (np.arange(rows) + 0.5) / rows - 0.5
    x = (np.arange(columns) + 0.5) / columns - 0.5
    outwards = np.hypot(y[:, np.newaxis], x).ravel()
    by_chance = rng.permutation(heat.size)
    return {
        HEAT: np.lexsort((by_chance, -heat.ravel())),
        RANDOM: rng.permutation(heat.size),
        CENTRE: np.lexsort((by_chance, outwards.round(9))),
    }


def _pixels(cells: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Cells as pixels of a film, bool [S, S, 1]; a grid need not divide the film."""
    rows = np.arange(shape[0]) * cells.shape[0] // shape[0]
    columns = np.arange(shape[1]) * cells.shape[1] // shape[1]
    return cells[np.ix_(rows, columns)][..., np.newaxis]
