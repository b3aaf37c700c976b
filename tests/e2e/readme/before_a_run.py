"""README's commands that need no run, and those that would start one: up to its first node."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.example_gen.public import published
from tests.components.example_gen.public import kaggle_stub
from tests.e2e.readme.terminal import Run, Terminal
from tests.pages import ROOT
from tests.pipeline.runners.kubeflow.fake_api import FakeApi


class _StartedError(BaseException):
    """Instead of the first node; no failure of the run."""


def _starts(terminal: Terminal, words: list[str]) -> None:
    """All but the nodes: settings, data and the pipeline, as TFX takes it."""
    from tfx.dsl.compiler.compiler import Compiler

    from components import storage
    from pipeline.runners import local
    from tests import stores

    compiled = []

    def start(pipeline: Any) -> None:
        compiled.append(Compiler().compile(pipeline))
        raise _StartedError

    terminal.monkeypatch.setattr(local, "run", start)
    if any("BUCKET" in word for word in words):
        bucket = stores.memory()
        words = [re.sub(r"\w+://BUCKET", bucket, word) for word in words]
        storage.upload(Path("data"), words[words.index("--data-root") + 1])
    # No network is asked for weights, and no thousand films are drawn.
    words += ["--set", "trainer.weights=none"]
    if "--data-root" not in words:
        words += ["--data-root", "data"]
    with pytest.raises(_StartedError):
        terminal.cxr(words)
    (pipeline,) = compiled
    nodes = {node.pipeline_node.node_info.id for node in pipeline.nodes}
    assert {"XrayExampleGen", "Trainer", "Pusher"} <= nodes


def _fetches(terminal: Terminal, words: list[str]) -> None:
    sets = {one.name: one for one in (kaggle_stub.TINY_PEDIATRIC, kaggle_stub.TINY_NIH)}
    for name, tiny in sets.items():
        terminal.monkeypatch.setitem(published.DATASETS, name, tiny)
    archives = {
        "pediatric": lambda: kaggle_stub.pediatric_archive(kaggle_stub.pediatric_files()),
        "nih": lambda: kaggle_stub.zip_of(kaggle_stub.nih_files()),
    }
    words[words.index("--out") + 1] = "fetched"
    with kaggle_stub.KaggleStub() as stub:
        stub.archive = archives[words[3]]()
        kaggle_stub.point_kagglehub_at(stub.url, Path.home(), terminal.monkeypatch)
        assert "is there now, and is whole" in terminal.cxr(words)


def _synthesizes(terminal: Terminal, words: list[str]) -> None:
    words[words.index("--images") + 1] = "20"
    words[words.index("--out") + 1] = "drawn"
    assert "20 synthetic" in terminal.cxr(words)


def _inspects(terminal: Terminal, words: list[str]) -> None:
    said = terminal.cxr(words)
    assert "pediatric in data" in said
    assert "nih in data" in said


def _compiles(terminal: Terminal, words: list[str]) -> None:
    terminal.cxr(words)
    (output,) = (words[n] for n, word in enumerate(words, 1) if word in ("-o", "--output"))
    spec = next(iter(yaml.safe_load_all(Path(output).read_text())))
    assert "Pusher" in spec["components"]["tfx-dag"]["dag"]["tasks"]


def _submits(terminal: Terminal, words: list[str]) -> None:
    api = FakeApi()
    with api.serve() as endpoint:
        words[words.index("--endpoint") + 1] = endpoint
        terminal.cxr(words)
    (run,) = api.runs
    assert "Pusher" in json.dumps(run["pipeline_spec"])


def _is_a_target(_: Terminal, words: list[str]) -> None:
    """`make test` is what runs this; and `make demo` is `cxr run demo`, as in test_run.py."""
    done = subprocess.run(
        ["make", "--dry-run", "--directory", str(ROOT), *words[1:]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def _has_its_file(_: Terminal, words: list[str]) -> None:
    """Whether Docker takes it is asked in tests/serving/deploy/test_compose.py."""
    file = words[words.index("-f") + 1]
    assert (ROOT / file).is_file()
    tested = (ROOT / "tests/serving/deploy/test_compose.py").read_text()
    assert Path(file).name in tested


BEFORE_A_RUN: dict[str, Run] = {
    "cxr run": _starts,
    "cxr compile": _compiles,
    "cxr submit": _submits,
    "cxr data fetch": _fetches,
    "cxr data synthesize": _synthesizes,
    "cxr data inspect": _inspects,
    "make": _is_a_target,
    "docker compose": _has_its_file,
}
