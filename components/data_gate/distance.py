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
      value: on [0, 1].
      limit: above it the data is refused; none where a difference is expected.
      images: how many of each set it was measured on.
      judged: whether these are enough, so that it may refuse the data.
    """

    feature: str
    measure: Measure
    value: float
    limit: float | None
    images: tuple[int, int]
    judged: bool

    @property
    def name(self) -> str:
        """What is compared: a feature's values, or the share of images that has it."""
        if self.measure is Measure.PRESENCE:
            return f"{self.feature}, share that has it"
        return self.feature

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
      gated: whether it may refuse the data at all: there are enough images, and both sets were
        made by the same settings.
      distances: by feature, in the order of the schema.
      changed: the settings that one of the sets was not made by.
    """

    kind: Kind
    dataset: str
    first: str
    second: str
    images: tuple[int, int]
    gated: bool
    distances: tuple[Distance, ...]
    changed: tuple[str, ...] = ()

    @property
    def exceeded(self) -> list[Distance]:
        """What makes it refused: only what was measured on enough images to judge by."""
        return [one for one in self.distances if one.judged and one.exceeds]
