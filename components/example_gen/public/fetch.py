"""Gets the public datasets where there is a network, and says what to do where there is none.

What is fetched stands in `published`, and the download in `kaggle`.

Who checks what:

- kagglehub compares the archive's MD5 with the `x-goog-hash` header, if the server sends one. It
  does not when it finds the archive already whole on disk.
- zipfile compares every unpacked file with the CRC-32 in the archive.
- `whole.verify` compares the images of each folder with the published counts, and NIH's table with
  the images. Neither publisher has checksums of single files.
- `SHA256SUMS` records what every file holds at that moment; a later fetch compares with it.

Everything happens in a folder aside, `OUT/.cxr-fetch`, which is on the same file system: what
has the dataset's name is whole. An interrupted download is gone on with there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from components.example_gen.datasets import registry
from components.example_gen.datasets.listing import DatasetError
from components.example_gen.public import checksums, kaggle
from components.example_gen.public.published import FetchError, PublicDataset, gigabytes
from components.example_gen.public.whole import count_images, files_below, own_files, some, verify

STAGING = ".cxr-fetch"
"""The folder, below the output folder, of what is not yet whole."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, and how many files of how many are done."""

_LOCK = "lock"
_AS_IT_IS = (
    "It stays as it is. Mend it, or move it away and run the same command again to get it anew."
)


@dataclasses.dataclass(frozen=True)
class Fetched:
    """A whole dataset on disk.

    Attributes:
      root: the dataset's folder.
      images: how many it holds.
      found: whether it was there before.
      recorded: whether its `SHA256SUMS` is new.
      others: files in the folder that are not the dataset's, relative to it.
    """

    root: Path
    images: int
    found: bool
    recorded: bool
    others: tuple[str, ...] = ()


def fetch(
    dataset: PublicDataset,
    out: Path,
    *,
    source: Path | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Fetched:
    """Bring a dataset into a folder, or verify the one that is there.

    What is there already is never changed, except that a whole dataset without `SHA256SUMS` gets
    one. An interrupted call is gone on with by the next.

    Args:
      dataset: what to bring.
      out: the folder for it; it gets `dataset.folder` in there.
      source: Kaggle's archive, if it is here already; else it is downloaded.
      progress: for the steps after the download.

    Raises:
      DatasetError: if what is there, or what was downloaded, is not the published dataset.
      FetchError: if it cannot be downloaded, or there is no room for it.
    """
    staging = out / STAGING / dataset.name
    root = _find(dataset, out)
    if root is None:
        _check_target(out / dataset.folder)
        _check_space(dataset, out, staging, source)
        with _locked(staging), _enough_room(out):
            try:
                root = _bring(dataset, out, staging, source, progress)
            except FetchError:
                if set(files_below(staging)) <= {_LOCK}:
                    _remove(staging)
                raise
        fetched = Fetched(root, count_images(dataset, root), found=False, recorded=True)
    else:
        fetched = _verify_present(dataset, root, progress)
    _remove(staging)
    return fetched


# --- What is there ---------------------------------------------------------------------------


def _find(dataset: PublicDataset, base: Path) -> Path | None:
    """The set or a part of it, where `cxr run` would find it."""
    marks = dataset.index or tuple(dataset.counts)
    for folder in (base, *(base / name for name in _usual_folders(dataset))):
        if any((folder / mark).exists() for mark in marks):
            return folder
    return None


def _usual_folders(dataset: PublicDataset) -> tuple[str, ...]:
    return registry.DATASETS[dataset.name].FOLDERS


def _verify_present(dataset: PublicDataset, root: Path, progress: Progress) -> Fetched:
    recorded = (root / checksums.FILE).is_file()
    if recorded and (problems := _checksum_problems(dataset, root, progress)):
        raise DatasetError(
            f"{root} is not as its {checksums.FILE} says:\n{_bullets(problems)}\n{_AS_IT_IS}"
        )
    if problems := verify(dataset, root):
        raise DatasetError(
            f"{root} is not the whole {dataset.name} dataset as published:\n{_bullets(problems)}\n"
            f"{_AS_IT_IS}"
        )
    if not recorded:
        _record(dataset, root, progress)
    everything = set(files_below(root)) - {checksums.FILE}
    others = tuple(sorted(everything - set(own_files(dataset, root))))
    return Fetched(root, count_images(dataset, root), True, not recorded, others)


def _checksum_problems(dataset: PublicDataset, root: Path, progress: Progress) -> list[str]:
    recorded = checksums.read(root)
    present = set(own_files(dataset, root))
    missing = {name for name in recorded if not (root / name).is_file()}
    digests = checksums.digest_files(
        root,
        recorded.keys() - missing,
        lambda done, total: progress("comparing checksums", done, total),
    )
    changed = [name for name, digest in digests.items() if digest != recorded[name]]
    kinds = {"changed": changed, "missing": missing, "extra": present - recorded.keys()}
    return [f"{kind}: {some(names)}" for kind, names in kinds.items() if names]


def _record(dataset: PublicDataset, root: Path, progress: Progress) -> None:
    digests = checksums.digest_files(
        root,
        own_files(dataset, root),
        lambda done, total: progress("writing checksums", done, total),
    )
    checksums.write(root, digests)


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"  - {line}" for line in lines)


# --- Bringing it -----------------------------------------------------------------------------


def _bring(
    dataset: PublicDataset, out: Path, staging: Path, source: Path | None, progress: Progress
) -> Path:
    """Get the archive's files aside, verify them, and give them their place in one step."""
    if source is None:
        unpacked = kaggle.download(dataset, out, staging / "kaggle")
    else:
        unpacked = _unpack(dataset, source, staging / "unpacked", progress)
    root = _find(dataset, unpacked) or unpacked
    if problems := verify(dataset, root):
        kept = f"It is kept in {staging}; delete that folder to download it anew."
        raise DatasetError(
            f"what came from {source or 'Kaggle'} is not the published {dataset.name} dataset:\n"
            f"{_bullets(problems)}\n{kept if source is None else 'It was not used.'}"
        )
    _prune(dataset, root)
    _record(dataset, root, progress)
    target = out / dataset.folder
    root.rename(target)
    return target


def _check_target(target: Path) -> None:
    """The last step is a rename, which needs its place free.

    Raises:
      FetchError: if something is there that must not be touched.
    """
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise FetchError(f"{target} is not a folder. Choose another --out, or move it away.")
    if target.is_dir() and any(target.iterdir()):
        raise FetchError(
            f"{target} holds other files, and they stay as they are. Choose another --out, or "
            "move them away."
        )


def needed_bytes(dataset: PublicDataset, source: Path | None = None) -> int:
    """The room that a dataset takes while it is unpacked."""
    if source is not None:
        return dataset.kept_bytes
    return dataset.archive_bytes + dataset.unpacked_bytes


def _check_space(dataset: PublicDataset, out: Path, staging: Path, source: Path | None) -> None:
    there = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    already = sum((staging / name).stat().st_size for name in files_below(staging))
    need = needed_bytes(dataset, source) - already
    have = shutil.disk_usage(there).free
    if have < need:
        raise FetchError(
            f"there is too little room in {out}: the {dataset.name} dataset needs "
            f"{gigabytes(need)} more while it is unpacked ({gigabytes(dataset.kept_bytes)} in the "
            f"end), and {gigabytes(have)} are free. Free some, or choose another --out. By hand "
            f"it can be done with less:\n{dataset.manual_steps(out)}"
        )


@contextlib.contextmanager
def _enough_room(out: Path) -> Iterator[None]:
    """Others may fill the disk meanwhile."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise FetchError(
            f"the disk of {out} is full. Free some room and run the same command again: it goes "
            "on from there."
        ) from error


@contextlib.contextmanager
def _locked(staging: Path) -> Iterator[None]:
    """Two fetches must not write into one archive."""
    staging.mkdir(parents=True, exist_ok=True)
    with (staging / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FetchError(
                f"another `cxr data fetch` is at work in {staging}. Wait for it to end."
            ) from None
        yield


def _prune(dataset: PublicDataset, root: Path) -> None:
    """Leave only the dataset's own files in a folder of ours.

    Kaggle's pediatric archive holds a second copy and a Mac's left-overs.
    """
    for folder, _, filenames in os.walk(root, topdown=False):
        for filename in filenames:
            path = Path(folder, filename)
            if not dataset.holds(path.relative_to(root).as_posix()):
                path.unlink()
        if not any(Path(folder).iterdir()):
            Path(folder).rmdir()


def _remove(staging: Path) -> None:
    if staging.is_dir():
        shutil.rmtree(staging)
        # The other dataset may be in the making beside it.
        with contextlib.suppress(OSError):
            staging.parent.rmdir()


# --- An archive that is here -----------------------------------------------------------------


def _unpack(dataset: PublicDataset, source: Path, target: Path, progress: Progress) -> Path:
    """Unpack the dataset's own files, and each of them once."""
    if target.is_dir():
        shutil.rmtree(target)  # of an earlier try, perhaps with another archive
    try:
        with zipfile.ZipFile(source) as archive:
            members = _own_members(dataset, archive.namelist())
            if not members:
                raise DatasetError(f"{source} holds no file of the {dataset.name} dataset")
            for done, member in enumerate(members, start=1):
                archive.extract(member, target)
                progress("unpacking", done, len(members))
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DatasetError(
            f"{source} is not a whole zip archive ({error}). Download it again; it should be "
            f"Kaggle's archive.zip of {gigabytes(dataset.archive_bytes)}."
        ) from error
    return target


def _own_members(dataset: PublicDataset, members: Sequence[str]) -> list[str]:
    """The dataset's files in the first of the folders where it usually lies."""
    for prefix in ("", *(f"{folder}/" for folder in _usual_folders(dataset))):
        own = [
            member
            for member in members
            if member.startswith(prefix) and dataset.holds(member.removeprefix(prefix))
        ]
        if own:
            return own
    return []
