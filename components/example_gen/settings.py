"""Settings of the ingest."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import pydantic

from components.settings import Settings

DatasetName = Literal["pediatric", "nih"]


class Source(Settings):
    """One dataset.

    Attributes:
      folder: below the data root; the dataset's usual folder names are tried without it.
      normals_per_pneumonia: leave out normal images until so many are left for each pneumonia
        image, within each split; nothing is left out without it.
    """

    folder: str | None = None
    normals_per_pneumonia: float | None = pydantic.Field(default=None, gt=0)


class Fractions(Settings):
    """The share of patients that each split gets."""

    train: float = pydantic.Field(default=0.7, gt=0, lt=1)
    val: float = pydantic.Field(default=0.15, gt=0, lt=1)
    test: float = pydantic.Field(default=0.15, gt=0, lt=1)

    @pydantic.model_validator(mode="after")
    def _add_up(self) -> Fractions:
        total = self.train + self.val + self.test
        if not math.isclose(total, 1.0, abs_tol=1e-6):
            raise ValueError(f"train, val and test add up to {total:g}, not to 1")
        return self


class Split(Settings):
    """How patients are divided; another salt is another division."""

    fractions: Fractions = Fractions()
    salt: str = "cxr"


class Synthesis(Settings):
    """Synthetic images to make before the run, where there is no real data.

    Attributes:
      images: how many of each dataset.
      seed: another seed, other films.
    """

    images: dict[DatasetName, Annotated[int, pydantic.Field(ge=50)]]
    seed: int = 7


class Data(Settings):
    """What is read.

    Attributes:
      root: the folder that holds the datasets.
      datasets: which, by their registered names.
      split: how patients are divided.
      synthesize: make synthetic images, and read those; a data root that is given wins.
    """

    root: str | None = None
    datasets: dict[DatasetName, Source] = pydantic.Field(min_length=1)
    split: Split = Split()
    synthesize: Synthesis | None = None

    @pydantic.model_validator(mode="after")
    def _synthesize_what_is_read(self) -> Data:
        if self.synthesize and set(self.synthesize.images) != set(self.datasets):
            raise ValueError(
                f"synthesize.images names {', '.join(sorted(self.synthesize.images))}, and "
                f"datasets {', '.join(sorted(self.datasets))}: name the same"
            )
        return self
