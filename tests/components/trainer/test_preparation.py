"""Where the caches are."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.trainer import preparation
from components.trainer.settings import TrainerSettings


@pytest.mark.parametrize(
    ("cache", "xdg", "expected"),
    [("kept", "xdg", "kept"), (None, "xdg", "xdg/cxr"), (None, "", "home/.cache/cxr")],
)
def test_where_activations_are_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: str | None, xdg: str, expected: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / xdg) if xdg else "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    settings = TrainerSettings.model_validate(
        {"cache": {"folder": cache and str(tmp_path / cache)}}
    )

    assert preparation.cache_root(settings, tmp_path / "fallback") == tmp_path / expected
