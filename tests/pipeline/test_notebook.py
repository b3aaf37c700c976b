"""What notebooks are told of a run that is not what they need."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.config import ConfigError
from pipeline.notebook import FinishedRun


def test_a_refused_model_cannot_be_served(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text(json.dumps({"verdict": "refused"}))
    with pytest.raises(ConfigError, match=r"is refused, and nothing was pushed: take another run"):
        _ = FinishedRun(tmp_path).served
