"""Downloads a dataset from Kaggle with its own client, and says in words what went wrong.

kagglehub keeps its unfinished archive in its cache and goes on with it by an HTTP range request.
Its `output_dir` would not do: it refuses a folder that holds an unfinished archive, or empties it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from components.example_gen.public.published import FetchError, PublicDataset, gigabytes

if TYPE_CHECKING:
    import requests

_CREDENTIALS = (
    "these datasets usually need none. To give some, make a token on "
    "https://www.kaggle.com/settings/api and set KAGGLE_API_TOKEN to it, or keep it in "
    "~/.kaggle/access_token."
)


def download(dataset: PublicDataset, out: Path, cache: Path) -> Path:
    """Have kagglehub download and unpack, as often as the connection breaks and bytes came.

    Raises:
      FetchError: if that does not go; it carries the manual steps.
    """
    # Half a second that only a download should cost.
    import kagglehub
    import requests
    from kagglehub import config
    from kagglehub.exceptions import DataCorruptionError

    broken = (
        requests.exceptions.ConnectionError,
        requests.exceptions.Timeout,
        requests.exceptions.ChunkedEncodingError,
    )
    try:
        config.get_kaggle_credentials()
    except ValueError as error:
        raise FetchError(f"{error}. Mend that file, or delete it: {_CREDENTIALS}") from error
    cache.mkdir(parents=True, exist_ok=True)
    with _kagglehub_in(cache):
        while True:
            before = _size(cache)
            try:
                return Path(kagglehub.dataset_download(dataset.handle))
            except broken as error:
                if _size(cache) > before:
                    continue
                raise _failure(dataset, out, cache, _why_broken(error)) from error
            except requests.exceptions.RequestException as error:
                raise _failure(dataset, out, cache, _why_refused(dataset, error)) from error
            except DataCorruptionError as error:
                raise FetchError(
                    "the archive that came from Kaggle does not have the checksum (MD5) that "
                    "Kaggle announced, and was deleted. Run the same command again."
                ) from error
            except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
                # kagglehub would take an archive of the right size for a whole one for ever.
                for archive in _archives(cache):
                    archive.unlink()
                why = f"what came from Kaggle is not a whole archive ({error}), and was deleted."
                raise _failure(dataset, out, cache, why) from error


@contextlib.contextmanager
def _kagglehub_in(cache: Path) -> Iterator[None]:
    """Let kagglehub work in a folder, and say what it says on standard error."""
    settings = {
        "KAGGLEHUB_CACHE": str(cache),
        # Kaggle's and Colab's notebooks would answer with a folder that is not ours to change.
        "DISABLE_KAGGLE_CACHE": "true",
        "DISABLE_COLAB_CACHE": "true",
    }
    for handler in logging.getLogger("kagglehub").handlers:
        if type(handler) is logging.StreamHandler:  # not a file's, which is one too
            handler.stream = sys.stderr  # setStream would flush the old one, which may be closed
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _archives(cache: Path) -> list[Path]:
    return list(cache.rglob("*.archive"))


def _size(cache: Path) -> int:
    return sum(path.stat().st_size for path in _archives(cache))


def _why_broken(error: requests.exceptions.RequestException) -> str:
    import requests

    if isinstance(error, requests.exceptions.ProxyError):
        why = "the proxy (HTTPS_PROXY) does not let this machine reach Kaggle"
    elif isinstance(error, requests.exceptions.SSLError):
        why = "Kaggle's certificate is not trusted here; REQUESTS_CA_BUNDLE names a file to trust"
    else:
        why = "there is no network here, or Kaggle does not answer"
    # What urllib3 says of its retries hides the reason.
    return f"{why} ({getattr(error.args[0], 'reason', error) if error.args else error})."


def _why_refused(dataset: PublicDataset, error: requests.exceptions.RequestException) -> str:
    status = None if error.response is None else error.response.status_code
    if status in (401, 403):
        return f"Kaggle wants credentials, or other ones (HTTP {status}): {_CREDENTIALS}"
    if status == 404:
        return f"Kaggle no longer has {dataset.handle} (HTTP 404)."
    if status is not None:
        return f"Kaggle does not hand out the dataset now (HTTP {status}). Try again later."
    return f"Kaggle's answer cannot be understood ({error})."


def _failure(dataset: PublicDataset, out: Path, cache: Path, why: str) -> FetchError:
    kept = _size(cache)
    again = (
        f"\n{gigabytes(kept)} of {gigabytes(dataset.archive_bytes)} are here already, and the "
        "same command goes on from there."
        if kept
        else ""
    )
    return FetchError(
        f"the {dataset.name} dataset cannot be downloaded: {why}{again}\n"
        f"By hand:\n{dataset.manual_steps(out)}"
    )
