"""How far apart sets of images were found to be."""

from __future__ import annotations

import dataclasses
import enum

from components.data_gate.comparators import Measure


class Kind(enum.StrEnum):
    """What a comparison is for."""

    SKEW = "skew"
    DRIFT = "drift"
    EXPECTED = "expected to differ"


@dataclasses.dataclass(frozen=True)
class Distance:
    """How far apart two sets are in a feature.

    Attributes:
      feature: its name.
      measure: what was measured.
      value: on [0, 1]; 1 where only one of the sets has the feature at all.
      limit: above it the data is refused; none where a difference is expected.
    """

    feature: str
    measure: Measure
    value: float
    limit: float | None

    @property
    def exceeds(self) -> bool:
        """Whether it is above its limit."""
        return self.limit is not None and self.value > self.limit


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two sets of images.

    Attributes:
      kind: what for.
      dataset: whose images; of two datasets, both names.
      first: what is compared, such as `train`.
      second: what with, such as `test`.
      images: how many each of them has.
      gated: whether there are enough images to judge by.
      distances: by feature, in the order of the schema.
    """

    kind: Kind
    dataset: str
    first: str
    second: str
    images: tuple[int, int]
    gated: bool
    distances: tuple[Distance, ...]

    @property
    def exceeded(self) -> list[Distance]:
        """What makes it refused: nothing, if there are too few images to judge by."""
        return [one for one in self.distances if one.exceeds] if self.gated else []
