"""The page of the embedded server, with nothing in its place."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from serving import dicom_image
from serving.server.config import ServerConfig
from serving.server.embedded import EmbeddedServer
from tests.browser import Tab, needs_browser
from tests.components.example_gen import dicom_samples
from tests.serving.page.viewer import ask, file_of, grey, opened, text
from tests.serving.tiny_model import encoded_image, expected_probability

pytestmark = needs_browser


@pytest.fixture
def models_dir(tiny_model_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model_dir, tmp_path / "models"))


@pytest.fixture
def tab(chromium: Tab, models_dir: Path) -> Iterator[Tab]:
    config = ServerConfig(
        port=0,
        rest_api_port=0,
        model_name="cxr",
        model_base_path=str(models_dir),
        file_system_poll_wait_seconds=0.1,
        max_request_bytes=2**20,
        max_image_pixels=8_000,
    )
    with EmbeddedServer(config) as server:
        yield from opened(chromium, f"http://127.0.0.1:{server.rest_port}/")


def test_films_are_answered_by_the_version_that_is_served(
    tab: Tab, tmp_path: Path, models_dir: Path
) -> None:
    ask(tab, grey(tmp_path, 200, "grey.png"))
    assert text(tab, "probability") == f"{expected_probability(200):.3f}"
    assert text(tab, "caption") == "Evidence for PNEUMONIA: hottest upper left, 4.7 logits."
    assert text(tab, "by") == "Model: cxr, version 1."

    (models_dir / "1").rename(models_dir / "2")
    dicom = dicom_samples.dicom(dicom_samples.film(), 12)
    tab.wait_for("fetch('page/model').then(r => r.json()).then(model => model.version === '2')")
    ask(tab, file_of(tmp_path, dicom, "film.dcm"))
    mean = float(np.mean(dicom_image.read_grey(dicom)))
    assert text(tab, "probability") == f"{expected_probability(mean):.3f}"
    assert text(tab, "by") == "Model: cxr, version 2."


def test_what_the_server_refuses_is_said_in_words(tab: Tab, tmp_path: Path) -> None:
    many_pixels = file_of(tmp_path, dicom_samples.dicom(dicom_samples.film(0, 12, 100, 100)), "a")
    ask(tab, many_pixels)
    assert "10,000 pixels; this server takes at most 8,000" in text(tab, "reason")

    # Bytes after a PNG's end are no part of the image.
    ask(tab, file_of(tmp_path, encoded_image(90) + bytes(2**20), "b.png"))
    assert text(tab, "reason").startswith("The file is larger than the server takes.")
    assert [problem.partition("status of ")[2][:3] for problem in tab.problems] == ["400", "413"]
    tab.problems.clear()
