"""Settings of the ingest."""

from __future__ import annotations

import difflib
import math
from typing import Annotated, Any, Literal

import pydantic

from components.example_gen.datasets import registry
from components.example_gen.datasets.source import Source
from components.example_gen.record import Labels
from components.settings import Settings


def _registered(name: str) -> str:
    if name not in registry.DATASETS:
        close = difflib.get_close_matches(name, registry.DATASETS, n=1)
        hint = f"; did you mean {close[0]}?" if close else "."
        raise ValueError(
            f"no dataset is called {name!r}{hint} There are {', '.join(registry.DATASETS)}."
        )
    return name


DatasetName = Annotated[str, pydantic.AfterValidator(_registered)]


class Fractions(Settings):
    """The share of patients that each split gets; together 1.

    Attributes:
      train: what is learnt from.
      val: what stops training, and calibrates.
      test: what is measured on.
    """

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
    """How images are divided.

    `split: as_published` is short for `split: {method: as_published}`.

    Attributes:
      method: `by_patient`, or `as_published` for the folders or lists that a dataset came with;
        what they leave open, such as a validation split, is divided by patient. Nothing is then
        removed or moved, and leakage is counted.
      fractions: the share of patients in each split.
      salt: another salt is another division.
      near_duplicates: of films that are almost the same but bear different patients, `join` takes
        the patients for one, and `report` only counts them.
      near_duplicate_correlation: of their pixels, from which on films are almost the same; see
        `near_duplicates.Thresholds`.
    """

    method: Literal["by_patient", "as_published"] = "by_patient"
    fractions: Fractions = Fractions()
    salt: str = "cxr"
    near_duplicates: Literal["join", "report"] = "join"
    near_duplicate_correlation: float = pydantic.Field(default=0.88, gt=0.5, le=1)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _from_method(cls, value: Any) -> Any:
        return {"method": value} if isinstance(value, str) else value


class Quality(Settings):
    """Which images are no frontal chest films.

    `quality: report_only` is short for `quality: {mode: report_only}`. The defaults leave out no
    sound film of either public dataset.

    Attributes:
      mode: `quarantine` leaves such images out, `report_only` keeps and lists them. A file that
        cannot be decoded is left out in either case.
      min_side: pixels of the shorter side.
      min_contrast: standard deviation of the grey levels, which are on [0, 1].
      max_colour: mean difference between a pixel's strongest and weakest colour, on [0, 1].
      min_polarity: below it an image is taken for a negative, or for another part of the body; see
        `polarity.polarity`.
      modalities: DICOM's, those of plain films.
      body_parts: words of which DICOM's body part must hold one, where it is given.
      views: the view positions that are frontal.
    """

    mode: Literal["quarantine", "report_only"] = "quarantine"
    min_side: int = pydantic.Field(default=64, ge=1)
    min_contrast: float = pydantic.Field(default=0.03, ge=0, le=0.5)
    max_colour: float = pydantic.Field(default=0.08, ge=0, le=1)
    min_polarity: float = pydantic.Field(default=-0.18, ge=-1, le=1)
    modalities: tuple[str, ...] = ("CR", "DX", "DR", "RG")
    body_parts: tuple[str, ...] = ("CHEST", "THORAX", "LUNG")
    views: tuple[str, ...] = ("PA", "AP")

    @pydantic.model_validator(mode="before")
    @classmethod
    def _from_mode(cls, value: Any) -> Any:
        return {"mode": value} if isinstance(value, str) else value


class Synthesis(Settings):
    """Synthetic images to make before the run, where there is no real data.

    Attributes:
      images: how many of each dataset.
      seed: another seed, other films.
    """

    images: dict[Literal["pediatric", "nih"], Annotated[int, pydantic.Field(ge=50)]]
    seed: int = 7


class Data(Settings):
    """What is read.

    Attributes:
      root: the folder that holds the datasets, or its URL, such as `gs://bucket/x-rays`.
      labels: `pneumonia`, where an image with other findings is out of scope; or `findings`, where
        every image is labelled with each of the 14 of ChestX-ray14, for a multi-label model. Then
        `label` 0 only says that there is no pneumonia.
      datasets: which, by their registered names.
      split: how images are divided.
      quality: which images are left out as no frontal chest films.
      synthesize: make synthetic images, and read those; a data root that is given wins.
    """

    root: str | None = None
    labels: Labels = "pneumonia"
    datasets: dict[DatasetName, Source] = pydantic.Field(min_length=1)
    split: Split = Split()
    quality: Quality = Quality()
    synthesize: Synthesis | None = None

    @pydantic.model_validator(mode="after")
    def _synthesize_what_is_read(self) -> Data:
        if self.synthesize and set(self.synthesize.images) != set(self.datasets):
            raise ValueError(
                f"synthesize.images names {', '.join(sorted(self.synthesize.images))}, and "
                f"datasets {', '.join(sorted(self.datasets))}: name the same"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _label_what_is_known(self) -> Data:
        for name, source in self.datasets.items():
            registry.require_vocabulary(name, self.labels)
            if self.labels == "findings" and source.normals_per_pneumonia is not None:
                raise ValueError(
                    f"datasets.{name}.normals_per_pneumonia balances two classes, and "
                    "labels=findings has 14 findings, each with a balance of its own: leave it out "
                    "(null), and see trainer.imbalance"
                )
        return self
