"""A folder as an object store that speaks S3, as far as Arrow's client asks: for one test at once.

Buckets are folders of the store's own. Nothing is signed or checked.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

_TIME = "2026-01-01T00:00:00.000Z"
_HTTP_TIME = "Thu, 01 Jan 2026 00:00:00 GMT"


@contextlib.contextmanager
def serve_s3(store: Path) -> Iterator[str]:
    """Serve a folder; yields the endpoint's URL."""

    class Handler(_Handler):
        root = store
        uploads: dict[str, dict[int, bytes]] = {}
        numbers = itertools.count(1)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    root: Path
    uploads: dict[str, dict[int, bytes]]
    numbers: Iterator[int]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if "list-type" in self._query:
            self._answer(200, _listing(self.root, self._key, self._query))
        elif self._path.is_file():
            self._send_object(self._path.read_bytes())
        else:
            self._answer(404, "<Error><Code>NoSuchKey</Code></Error>")

    def do_HEAD(self) -> None:
        if self._path.is_file() and not self._key.endswith("/"):
            self._head(200, {"Content-Length": str(self._path.stat().st_size)})
        elif "/" not in self._key.strip("/") and self._path.is_dir():
            self._head(200, {"Content-Length": "0"})
        else:
            self._head(404, {"Content-Length": "0"})

    def do_PUT(self) -> None:
        body = self._body()
        if "uploadId" in self._query:
            part = int(self._query["partNumber"][0])
            self.uploads[self._query["uploadId"][0]][part] = body
        elif self._key.endswith("/") or "/" not in self._key:
            self._path.mkdir(parents=True, exist_ok=True)
        else:
            if "x-amz-copy-source" in self.headers:
                body = (
                    self.root / unquote(self.headers["x-amz-copy-source"]).lstrip("/")
                ).read_bytes()
            self._store(body)
            if "x-amz-copy-source" in self.headers:
                self._answer(200, '<CopyObjectResult><ETag>"1"</ETag></CopyObjectResult>')
                return
        self._answer(200, "", {"ETag": '"1"'})

    def do_POST(self) -> None:
        body = self._body().decode()
        if "uploads" in self._query:
            number = str(next(self.numbers))
            self.uploads[number] = {}
            self._answer(
                200,
                "<InitiateMultipartUploadResult>"
                f"<UploadId>{number}</UploadId></InitiateMultipartUploadResult>",
            )
        elif "uploadId" in self._query:
            parts = self.uploads.pop(self._query["uploadId"][0])
            self._store(b"".join(parts[number] for number in sorted(parts)))
            self._answer(
                200,
                '<CompleteMultipartUploadResult><ETag>"1"</ETag></CompleteMultipartUploadResult>',
            )
        elif "delete" in self._query:
            for key in _between(body, "<Key>", "</Key>"):
                self._remove(self.root / self._key.strip("/") / key)
            self._answer(200, "<DeleteResult></DeleteResult>")

    def do_DELETE(self) -> None:
        self._remove(self._path)
        self._answer(204, "")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    @property
    def _key(self) -> str:
        return unquote(urlsplit(self.path).path)[1:]

    @property
    def _path(self) -> Path:
        return self.root / self._key

    @property
    def _query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.path).query, keep_blank_values=True)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") == "chunked":
            return self._chunks()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "aws-chunked" in self.headers.get("Content-Encoding", ""):
            return _dechunked(body)
        return body

    def _chunks(self) -> bytes:
        found = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return (
            _dechunked(found)
            if "aws-chunked" in self.headers.get("Content-Encoding", "")
            else found
        )

    def _store(self, body: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_bytes(body)

    def _remove(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            path.rmdir() if path.is_dir() else path.unlink()

    def _send_object(self, body: bytes) -> None:
        wanted = self.headers.get("Range")
        if wanted is None:
            self._send(200, body, {})
            return
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        piece = body[int(first) : int(last) + 1 if last else None]
        self._send(206, piece, {"Content-Range": f"bytes {first}-{last}/{len(body)}"})

    def _answer(self, code: int, text: str, headers: dict[str, str] | None = None) -> None:
        xml = f'<?xml version="1.0" encoding="UTF-8"?>{text}' if text else ""
        self._send(code, xml.encode(), {"Content-Type": "application/xml", **(headers or {})})

    def _send(self, code: int, body: bytes, headers: dict[str, str]) -> None:
        self._head(code, {"Content-Length": str(len(body)), **headers})
        self.wfile.write(body)

    def _head(self, code: int, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in {"Last-Modified": _HTTP_TIME, "ETag": '"1"', **headers}.items():
            self.send_header(name, value)
        self.end_headers()


def _listing(root: Path, bucket: str, query: dict[str, list[str]]) -> str:
    """ListObjectsV2: keys that begin with a prefix, those below a delimiter as one."""
    prefix = query.get("prefix", [""])[0]
    delimiter = query.get("delimiter", [""])[0]
    folder = root / bucket.strip("/")
    files, common = [], set()
    for path in sorted(folder.rglob("*")):
        key = path.relative_to(folder).as_posix()
        if not path.is_file() or not key.startswith(prefix):
            continue
        below, cut, _ = key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
        if cut:
            common.add(f"{prefix}{below}{cut}")
        else:
            files.append(
                f"<Contents><Key>{escape(key)}</Key><LastModified>{_TIME}</LastModified>"
                f'<ETag>"1"</ETag><Size>{path.stat().st_size}</Size></Contents>'
            )
    prefixes = "".join(
        f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in sorted(common)
    )
    return (
        f"<ListBucketResult><KeyCount>{len(files) + len(common)}</KeyCount>"
        f"<IsTruncated>false</IsTruncated>{''.join(files)}{prefixes}</ListBucketResult>"
    )


def _dechunked(body: bytes) -> bytes:
    """What aws-chunked framing carries: each piece after a line with its size and signature."""
    found = b""
    while body:
        line, _, body = body.partition(b"\r\n")
        size = int(line.split(b";")[0], 16)
        if not size:
            break
        found, body = found + body[:size], body[size + 2 :]
    return found


def _between(text: str, before: str, after: str) -> list[str]:
    return [piece.partition(after)[0] for piece in text.split(before)[1:]]
