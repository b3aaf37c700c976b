"""README's commands on a finished run, which stands for that of any experiment."""

from __future__ import annotations

import contextlib
import csv
import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.e2e.conftest import SMALL
from tests.e2e.readme.terminal import Run, Terminal

# What README's user has: a film, and folders of films.
FILM, FOLDERS = "film.jpeg", ("films", "more")
PLACEHOLDERS = {"FILE": FILM, "DIR": FOLDERS[0]}


def _says(*patterns: str) -> Run:
    def check(terminal: Terminal, words: list[str]) -> None:
        said = terminal.cxr(words)
        for pattern in patterns:
            assert re.search(pattern, said), said

    return check


def _opens_the_report(terminal: Terminal, words: list[str]) -> None:
    opened: list[str] = []
    terminal.monkeypatch.setenv("BROWSER", "any")
    terminal.monkeypatch.setattr(webbrowser, "open", opened.append)
    path = terminal.cxr(words).strip()
    assert opened == [Path(path).as_uri()]
    assert "<html" in Path(path).read_text()


def _predicts(terminal: Terminal, words: list[str]) -> None:
    if "--server" not in words:
        _answers(terminal, words)
        return
    with _served(["cxr", "serve", "--model-base-path", "runs/demo/serving/cxr"]) as ports:
        for rest, port in enumerate(ports):
            words[words.index("--server") + 1] = f"localhost:{port}"
            _answers(terminal, [*words, "--rest"] if rest else words)


def _answers(terminal: Terminal, words: list[str]) -> None:
    said = terminal.cxr(words)
    if "--out" not in words:
        assert re.search("normal|pneumonia", said)
    written = {words[n] for n, word in enumerate(words, 1) if word in ("--out", "--explain")}
    for path in map(Path, written):
        if path.suffix == ".csv":
            assert len(list(csv.DictReader(path.open()))) == len(list(Path(FOLDERS[0]).iterdir()))
        else:
            assert path.read_bytes().startswith(b"\x89PNG")


def _explains(terminal: Terminal, words: list[str]) -> None:
    cases = next(Path("runs/demo/artifacts/GradCamReport/report").glob("*/cases.json"))
    film = json.loads(cases.read_text())["cases"][0]["filename"]
    words[words.index("--case") + 1] = film
    assert "probability" in terminal.cxr(words).lower()
    assert Path(f"{Path(film).stem}_explained.png").is_file()


def _serves(_: Terminal, words: list[str]) -> None:
    with _served(words) as (_grpc, rest):
        status = json.loads(_get(f"http://localhost:{rest}/v1/models/cxr"))
        assert [one["state"] for one in status["model_version_status"]] == ["AVAILABLE"]
        assert "not a diagnostic device" in _get(f"http://localhost:{rest}/")


@contextlib.contextmanager
def _served(words: list[str]) -> Iterator[tuple[int, int]]:
    """The ports for gRPC and REST of a server that is started and stopped as a user does it."""
    ports = _free_port(), _free_port()
    flags = [f"--port={ports[0]}", f"--rest-api-port={ports[1]}"]
    with subprocess.Popen(
        [str(Path(sys.executable).parent / "cxr"), *words[1:], *flags],
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            assert server.stdout
            # Says where it is once it is there.
            assert any("page " in line for line in server.stdout)
            yield ports
            server.send_signal(signal.SIGTERM)
            assert server.wait(30) == 0
        finally:
            server.kill()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return str(answer.read().decode())


def _crosses(terminal: Terminal, words: list[str]) -> None:
    # The run's own settings: it has their matrix.
    assert "tested on nih" in terminal.cxr([*words, *SMALL])


def _measures(terminal: Terminal, words: list[str]) -> None:
    """All but the trainings, which are in test_results.py."""
    from pipeline import results

    asked = []

    def measure(config: Any, examples: str, graph: str, *, seed: int, **_: Any) -> Iterator[Any]:
        assert Path(examples).is_dir()
        assert Path(graph).is_dir()
        asked.append((config.name, seed))
        return iter(())

    terminal.monkeypatch.setattr(results, "measure", measure)
    terminal.cxr([*words, *SMALL])
    assert set(asked) == {("demo", 1), ("demo", 2), ("demo", 3)}
    assert "cxr results demo" in Path("runs/results/training.md").read_text()


ON_A_RUN: dict[str, Run] = {
    "cxr predict": _predicts,
    "cxr explain": _explains,
    "cxr serve": _serves,
    "cxr matrix": _crosses,
    "cxr results": _measures,
    "cxr report open": _opens_the_report,
    "cxr report list": _says("demo/", "blessed"),
    "cxr report compare": _says("demo", "AUC", "difference"),
    "cxr models list": _says("stable"),
    "cxr runs list": _says("demo", "blessed"),
    "cxr runs show": _says("XrayExampleGen", "Trainer", "Pusher"),
    "cxr runs lineage": _says("Trainer", "XrayExampleGen"),
    "cxr runs gc": _says("Nothing was: that takes --delete|Nothing to delete"),
}
