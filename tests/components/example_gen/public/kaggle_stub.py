"""A server on loopback that hands out a dataset as Kaggle does, and tiny datasets for it.

kagglehub's own client talks to it: the API redirects to a bucket, which knows HTTP ranges and
announces an MD5.
"""

import base64
import dataclasses
import hashlib
import io
import random
import threading
import zipfile
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from components.example_gen.public.published import NIH, PEDIATRIC

API = "/v1/datasets.DatasetApiService/DownloadDataset"
_BUCKET = "/bucket/archive.zip"

TINY_PEDIATRIC = dataclasses.replace(
    PEDIATRIC,
    counts={
        "train/NORMAL": 2,
        "train/PNEUMONIA": 3,
        "val/NORMAL": 1,
        "val/PNEUMONIA": 1,
        "test/NORMAL": 1,
        "test/PNEUMONIA": 1,
    },
    archive_bytes=6_000_000,
    unpacked_bytes=6_000_000,
    kept_bytes=3_000_000,
)
TINY_NIH = dataclasses.replace(
    NIH,
    counts={"images_001/images": 2, "images_002/images": 1},
    archive_bytes=1_000_000,
    unpacked_bytes=1_000_000,
    kept_bytes=1_000_000,
)


def pediatric_files() -> dict[str, bytes]:
    """The set's own files, by their names below `chest_xray`; all different."""
    noise = random.Random(7)
    return {
        f"{folder}/{'IM-' if folder.endswith('NORMAL') else 'person'}{number:04d}.jpeg": (
            noise.randbytes(200_000)
        )
        for folder, count in TINY_PEDIATRIC.counts.items()
        for number in range(count)
    }


def pediatric_archive(files: Mapping[str, bytes]) -> bytes:
    """As on Kaggle: everything twice, and what a Mac leaves behind."""
    members: dict[str, bytes] = {}
    for name, data in files.items():
        folder, _, filename = name.rpartition("/")
        members[f"chest_xray/__MACOSX/chest_xray/{folder}/._{filename}"] = b"fork"
        members[f"chest_xray/chest_xray/{name}"] = data
        members[f"chest_xray/{name}"] = data
    members["chest_xray/chest_xray/.DS_Store"] = b"store"
    members["chest_xray/train/.DS_Store"] = b"store"
    return zip_of(members)


def nih_files(table: str = "Data_Entry_2017.csv") -> dict[str, bytes]:
    """The set's own files, by their names below the set's folder."""
    images = ("images_001/images/a.png", "images_001/images/b.png", "images_002/images/c.png")
    rows = ["Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,"
            "View Position"]  # fmt: skip
    labels = ("No Finding", "Pneumonia", "Hernia")
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        rows.append(f"{Path(image).name},{label},0,{number},57,F,PA")
    return {
        **{image: image.encode() for image in images},
        table: "\n".join(rows).encode(),
        "BBox_List_2017.csv": b"Image Index,Finding Label,Bbox [x,y,w,h],,,\n",
        "train_val_list.txt": b"a.png\nb.png\n",
        "test_list.txt": b"c.png\n",
        "README_CHESTXRAY.pdf": b"%PDF",
    }


def zip_of(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def write_all(root: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


class KaggleStub:
    """Kaggle's API and bucket in one server.

    Attributes:
      archive: what the bucket holds.
      status: of the API's answer, if it is to fail.
      breaks_at: the byte of the archive at which the bucket's connection breaks.
      stays_broken: whether it also breaks for who asks for the rest.
      down: whether every connection breaks before an answer.
      md5: what the bucket announces, if it is not the archive's own; empty for no header.
      asked: what was asked for so far: the API's path, or the bucket's range or "whole".
    """

    def __init__(self) -> None:
        self.archive = b""
        self.status = 302
        self.breaks_at: int | None = None
        self.stays_broken = False
        self.down = False
        self.md5: str | None = None
        self.asked: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "KaggleStub":
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                if stub.down:
                    self.close_connection = True
                    return
                self.rfile.read(int(self.headers["Content-Length"]))
                stub.asked.append(self.path)
                self.send_response(stub.status)
                if stub.status == 302:
                    self.send_header("Location", stub.url + _BUCKET)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self) -> None:
                asked = self.headers["Range"]
                stub.asked.append(asked or "whole")
                start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
                body = stub.archive[start:]
                self.send_response(206 if asked else 200)
                self.send_header("Accept-Ranges", "bytes")
                self.send_header("Content-Length", str(len(body)))
                md5 = base64.b64encode(hashlib.md5(stub.archive).digest()).decode()
                md5 = md5 if stub.md5 is None else stub.md5
                if md5:
                    self.send_header("x-goog-hash", f"crc32c=AAAAAA==,md5={md5}")
                self.end_headers()
                if stub.breaks_at is not None and (stub.stays_broken or not asked):
                    body = body[: max(0, stub.breaks_at - start)]
                try:
                    self.wfile.write(body)
                except (BrokenPipeError, ConnectionResetError):
                    return
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def point_kagglehub_at(url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the real client talk to a server here, with nobody's credentials or proxy."""
    from kagglesdk import kaggle_env

    monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.PROD, url)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(home / ".kaggle"))
    for name in ("API_TOKEN", "USERNAME", "KEY", "API_ENVIRONMENT", "KERNEL_RUN_TYPE"):
        monkeypatch.delenv(f"KAGGLE_{name}", raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
