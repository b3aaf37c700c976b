"""Settings of the gate that data must pass before anything is trained."""

from __future__ import annotations

import difflib
from typing import Annotated, Literal

import pydantic

from components.data_gate.comparators import compared_features
from components.settings import Settings

Fraction = Annotated[float, pydantic.Field(ge=0, le=1)]


class DataGateSettings(Settings):
    """What data is refused.

    The distances compare the images of one dataset, feature by feature: numbers by their
    Jensen-Shannon divergence, names (such as the sex) by the largest difference of a name's
    share. By chance, 100 images of random patients were up to 0.21 apart from 1,445 NIH films in
    sex and 0.19 in view position, and 150 images up to 0.16 (2,000 draws each); more where
    patients have many films each. When half of a split is made brighter by a tenth, blurred,
    inverted, framed in black or stretched by a fifth, some feature is 0.22 to 0.38 apart.

    Attributes:
      on_failure: `fail` stops the run; `warn` goes on, says so, and takes the data for accepted.
      max_quarantined: share of a dataset's images that may be quarantined.
      max_bad_rows: share of a dataset's rows and files that may be rows of a table that cannot be
        trusted.
      max_skew: distance between train and another split.
      max_drift: distance between this run's train and that of the last accepted run.
      limits: of single features, instead of either; such as `{image/p01: 0.3}`.
      max_share_difference: between two sets, in the share of images that have a feature at all.
      min_images: that must have a feature on either side; what is compared on fewer is shown, and
        refuses nothing.
    """

    on_failure: Literal["fail", "warn"] = "fail"
    max_quarantined: Fraction = 0.05
    max_bad_rows: Fraction = 0.05
    max_skew: Fraction = 0.2
    max_drift: Fraction = 0.2
    limits: dict[str, Fraction] = {}
    max_share_difference: Fraction = 0.2
    min_images: int = pydantic.Field(default=150, ge=1)

    @pydantic.field_validator("limits")
    @classmethod
    def _known_features(cls, limits: dict[str, float]) -> dict[str, float]:
        known = list(compared_features())
        for name in limits:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = f"; did you mean {close[0]}?" if close else "."
                raise ValueError(
                    f"no feature {name!r} is compared{hint} There are {', '.join(known)}."
                )
        return limits

    def skew_limits(self) -> dict[str, float]:
        """How far each feature may differ between train and another split."""
        return dict.fromkeys(compared_features(), self.max_skew) | self.limits

    def drift_limits(self) -> dict[str, float]:
        """How far each feature may differ between two runs."""
        return dict.fromkeys(compared_features(), self.max_drift) | self.limits
