"""The cluster that Flink's tests run on, where Flink can be had; Beam is not asked for."""

import json
import urllib.request
from pathlib import Path

import pytest

from pipeline.beam_clusters import FlinkSettings
from tests.beam import flink


def test_the_session_cluster_has_two_task_managers(tmp_path: Path) -> None:
    home = flink.distribution(FlinkSettings().version)
    with (
        flink.session_cluster(home, tmp_path) as master,
        urllib.request.urlopen(f"http://{master}/overview", timeout=10) as answer,
    ):
        overview = json.load(answer)
    assert (overview["taskmanagers"], overview["slots-total"]) == (2, 2)


def test_a_cluster_that_does_not_start_says_why(tmp_path: Path) -> None:
    flink.require_java()
    wrong = pytest.raises(AssertionError, match=r"(?s)ended by itself: .*Could not find or load")
    with wrong, flink.session_cluster(tmp_path / "no Flink", tmp_path):
        pass
