"""The log of scalars: what is in it, how large it gets, and that it holds nothing up."""

from __future__ import annotations

import datetime
import json
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.server import request_log
from serving.server.request_log import RequestLog, RequestLogError, scalars
from serving.server.rotated_files import log_files


def lines(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line) for file in log_files(folder) for line in file.read_text().splitlines()
    ]


def test_a_line_is_an_images_scalars_and_the_minute(tmp_path: Path) -> None:
    moment = datetime.datetime(2031, 5, 14, 9, 26, 53, 589793, datetime.UTC)
    with RequestLog(tmp_path / "log", clock=lambda: moment) as log:
        log.record(
            "cxr", 3, {"mean": [0.123456789, 0.5], "probability": np.float32([0.25, np.nan])}
        )

    assert lines(tmp_path / "log") == [
        {
            "time": "2031-05-14T09:26Z",
            "model": "cxr",
            "version": 3,
            "values": {"mean": 0.1235, "probability": 0.25},
        },
        {"time": "2031-05-14T09:26Z", "model": "cxr", "version": 3, "values": {"mean": 0.5}},
    ]


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    with RequestLog(tmp_path / "log") as log:
        log.record("cxr", 1, {"mean": [0.5]})

    (file,) = log_files(tmp_path / "log")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_it_goes_on_after_a_restart_and_after_a_crash(tmp_path: Path) -> None:
    for number in (1, 2):
        with RequestLog(tmp_path) as log:
            log.record("cxr", number, {"mean": [0.5]})
    (file,) = log_files(tmp_path)
    with file.open("a") as torn:
        torn.write('{"time": "2031-05-14T0')

    with RequestLog(tmp_path) as log:
        log.record("cxr", 3, {"mean": [0.5]})

    (file,) = log_files(tmp_path)
    *whole, torn_line, last = file.read_text().splitlines()
    assert [json.loads(line)["version"] for line in [*whole, last]] == [1, 2, 3]
    assert torn_line == '{"time": "2031-05-14T0'


def test_files_are_bounded_in_size_and_number(tmp_path: Path) -> None:
    with RequestLog(tmp_path, max_bytes=1_000, max_files=3) as log:
        for number in range(200):
            log.record("cxr", number, {"mean": [0.5]})

    files = log_files(tmp_path)
    assert len(files) == 3
    assert all(file.stat().st_size <= 1_000 for file in files)
    versions = [line["version"] for line in lines(tmp_path)]
    assert versions == list(range(versions[0], 200))  # the newest, and none between is lost
    assert len(versions) > 20


def test_many_threads_write_whole_lines(tmp_path: Path) -> None:
    with RequestLog(tmp_path, max_bytes=20_000, max_files=100) as log:

        def ask(version: int) -> None:
            for _ in range(50):
                log.record("cxr", version, {"mean": [0.1, 0.2, 0.3]})

        threads = [threading.Thread(target=ask, args=(version,)) for version in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len(log_files(tmp_path)) > 1
    written = [line["version"] for line in lines(tmp_path)]
    assert {version: written.count(version) for version in range(8)} == dict.fromkeys(range(8), 150)


@pytest.fixture
def stuck(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[RequestLog, Any]]:
    """A log with room for ten lines, whose disk hangs until it is let go."""
    free = threading.Event()
    write = os.write

    def hang(file: int, text: bytes) -> int:
        free.wait(30)
        return write(file, text)

    monkeypatch.setattr(request_log, "_WAITING", 10)
    with RequestLog(tmp_path) as log:
        monkeypatch.setattr(os, "write", hang)
        yield log, free
        free.set()
    monkeypatch.setattr(os, "write", write)


def test_a_disk_that_hangs_holds_nothing_up_and_what_is_dropped_is_told(
    stuck: tuple[RequestLog, Any], tmp_path: Path
) -> None:
    log, free = stuck
    start = time.monotonic()
    for number in range(1_000):
        log.record("cxr", number, {"mean": [0.5]})
    assert time.monotonic() - start < 5
    assert 900 < log.dropped < 1_000

    free.set()
    asked, deadline = 1_000, time.monotonic() + 10
    while sum(line.get("dropped", 0) for line in lines(tmp_path)) < log.dropped:
        assert time.monotonic() < deadline
        time.sleep(0.05)
        log.record("cxr", asked, {"mean": [0.5]})
        asked += 1
    log.close()
    written = lines(tmp_path)
    told = sum(line.get("dropped", 0) for line in written)
    assert (told, sum("version" in line for line in written)) == (log.dropped, asked - log.dropped)


# Runs in a process of its own, which may write no file larger than a kilobyte: a full disk.
FULL = """
import resource, signal, sys
from pathlib import Path
from serving.server import request_log
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
request_log._PAUSE_SECONDS = 0.0
log = request_log.RequestLog(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, resource.RLIM_INFINITY))
for number in range(100):
    log.record("cxr", number, {"mean": [0.5]})
import time
while not log._waiting.empty():
    time.sleep(0.01)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.record("cxr", 100, {"mean": [0.5]})
log.close()
print(log.dropped)
"""


def test_a_full_disk_costs_lines_and_nothing_else(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    dropped = int(done.stdout)
    assert 0 < dropped <= 100
    written = lines(tmp_path)  # none is torn
    assert sum(line.get("dropped", 0) for line in written) == dropped
    assert sum("version" in line for line in written) == 101 - dropped
    assert written[-2]["version"] == 100 or written[-1]["version"] == 100


def test_it_needs_no_tensorflow(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "from pathlib import Path\nfrom serving.server.request_log import RequestLog\n"
        "with RequestLog(Path(sys.argv[1])) as log: log.record('cxr', 1, {'mean': [0.5]})\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)

    assert len(lines(tmp_path)) == 1


def test_a_share_of_the_images_is_chosen(tmp_path: Path) -> None:
    with RequestLog(tmp_path / "all") as log:
        assert log.choose(3) == [0, 1, 2]
    with RequestLog(tmp_path / "some", sampling=0.2) as log:
        chosen = [len(log.choose(10)) for _ in range(500)]
    assert 800 < sum(chosen) < 1_200
    assert max(chosen) <= 10


def test_what_comes_after_the_end_is_dropped(tmp_path: Path) -> None:
    log = RequestLog(tmp_path)
    log.close()
    log.close()

    log.record("cxr", 1, {"mean": [0.5, 0.5]})

    assert log.dropped == 2
    assert lines(tmp_path) == []


@pytest.mark.parametrize(
    ("setting", "value"),
    [("max_bytes", 10), ("max_files", 0), ("sampling", 0.0), ("sampling", 1.5)],
)
def test_settings_that_cannot_be_meant_are_refused(
    tmp_path: Path, setting: str, value: float
) -> None:
    with pytest.raises(RequestLogError, match=f"{setting} is {value}"):
        RequestLog(tmp_path, **{setting: value})  # type: ignore[arg-type]


def test_a_folder_that_cannot_be_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(RequestLogError, match="cannot be written to"):
        RequestLog(tmp_path / "file" / "log")


def test_scalars_of_either_kind_of_model() -> None:
    measured = {"mean": [0.25, 0.5]}

    one = scalars({"probability": np.float32([0.5, 0.75]), "label": [b"a", b"b"]}, measured)
    names = np.array([[b"Mass", b"Hernia"]] * 2)
    several = scalars(
        {"probability": np.float32([[0.5, 0.25], [0.75, 1]]), "label": names}, measured
    )

    assert one == {"mean": [0.25, 0.5], "probability": [0.5, 0.75]}
    assert several == {
        "mean": [0.25, 0.5],
        "probability/Mass": [0.5, 0.75],
        "probability/Hernia": [0.25, 1.0],
    }
