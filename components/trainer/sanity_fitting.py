"""The constants of input sanity: what training films are like, and where validation films end."""

from __future__ import annotations

import dataclasses

import numpy as np
from sklearn.cluster import KMeans

from components.example_gen.settings import Quality
from components.trainer import input_sanity
from components.trainer.film_sample import FilmSample
from components.trainer.input_sanity import Limits, Reference

# Of validation films, the share that gets the warning `unlike_training`.
LEVEL = 0.01
# How much layouts weigh beside embeddings, in squares of their mean distances.
_LAYOUT_WEIGHT = 0.6
# A film must be near one of these groups. A centre is the mean of at least two films: no single
# patient's is in the model.
_MOST_GROUPS = 64
_FEWEST_IN_GROUP = 2
# With a weaker correlation among films, a negative is not told from what is merely unusual.
_LEAST_CORRELATION = 0.1


@dataclasses.dataclass(frozen=True)
class SanityAccount:
    """What the contract says of the warnings.

    Attributes:
      limits: where they begin.
      level: the share of films like validation's that is to get `unlike_training`.
      training_images: that the reference was made of.
      validation_images: that the limits were set on.
      warned: the share of these that gets each warning.
    """

    limits: Limits
    level: float
    training_images: int
    validation_images: int
    warned: dict[str, float]


def fit_sanity(
    training: FilmSample, validation: FilmSample, *, seed: int
) -> tuple[Reference, SanityAccount]:
    """Make the reference of training films, and set the limits on validation films.

    The distance is that to the nearest of at most 64 groups of training films (k-means) in
    embedding and layout. A single Gaussian (Mahalanobis distance, Lee et al. 2018) took films on
    their side, and quarters of films, for films: those of children and adults, collimated or not,
    are no single cloud. The nearest single film (Sun et al. 2022) tells as much as the nearest
    group, and would put patients' films into the model.

    Limits of colour and contrast are those of the ingest, unless validation films exceed them. A
    film's negative has minus its correlation with the mean film: the limit lies half-way between
    0, where things lie that are no chest, and the negatives of all but 1 % of validation films.

    Args:
      training: sampled training films.
      validation: sampled validation films.
      seed: of the groups.
    """
    reference = _reference(training, seed)
    distances = input_sanity.distance(validation.layouts, validation.embeddings, reference).numpy()
    correlations = input_sanity.correlation(validation.layouts, reference).numpy()
    deviations = validation.scalars["std"]
    least = float(np.quantile(correlations, LEVEL))
    limits = Limits(
        colour=max(Quality().max_colour, _high(validation.colours)),
        blank=min(Quality().min_contrast, float(np.quantile(deviations, LEVEL)) / 2),
        inverted=-least / 2 if least > _LEAST_CORRELATION else None,
        unlike_training=_high(distances),
    )
    warned = {
        input_sanity.COLOUR: validation.colours > limits.colour,
        input_sanity.BLANK: deviations < limits.blank,
        input_sanity.INVERTED: correlations < (limits.inverted or -np.inf),
        input_sanity.UNLIKE_TRAINING: distances > limits.unlike_training,
    }
    account = SanityAccount(
        limits=limits,
        level=LEVEL,
        training_images=len(training),
        validation_images=len(validation),
        warned={name: float(found.mean()) for name, found in warned.items()},
    )
    return reference, account


def _high(values: np.ndarray) -> float:
    return float(np.quantile(values, 1 - LEVEL, method="higher"))


def _reference(films: FilmSample, seed: int) -> Reference:
    embedding, layout = films.embeddings.mean(axis=0), films.layouts.mean(axis=0)
    deviation = films.embeddings.std(axis=0)
    # A channel that is silent on nearly all films would else decide alone.
    deviation = np.maximum(deviation, np.sqrt(np.mean(deviation**2)) or 1.0)
    scaled = (films.embeddings - embedding) / deviation
    layout_scale = np.sqrt(_LAYOUT_WEIGHT) / _spread(films.layouts - layout)
    reference = Reference(
        layout=layout,
        layout_scale=float(layout_scale),
        embedding=embedding,
        embedding_scale=(1 / (deviation * _spread(scaled))).astype(np.float32),
        centres=np.zeros((0, 0), np.float32),
    )
    points = input_sanity.joined(films.layouts, films.embeddings, reference).numpy()
    return dataclasses.replace(reference, centres=_centres(points, seed))


def _spread(differences: np.ndarray) -> float:
    """The root of the mean squared distance from the mean; 1 where all are the same."""
    return float(np.sqrt(np.mean(np.sum(differences**2, axis=1)))) or 1.0


def _centres(points: np.ndarray, seed: int) -> np.ndarray:
    groups = min(_MOST_GROUPS, max(1, len(points) // _FEWEST_IN_GROUP))
    fitted = KMeans(groups, n_init=1, random_state=seed).fit(points)
    films = np.bincount(fitted.labels_, minlength=groups)
    several = films >= min(_FEWEST_IN_GROUP, films.max())
    return fitted.cluster_centers_[several].astype(np.float32)
