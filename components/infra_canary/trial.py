"""What came of the trial: one verdict for each thing that was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from components.plain import Plain
from serving.golden import Golden

FILE_NAME = "canary.json"

Verdict = Literal["passed", "refused", "not judged"]

PROBABILITY = "probability"


class Check(Plain):
    """One thing that was asked of the model.

    Attributes:
      name: of what is asked, such as `golden`.
      verdict: what came of it.
      sentence: what was compared.
      value: what was found; None where nothing could be.
      limit: what it may be; None where there is nothing to measure.
    """

    name: str
    verdict: Verdict
    sentence: str
    value: float | None = None
    limit: float | None = None


class Trial(Plain):
    """The verdicts.

    Attributes:
      server: that the model was asked on.
      checks: in the order in which they were asked.
    """

    server: str
    checks: tuple[Check, ...]

    @property
    def blessed(self) -> bool:
        """Whether nothing speaks against the push."""
        return bool(self.checks) and not self.refused_by

    @property
    def refused_by(self) -> tuple[Check, ...]:
        """The checks that were not passed."""
        return tuple(check for check in self.checks if check.verdict == "refused")


def check_signatures(promised: Sequence[str], found: Sequence[str]) -> Check:
    """Whether the model has what its contract promises."""
    missing = sorted(set(promised) - set(found))
    if missing:
        return Check(
            name="signatures", verdict="refused", sentence=f"the model lacks {', '.join(missing)}"
        )
    return Check(
        name="signatures",
        verdict="passed",
        sentence=f"it has all {len(promised)}: {', '.join(promised)}",
    )


def check_finite(answers: Mapping[tuple[str, int], Mapping[str, NDArray]]) -> Check:
    """Whether every number is one, and every output has a row for each film.

    Args:
      answers: outputs by signature and batch size, each [N, ...].
    """
    for (signature, size), outputs in answers.items():
        for name, values in outputs.items():
            where = f"{name} of {signature} in a batch of {size}"
            if values.ndim < 1 or len(values) != size:
                shape = list(values.shape)
                sentence = f"{where} has shape {shape}: not a row for each film"
                return Check(name="numbers", verdict="refused", sentence=sentence)
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                bad = int(np.sum(~np.isfinite(values)))
                sentence = f"{where}: {bad} of {values.size} values are NaN or infinite"
                return Check(name="numbers", verdict="refused", sentence=sentence)
            if name == PROBABILITY and not ((values >= 0) & (values <= 1)).all():
                sentence = f"{where} is not on [0, 1]"
                return Check(name="numbers", verdict="refused", sentence=sentence)
    return Check(
        name="numbers",
        verdict="passed",
        sentence=f"all are finite in {len(answers)} answers, with a row for each film",
    )


def check_agreement(
    reference: NDArray[np.float32],
    answers: Mapping[tuple[str, int], Mapping[str, NDArray]],
    limit: float,
) -> Check:
    """Whether a film's probability is the same by every signature and in every batch.

    Args:
      reference: of the films, [F] or [F, K].
      answers: as of `check_finite`; their batches are the first films.
      limit: largest difference.
    """
    largest, where = 0.0, ""
    for (signature, size), outputs in answers.items():
        if PROBABILITY in outputs:
            difference = largest_difference(outputs[PROBABILITY], reference[:size])
            if difference >= largest:
                largest, where = difference, f"{signature} in a batch of {size}"
    return Check(
        name="agreement",
        verdict="passed" if largest <= limit else "refused",
        sentence=f"the same film's probabilities lie up to {largest:.2g} apart, in {where} (limit "
        f"{limit:g})",
        value=largest if np.isfinite(largest) else None,
        limit=limit,
    )


def check_golden(
    probability: NDArray[np.float32],
    decision: NDArray[np.int64],
    golden: Golden | None,
    contract: Mapping[str, Any],
) -> Check:
    """Whether the server answers as the Trainer's own network did.

    Args:
      probability: of the films, [F] or [F, K].
      decision: likewise.
      golden: what the Trainer noted; None where it did not.
      contract: of the model.
    """
    if golden is None:
        return Check(
            name="golden",
            verdict="not judged",
            sentence="the model came without golden.json: nothing to compare its answers with",
        )
    off, wrong = golden.mistakes(probability, decision, contract)
    return Check(
        name="golden",
        verdict="refused" if off > golden.tolerance or wrong else "passed",
        sentence=f"on {len(golden.films)} synthetic films its probabilities are up to {off:.2g} "
        f"off those of the Trainer's own network (limit {golden.tolerance:g}), and {wrong} "
        "decisions differ",
        value=off if np.isfinite(off) else None,
        limit=golden.tolerance,
    )


def check_latency(milliseconds: Sequence[float], limit: float) -> Check:
    """Whether a single film is answered in time.

    Args:
      milliseconds: of some requests, the model being warm.
      limit: for their median.
    """
    median = float(np.median(milliseconds))
    return Check(
        name="latency",
        verdict="passed" if median <= limit else "refused",
        sentence=f"a single film takes {median:.0f} ms, the median of {len(milliseconds)} requests "
        f"(limit {limit:g} ms)",
        value=median,
        limit=limit,
    )


def largest_difference(one: NDArray, other: NDArray) -> float:
    """The largest absolute difference; infinite where either is no number, or shapes differ."""
    if one.shape != other.shape:
        return float("inf")
    difference = np.abs(one.astype(np.float64) - other.astype(np.float64))
    return float(np.nan_to_num(difference, nan=np.inf).max(initial=0.0))
