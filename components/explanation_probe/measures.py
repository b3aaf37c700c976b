"""What `explanation.json` says."""

from __future__ import annotations

from collections.abc import Mapping

from components.explanation_probe.comparison import Comparison
from components.explanation_probe.localisation import POINTING
from components.plain import Plain
from components.statistics.interval import Interval

# With fewer films an interval holds almost anything.
FEW_PATIENTS = 5


class Localisation(Plain):
    """Whether heat lies in the boxes of one finding on one dataset's films.

    Attributes:
      dataset: whose films.
      finding: out of the model's outputs.
      splits: of the films, to their number.
      films: that show the finding and have boxes.
      patients: they are of.
      prior_patients: all whose boxes the location prior is fitted on; a film never by those of its
        own patient.
      measures: pointing game, IoU and energy; empty where they cannot be had.
      unmeasured: why not.
    """

    dataset: str
    finding: str
    splits: Mapping[str, int]
    films: int
    patients: int
    prior_patients: int
    measures: tuple[Comparison, ...]
    unmeasured: str = ""

    @property
    def few(self) -> bool:
        """Whether they are of too few patients to claim anything."""
        return self.patients < FEW_PATIENTS

    @property
    def pointing(self) -> Comparison | None:
        """The pointing game, whose lift may gate a blessing."""
        return next((one for one in self.measures if one.measure == POINTING), None)


class Faithfulness(Plain):
    """Whether the model's answer depends on what its maps call hot.

    Attributes:
      finding: out of the model's outputs.
      films: that show the finding, those among the sample that the model is surest of.
      patients: they are of.
      deletion: mean probability by order, from the whole film to a blurred one.
      insertion: likewise, from a blurred one to the whole.
      areas: under the curves of deletion (small is good) and of insertion (large is good); empty
        where there are too few patients for an interval.
    """

    finding: str
    films: int
    patients: int
    deletion: Mapping[str, tuple[float, ...]]
    insertion: Mapping[str, tuple[float, ...]]
    areas: tuple[Comparison, ...]


class Stage(Plain):
    """The maps of a network whose weights were randomised, beside the model's own.

    Attributes:
      randomised: which part.
      rank_correlation: Spearman's, the mean over films.
      ssim: structural similarity, likewise.
      without_heat: films whose map is cold everywhere then; it is like no other.
    """

    randomised: str
    rank_correlation: Interval
    ssim: Interval
    without_heat: int


class Sanity(Plain):
    """Whether maps change when the network forgets.

    Attributes:
      finding: out of the model's outputs.
      films: whose maps are compared.
      between_films: rank correlation of the model's maps of different films.
      stages: from the head downwards.
      passed: whether little is left of the maps at each stage where most films have heat.
      sentence: the verdict in words.
    """

    finding: str
    films: int
    between_films: Interval
    stages: tuple[Stage, ...]
    passed: bool
    sentence: str


class Measures(Plain):
    """How good a model's explanations are.

    Attributes:
      method: of the maps, such as `grad_cam`.
      layer: whose activations they are of; empty for the backbone's last.
      grid: rows and columns of a map.
      splits: that were looked through.
      tolerance: of the pointing game, as a fraction of the side.
      seed: of samples, random orders and randomised weights.
      localisation: by dataset and finding that have boxes.
      without_boxes: datasets that have films with the finding, and no box on any of them.
      faithfulness: by finding.
      sanity: likewise.
    """

    method: str
    layer: str
    grid: tuple[int, int]
    splits: tuple[str, ...]
    tolerance: float
    seed: int
    localisation: tuple[Localisation, ...]
    without_boxes: tuple[str, ...]
    faithfulness: tuple[Faithfulness, ...]
    sanity: tuple[Sanity, ...]

    def of(self, dataset: str) -> tuple[Localisation, ...]:
        """What was measured on one dataset's films."""
        return tuple(one for one in self.localisation if one.dataset == dataset)


class FilmRow(Plain):
    """What one film with boxes gave.

    Attributes:
      sha256: of the film.
      dataset: that it is of.
      split: likewise.
      finding: whose map and boxes.
      logit: of the finding, uncalibrated.
      values: by measure and map.
    """

    sha256: str
    dataset: str
    split: str
    finding: str
    logit: float
    values: Mapping[str, Mapping[str, float]]
