"""Logs as servers leave them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from components.drift.requests import RequestLogError, read_requests
from serving.server.request_log import RequestLog
from serving.server.rotated_files import log_files


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Two versions of one model, and another model; rotated."""
    with RequestLog(tmp_path, max_bytes=1_000) as requests:
        requests.record("cxr", 1, {"mean": [0.1] * 20})
        requests.record("cxr", 2, {"mean": [0.2] * 30, "distance": [1.5, np.nan] * 15})
        requests.record("other", 7, {"mean": [0.3] * 5})
    assert len(log_files(tmp_path)) > 1
    return tmp_path


def test_a_versions_own_requests_are_read_from_all_files(log: Path) -> None:
    found = read_requests(log, 2, "cxr")

    assert (found.count, found.others, found.dropped, found.unreadable) == (30, 25, 0, 0)
    assert found.columns["mean"].tolist() == [0.2] * 30
    assert np.isnan(found.columns["distance"]).sum() == 15
    assert found.first <= found.last


def test_a_log_of_another_version_is_refused(log: Path) -> None:
    with pytest.raises(RequestLogError, match=r"cxr version 1 \(20\).*nothing of version 3"):
        read_requests(log, 3, "cxr")


def test_the_name_tells_models_of_the_same_version_apart(log: Path) -> None:
    with RequestLog(log) as requests:
        requests.record("cxr", 7, {"mean": [0.4]})

    assert read_requests(log, 7, "other").count == 5
    with pytest.raises(RequestLogError, match="cxr, other all have a version 7"):
        read_requests(log, 7, "third")


def test_damaged_and_dropped_lines_are_counted(log: Path) -> None:
    with log_files(log)[-1].open("a") as file:
        file.write('{"time": "2031-05-14T09:31Z", "dropped": 12}\n{"time": "2031-0\nnull\n')
        file.write('{"time": "2031-05-14T09:31Z", "model": "cxr", "version": 2, "values": 3}\n')

    found = read_requests(log, 2, "cxr")

    assert (found.count, found.dropped, found.unreadable) == (30, 12, 3)


def test_a_single_file_will_do(log: Path) -> None:
    assert read_requests(log_files(log)[0], 1, "cxr").count > 0


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestLogError, match="no request log"):
        read_requests(tmp_path, 1, "cxr")
    with RequestLog(tmp_path):
        pass
    with pytest.raises(RequestLogError, match="no request was logged there yet"):
        read_requests(tmp_path, 1, "cxr")
