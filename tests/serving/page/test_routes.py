import asyncio
import logging
import socket
import time

import cv2
import numpy as np
import pytest
import requests

from serving import dicom_image
from serving.page import routes
from serving.prediction.quality import WARNINGS
from tests.components.example_gen import dicom_samples
from tests.serving.page.page_server import PageServer

FILM = dicom_samples.dicom(dicom_samples.film(), 12)
GREY = np.tile(np.arange(256, dtype=np.uint8), (40, 1))


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("", "text/html; charset=utf-8"),
        ("page/page.js", "text/javascript; charset=utf-8"),
        ("page/page.css", "text/css; charset=utf-8"),
        ("page/icon.svg", "image/svg+xml; charset=utf-8"),
        ("page/model", "application/json; charset=utf-8"),
        ("page/model?name=other", "application/json; charset=utf-8"),
    ],
)
def test_nothing_is_cached_and_nothing_foreign_may_run(
    server: PageServer, path: str, kind: str
) -> None:
    answer = requests.get(server.url + path, timeout=10)

    assert answer.headers["Content-Type"] == kind
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in answer.headers
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_the_facts_are_those_that_the_page_needs(server: PageServer) -> None:
    server.found = {**server.found, "training": {"images": {"train": 3508}}}
    server.version = 2**60
    facts = requests.get(f"{server.url}page/model", timeout=10).json()

    assert facts["models"] == ["cxr"]
    assert (facts["name"], facts["version"]) == ("cxr", str(2**60))
    assert facts["outputs"] == server.found["outputs"]
    assert facts["explanation"] == server.found["explanation"]
    assert facts["warnings"] == WARNINGS
    assert "training" not in facts


def test_a_model_without_a_contract_still_has_facts(server: PageServer) -> None:
    server.found = {}
    facts = requests.get(f"{server.url}page/model?name=cxr", timeout=10).json()

    assert facts["outputs"] == []
    assert "explanation" not in facts


def test_a_model_that_is_not_there_is_named(server: PageServer) -> None:
    unknown = requests.get(f"{server.url}page/model?name=other", timeout=10)
    server.version = 0
    unavailable = requests.get(f"{server.url}page/model", timeout=10)

    assert (unknown.status_code, unavailable.status_code) == (404, 503)
    assert "'other'" in unknown.json()["error"]
    assert unavailable.json()["error"] == "cxr has no version that is available"


def test_a_dicom_film_comes_back_as_png(
    server: PageServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "serving"):
        answer = requests.post(f"{server.url}page/film", data=FILM, timeout=30)

    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["Cache-Control"] == "no-store"
    png = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(png, dicom_image.read_grey(FILM))
    assert not caplog.records


@pytest.mark.parametrize(
    "content",
    [cv2.imencode(".jpeg", GREY)[1].tobytes(), cv2.imencode(".png", GREY)[1].tobytes()],
    ids=["JPEG", "PNG"],
)
def test_what_the_model_reads_rightly_comes_back_as_it_is(
    server: PageServer, content: bytes
) -> None:
    answer = requests.post(f"{server.url}page/film", data=content, timeout=30)
    assert answer.content == content
    assert answer.headers["Content-Type"] in ("image/jpeg", "image/png")


def test_a_film_of_more_bits_comes_back_with_eight(server: PageServer) -> None:
    levels = cv2.imencode(".png", GREY.astype(np.uint16) * 16 + 15)[1].tobytes()
    answer = requests.post(f"{server.url}page/film", data=levels, timeout=30)
    png = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(png, GREY)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "file is empty"),
        (b"no film at all", "file is not an image"),
        (FILM[:-500], "image data is damaged or cut short"),
    ],
)
def test_what_is_no_film_is_refused_with_a_reason(
    server: PageServer, content: bytes, reason: str
) -> None:
    answer = requests.post(f"{server.url}page/film", data=content, timeout=30)

    assert answer.status_code == 400
    assert answer.json() == {"error": reason}


def test_a_film_that_is_too_large_is_refused(
    server: PageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "MOST_FILM_BYTES", len(FILM) - 1)
    refused = requests.post(f"{server.url}page/film", data=FILM, timeout=30)
    monkeypatch.setattr(routes, "MOST_FILM_BYTES", len(FILM))
    taken = requests.post(f"{server.url}page/film", data=FILM, timeout=30)

    assert (refused.status_code, taken.status_code) == (413, 200)


def test_only_a_few_films_are_opened_at_once(
    server: PageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def post_all() -> list[int]:
        def post() -> int:
            return requests.post(f"{server.url}page/film", data=FILM, timeout=30).status_code

        return await asyncio.gather(*(asyncio.to_thread(post) for _ in range(4)))

    monkeypatch.setattr(routes, "_render", slow_render)
    statuses = sorted(asyncio.run(post_all()))
    assert statuses == [200, 200, 429, 429]
    # Their places are free again.
    assert requests.post(f"{server.url}page/film", data=FILM, timeout=30).status_code == 200


def test_slow_uploads_keep_nobody_from_opening_a_film(server: PageServer) -> None:
    port = int(server.url.rpartition(":")[2].strip("/"))
    head = b"POST /page/film HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nslow"
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(2)]
    for one in slow:
        one.sendall(head)
    time.sleep(0.1)
    status = requests.post(f"{server.url}page/film", data=FILM, timeout=30).status_code
    for one in slow:
        one.close()
    assert status == 200


def slow_render(data: bytes) -> bytes:
    time.sleep(0.5)
    return b""
