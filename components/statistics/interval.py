"""A figure with its uncertainty."""

from __future__ import annotations

from components.plain import Plain


class Interval(Plain):
    """An estimate with its confidence interval.

    Attributes:
      estimate: the figure.
      lower: end of the interval.
      upper: likewise.
      method: by which the interval was found, such as `DeLong`.
      level: of confidence, in (0, 1).
    """

    estimate: float
    lower: float
    upper: float
    method: str
    level: float = 0.95

    def __str__(self) -> str:
        return f"{self.estimate:.3f} ({self.lower:.3f} to {self.upper:.3f})"
