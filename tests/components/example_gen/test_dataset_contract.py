"""What every registered dataset must keep.

A new dataset passes with a builder of a small sample of it in `samples.BUILDERS`.
"""

import os
import shutil
import typing
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components.data_gate.schema import curated_schema
from components.example_gen import registry
from components.example_gen.listing import DatasetError
from components.example_gen.record import NORMAL, PNEUMONIA
from components.example_gen.settings import DatasetName
from tests.components.example_gen.samples import BUILDERS

IMAGES = 8

pytestmark = pytest.mark.parametrize("name", registry.DATASETS)


@pytest.fixture
def build(name: str, tmp_path: Path) -> Callable[[int], Path]:
    """Makes the sample, or adds to it, and gives its folder."""
    return lambda images: BUILDERS[name](tmp_path, images)


@pytest.fixture
def root(build: Callable[[int], Path]) -> Path:
    return build(IMAGES)


def test_it_is_registered_under_its_own_name_and_known_to_settings_and_schema(name: str) -> None:
    schema = text_format.Parse(curated_schema(), schema_pb2.Schema())
    (domain,) = (one.string_domain for one in schema.feature if one.name == "dataset")
    assert name == registry.DATASETS[name].NAME
    assert name in typing.get_args(DatasetName)
    assert name in domain.value


def test_files(name: str, root: Path) -> None:
    found = registry.list_files(name, root)

    assert found.dataset == name
    assert len({file.path for file in found.files}) == IMAGES
    assert {file.label for file in found.files} == {NORMAL, PNEUMONIA}
    for file in found.files:
        assert Path(file.path).is_file()
        assert file.filename == Path(file.path).name
        assert file.dataset == name
        assert file.patient_id.startswith(f"{name}:")
        assert file.patient_id != f"{name}:"
        assert file.findings
        assert all(file.findings)
        assert all(len(box) == 4 and all(0 <= side <= 1 for side in box) for box in file.boxes)


def test_the_order_is_always_the_same(name: str, root: Path, tmp_path: Path) -> None:
    def names(folder: Path) -> list[str]:
        files = registry.list_files(name, folder).files
        return [os.path.relpath(file.path, folder) for file in files]

    # Written the other way round, as another file system might give them.
    mirror = tmp_path / "mirror"
    for path in sorted((p for p in root.rglob("*") if p.is_file()), reverse=True):
        copy = mirror / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())

    assert names(root) == names(root) == names(mirror)


def test_the_fingerprint_tells_every_change(
    name: str, root: Path, build: Callable[[int], Path]
) -> None:
    def fingerprint() -> str:
        return registry.list_files(name, root).fingerprint()

    seen = [fingerprint()]
    assert fingerprint() == seen[0]

    image = Path(registry.list_files(name, root).files[-1].path)
    status = image.stat()
    os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))
    seen.append(fingerprint())

    image.write_bytes(image.read_bytes() + b"\0")
    os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns))
    seen.append(fingerprint())

    image.unlink()
    seen.append(fingerprint())

    build(IMAGES + 1)
    seen.append(fingerprint())

    assert len(set(seen)) == len(seen)


def test_it_is_found_at_its_own_folder_and_from_above(
    name: str, root: Path, tmp_path: Path
) -> None:
    assert registry.find_root(name, root) == root
    assert registry.find_root(name, tmp_path) == root
    for number, folder in enumerate(registry.DATASETS[name].FOLDERS):
        usual = tmp_path / str(number) / folder
        shutil.copytree(root, usual)
        assert registry.find_root(name, tmp_path / str(number)) == usual


def test_where_it_is_not(name: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=f"the {name} dataset is in none of") as error:
        registry.list_files(name, tmp_path)
    assert str(tmp_path / registry.DATASETS[name].FOLDERS[0]) in str(error.value)
