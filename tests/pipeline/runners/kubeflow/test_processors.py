"""A container's share of the machine is what Beam counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.runners.kubeflow.processors import within_limit

ALL, ONE = "--direct_num_workers=0", "--direct_num_workers=1"


@pytest.mark.parametrize(
    ("limit", "threads"), [("400000 100000", 4), ("150000 100000", 2), ("50000 100000", 1)]
)
def test_all_cores_are_those_of_the_container(tmp_path: Path, limit: str, threads: int) -> None:
    (tmp_path / "cpu.max").write_text(f"{limit}\n")
    flags = within_limit(["--a=b", ALL], tmp_path / "cpu.max")
    assert flags == ["--a=b", f"--direct_num_workers={threads}"]
    assert within_limit([ONE], tmp_path / "cpu.max") == [ONE]


@pytest.mark.parametrize("limit", ["max 100000", "", "?"])
def test_without_a_limit_they_are_those_of_the_machine(tmp_path: Path, limit: str) -> None:
    (tmp_path / "cpu.max").write_text(limit)
    assert within_limit([ALL], tmp_path / "cpu.max") == [ALL]
    assert within_limit([ALL], tmp_path / "none") == [ALL]
