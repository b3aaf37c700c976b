"""Where the commands of README are typed."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.cli import main


@dataclasses.dataclass(frozen=True)
class Terminal:
    """A folder in which a user types commands, in this process."""

    monkeypatch: pytest.MonkeyPatch
    capfd: pytest.CaptureFixture[str]

    def cxr(self, words: list[str]) -> str:
        """Run it as a user does; returns what it said."""
        self.monkeypatch.setattr(sys, "argv", words)
        code: Any = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
        said = self.capfd.readouterr()
        assert code == 0, f"{' '.join(words)}\n{said.out}{said.err}"
        return said.out


# Runs one command, by its words, and checks what came of it.
Run = Callable[[Terminal, list[str]], None]
