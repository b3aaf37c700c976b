"""Whether a version answers as it should, before a label stands for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serving.golden import read_films, read_golden
from serving.labels import VersionError
from serving.prediction import Answer, FindingsPrediction, PredictionError
from serving.saved_model import SavedModelPredictor
from serving.version_folders import CONTRACT_FILE, incomplete


def check_version(folder: Path) -> str:
    """Load a version in this process, and ask it the synthetic films of its warm-up file.

    Args:
      folder: of the version.

    Returns:
      What was found to be in order, as a sentence.

    Raises:
      VersionError: if it is incomplete, has no contract, cannot be loaded, or does not answer with
        the probabilities that its Trainer noted.
    """
    if problem := incomplete(folder):
        raise VersionError(f"{folder}: incomplete: {problem}")
    if not (folder / CONTRACT_FILE).is_file():
        raise VersionError(f"{folder}: no {CONTRACT_FILE}: no model of this project")
    try:
        golden = read_golden(folder)
        with SavedModelPredictor(folder) as predictor:
            films = golden.films if golden else read_films(folder)
            answers = predictor.predict(films)
    except PredictionError as error:
        raise VersionError(f"{folder}: does not work: {error}") from error
    if not films:
        return "it loads; it came without synthetic films to ask"
    if golden is None:
        return f"it answers {len(films)} synthetic films; it came without answers to compare"
    probability, decision = _columns(answers)
    off, wrong = golden.mistakes(probability, decision, predictor.contract)
    if off > golden.tolerance or wrong:
        raise VersionError(
            f"{folder}: its probabilities of synthetic films are up to {off:.2g} off those of its "
            f"Trainer (limit {golden.tolerance:g}), and {wrong} decisions differ: it was damaged, "
            "or does not suit this machine"
        )
    return f"it answers {len(films)} synthetic films as its Trainer did, within {off:.1g}"


def _columns(answers: Sequence[Answer]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Probabilities and decisions, [F] or [F, K]."""
    rows = [
        [(one.probability, one.decision) for one in answer.findings]
        if isinstance(answer, FindingsPrediction)
        else (answer.probability, answer.decision)
        for answer in answers
    ]
    both = np.array(rows, np.float64)
    return both[..., 0].astype(np.float32), both[..., 1].astype(np.int64)
