"""What the page asks of its own server; predictions it asks of the REST API beside it.

- `GET /`, `GET /page/FILE`: the page, its style and its scripts;
- `GET /page/model?name=NAME`: facts about a served model, as JSON;
- `POST /page/film`: the bytes of a film in, those that the model takes out: a DICOM file, and what
  the model would read otherwise than in training, as PNG.

Nothing of a film is kept: it is not logged, not written to disk, and no answer may be cached.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, Protocol

from aiohttp import web

from serving import dicom_image, raster_image
from serving.prediction import PredictionError
from serving.prediction.quality import WARNINGS

MOST_FILM_BYTES = 64 * 2**20
# Each may take a core and some hundred megabytes.
_MOST_FILMS_AT_ONCE = 2
_UPLOAD_SECONDS = 60

_TYPES = {"css": "text/css", "html": "text/html", "js": "text/javascript", "svg": "image/svg+xml"}
# What is not listed of the contract is of no use to the page.
_OF_THE_CONTRACT = ("task", "class_names", "intended_use", "explanation")

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Models(Protocol):
    """What the page has to know of the models that its server has."""

    def available(self) -> Mapping[str, Sequence[int]]:
        """The models, and which versions can be asked; the page opens with the first model."""

    def contract(self, name: str) -> tuple[int, Mapping[str, Any]]:
        """The version that the page asks, and its contract, {} if it has none.

        Raises:
          PredictionError: it is not available.
        """


def add_routes(app: web.Application, models: Models) -> None:
    """Add the page to a server of models.

    Args:
      app: which answers `POST /v1/models/NAME/versions/VERSION:predict`, too.
      models: what it serves.
    """
    slots = asyncio.Semaphore(_MOST_FILMS_AT_ONCE)
    app.router.add_get("/", functools.partial(_file, "index.html"))
    for name in _file_names():
        app.router.add_get(f"/page/{name}", functools.partial(_file, name))
    app.router.add_get("/page/model", functools.partial(_model, models))
    app.router.add_post("/page/film", functools.partial(_film, slots))


def _file_names() -> list[str]:
    return sorted(file.name for file in resources.files(__package__).joinpath("static").iterdir())


@functools.cache
def _content(name: str) -> bytes:
    return resources.files(__package__).joinpath("static", name).read_bytes()


async def _file(name: str, request: web.Request) -> web.Response:
    return web.Response(
        body=_content(name),
        content_type=_TYPES[name.rpartition(".")[2]],
        charset="utf-8",
        headers=HEADERS,
    )


async def _model(models: Models, request: web.Request) -> web.Response:
    names = list(models.available())
    name = request.query.get("name") or next(iter(names), "")
    if name not in names:
        return _error(404, f"there is no model {name!r} here" if name else "no model is served")
    try:
        version, contract = models.contract(name)
    except PredictionError as error:
        return _error(503, str(error))
    facts = {key: contract[key] for key in _OF_THE_CONTRACT if key in contract}
    outputs = [
        {"name": output["name"], "operating_point": output["operating_point"]}
        for output in contract.get("outputs", ())
    ]
    # A browser's numbers are exact up to 2^53, and a version may be a time in nanoseconds.
    facts |= {"models": names, "name": name, "version": str(version), "outputs": outputs}
    facts["warnings"] = WARNINGS
    return web.json_response(facts, headers=HEADERS)


async def _film(slots: asyncio.Semaphore, request: web.Request) -> web.Response:
    try:
        async with asyncio.timeout(_UPLOAD_SECONDS):
            data = await _body(request)
    except TimeoutError:
        return _error(408, "the file took too long to arrive")
    if data is None:
        return _error(413, f"the file is larger than {MOST_FILM_BYTES // 2**20} MB")
    if slots.locked():
        return _error(429, "other films are being opened")
    async with slots:  # not before: a slow upload takes no place
        try:
            film = await asyncio.to_thread(_render, data)
        except (dicom_image.DicomError, raster_image.RasterError) as error:
            return _error(400, str(error))
    kind = "image/jpeg" if film.startswith(b"\xff\xd8") else "image/png"
    return web.Response(body=film, content_type=kind, headers=HEADERS)


def _render(data: bytes) -> bytes:
    """A film of its full size as the model takes it, JPEG or PNG."""
    if dicom_image.is_dicom(data):
        return raster_image.encode_grey(dicom_image.read_grey(data))
    return raster_image.servable_bytes(data)


async def _body(request: web.Request) -> bytes | None:
    """What was sent; None if it is too large."""
    data = bytearray()
    async for chunk in request.content.iter_chunked(2**16):
        data += chunk
        if len(data) > MOST_FILM_BYTES:
            return None
    return bytes(data)


def _error(status: int, message: str) -> web.Response:
    # In the form of TensorFlow Serving's.
    return web.json_response({"error": message}, status=status, headers=HEADERS)
