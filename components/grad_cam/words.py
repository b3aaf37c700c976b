"""Numbers and names as a reader sees them."""

from __future__ import annotations

import math

from components.grad_cam.cases import log_odds

# The probability scale of a case: log odds from 0.1 % to 99.9 %.
_SCALE_END = log_odds(0.999)


def format_probability(value: float) -> str:
    """Three decimals, and never a rounded 0 or 1."""
    if value < 0.001:
        return "< 0.001"
    return "> 0.999" if value > 0.999 else f"{value:.3f}"


def format_logits(value: float) -> str:
    """Two significant digits, without an exponent unless it is very small."""
    if value == 0:
        return "0"
    digits = 1 - math.floor(math.log10(abs(value)))
    return f"{value:.{max(0, digits)}f}" if digits < 6 else f"{value:.1e}"


def format_figure(value: float | None) -> str:
    """Three decimals, or a dash where it is not defined."""
    return "–" if value is None else f"{value:.3f}"


def scale_position(probability: float) -> str:
    """Where a probability stands on a scale of log odds, as a CSS length."""
    fraction = (log_odds(probability) / _SCALE_END + 1) / 2
    return f"{100 * min(max(fraction, 0.0), 1.0):.1f}%"


def heading(name: str) -> str:
    """The name of a feature, for people."""
    return name.replace("age_years", "age in years").replace("_", " ").capitalize()
