"""What every registered dataset must keep, in a folder and in a store.

A new dataset passes with a builder of a small sample of it in `BUILDERS`.
"""

import collections
import dataclasses
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pydantic
import pytest

from components.example_gen.datasets import files, registry
from components.example_gen.datasets.files import Place, below
from components.example_gen.datasets.listing import DatasetError, Fate
from components.example_gen.images import imaging
from components.example_gen.images.bad_image import BadImageError
from components.example_gen.quality import faults
from components.example_gen.record import FINDINGS, NORMAL, PATHOLOGIES, PNEUMONIA
from components.example_gen.settings import DatasetName, Quality
from tests.components.example_gen.bucket import Bucket, remote
from tests.components.example_gen.dicom_samples import write_dicom
from tests.components.example_gen.samples import write_nih, write_pediatric

# Each writes a sample of so many images below a data root, and gives the set's own folder. The
# sample of n + 1 images must hold the sample of n.
BUILDERS: Mapping[str, Callable[[Path, int], Path]] = {
    "pediatric": write_pediatric,
    "nih": write_nih,
    "dicom": write_dicom,
}
IMAGES = 8

pytestmark = pytest.mark.parametrize("name", registry.DATASETS)

Seen = Callable[[Path], Place]


@pytest.fixture(params=[Path, remote], ids=["folder", "store"])
def seen(request: pytest.FixtureRequest) -> Seen:
    """How the dataset's folder is looked at; each call looks anew."""
    return request.param


@pytest.fixture
def build(name: str, tmp_path: Path) -> Callable[[int], Path]:
    """Makes the sample, or adds to it, and gives its folder."""
    return lambda images: BUILDERS[name](tmp_path, images)


@pytest.fixture
def root(build: Callable[[int], Path]) -> Path:
    return build(IMAGES)


def test_it_is_registered_under_its_own_name_and_known_to_settings(name: str) -> None:
    assert name == registry.DATASETS[name].NAME
    assert pydantic.TypeAdapter(DatasetName).validate_python(name) == name


def test_a_misspelt_name_is_refused_with_a_suggestion(name: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=f"did you mean {name}\\?") as error:
        pydantic.TypeAdapter(DatasetName).validate_python(f"{name}s")
    assert all(known in str(error.value) for known in registry.DATASETS)


def test_files(name: str, root: Path, seen: Seen) -> None:
    found = registry.list_files(name, seen(root))

    assert found.dataset == name
    assert len({file.path for file in found.files}) == IMAGES
    assert {file.label for file in found.files} == {NORMAL, PNEUMONIA}
    for file in found.files:
        assert files.read_bytes(file.path)
        # DICOM's names may be a patient's.
        assert file.filename == Path(file.path).name or name == "dicom"
        assert file.dataset == name
        assert file.patient_id.startswith(f"{name}:")
        assert file.patient_id != f"{name}:"
        assert file.findings
        assert set(file.findings) <= set(FINDINGS)
        assert ("Pneumonia" in file.findings) == (file.label == PNEUMONIA)
        assert file.source_split in ("train", "val", "test", "train_val", None)
        assert file.etiology in ("bacteria", "virus", "none", None)
        assert file.sex in ("F", "M", None)
        assert all(len(box) == 4 and all(0 <= side <= 1 for side in box) for box in file.boxes)


def test_the_order_is_always_the_same(name: str, root: Path, seen: Seen, tmp_path: Path) -> None:
    def names(folder: Path) -> list[str]:
        files = registry.list_files(name, seen(folder)).files
        return [below(file.path, seen(folder)) for file in files]

    # Written the other way round, as another file system might give them.
    mirror = tmp_path / "mirror"
    for path in sorted((p for p in root.rglob("*") if p.is_file()), reverse=True):
        copy = mirror / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())

    assert names(root) == names(root) == names(mirror)


def test_the_fingerprint_tells_every_change(
    name: str, root: Path, seen: Seen, build: Callable[[int], Path]
) -> None:
    def fingerprint() -> str:
        return registry.list_files(name, seen(root)).fingerprint()

    found = [fingerprint()]
    assert fingerprint() == found[0]

    image = Path(registry.list_files(name, root).files[-1].path)
    status = image.stat()
    os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))
    found.append(fingerprint())

    image.write_bytes(image.read_bytes() + b"\0")
    os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns))
    found.append(fingerprint())

    image.unlink()
    found.append(fingerprint())

    build(IMAGES + 1)
    found.append(fingerprint())

    assert len(set(found)) == len(found)


def test_it_is_found_at_its_own_folder_and_from_above(
    name: str, root: Path, seen: Seen, tmp_path: Path
) -> None:
    assert registry.find_root(name, seen(root)) == seen(root)
    assert registry.find_root(name, seen(tmp_path)) == seen(root)
    for number, folder in enumerate(registry.DATASETS[name].FOLDERS):
        usual = tmp_path / str(number) / folder
        shutil.copytree(root, usual)
        assert registry.find_root(name, seen(tmp_path / str(number))) == seen(usual)


def test_where_it_is_not(name: str, seen: Seen, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=f"the {name} dataset is in none of") as error:
        registry.list_files(name, seen(tmp_path))
    assert str(seen(tmp_path) / registry.DATASETS[name].FOLDERS[0]) in str(error.value)


def test_a_store_holds_what_its_folder_holds(name: str, root: Path) -> None:
    image = Path(registry.list_files(name, root).files[0].path)
    image.with_name(f"damaged{image.suffix}").write_bytes(b"Not found.")
    (root / ".DS_Store").write_bytes(b"\0")

    here, there = (registry.list_files(name, seen(root)) for seen in (Path, remote))

    assert there.files == tuple(
        dataclasses.replace(file, path=f"{remote(Path(file.path))}") for file in here.files
    )
    reasons = [[(one.reason, one.fate) for one in found.left_out] for found in (here, there)]
    assert reasons[0] == reasons[1]
    assert [str(one) for one in there.tables] == [str(remote(Path(str(t)))) for t in here.tables]


def test_no_image_of_a_store_costs_a_request_but_for_what_a_listing_does_not_tell(
    name: str, root: Path, build: Callable[[int], Path]
) -> None:
    def requests() -> collections.Counter[str]:
        Bucket.requests.clear()
        registry.list_files(name, remote(root)).fingerprint()
        return Bucket.requests.copy()

    before = requests()
    build(IMAGES + 1)
    more = requests() - before

    # TFX's interface has no listing with sizes; headers are DICOM's.
    assert more == {"stat": 1} | ({"open": 1} if name == "dicom" else {})


def test_its_images_are_sound(name: str, root: Path) -> None:
    for file in registry.list_files(name, root).files:
        grey, facts = imaging.read_image(Path(file.path).read_bytes())
        assert grey.shape == (facts.height, facts.width)
        assert not list(faults(file, facts, Quality(min_side=1, min_polarity=-1)))


def test_everything_below_its_folder_is_accounted_for_once(name: str, root: Path) -> None:
    image = Path(registry.list_files(name, root).files[0].path)
    before = registry.list_files(name, root)
    (image.parent / f"broken{image.suffix}").symlink_to("nowhere")
    (image.parent / os.fsdecode(b"\xff" + image.suffix.encode())).write_bytes(image.read_bytes())
    (image.parent / "loop").symlink_to(image.parent)
    (image.parent / f"folder{image.suffix}").mkdir()

    after = registry.list_files(name, root)

    assert after.files == before.files
    assert after.read == before.read + 2
    new = collections.Counter(after.left_out) - collections.Counter(before.left_out)
    assert {(one.reason, one.fate) for one in new} == {
        ("file name is not UTF-8", Fate.QUARANTINED),
        ("not a file, or a link that leads nowhere", Fate.QUARANTINED),
    }
    for one in after.left_out:
        one.source.encode()


def test_what_is_no_image_is_listed_or_left_out_and_found_out_when_it_is_opened(
    name: str, root: Path
) -> None:
    image = Path(registry.list_files(name, root).files[-1].path)
    image.write_bytes(b"Not found. Please sign in.\n")

    found = registry.list_files(name, root)

    quarantined = [one.source for one in found.left_out if one.fate == Fate.QUARANTINED]
    if str(image) not in quarantined:
        assert str(image) in {file.path for file in found.files}
        with pytest.raises(BadImageError):
            imaging.read_image(image.read_bytes())
    assert found.read == IMAGES


def test_a_file_that_goes_while_it_is_listed_stops_nothing(name: str, root: Path) -> None:
    found = registry.list_files(name, root)
    before = found.fingerprint()
    Path(found.files[0].path).unlink()
    assert found.fingerprint() != before


def test_all_findings_are_labels_or_it_says_that_it_does_not_know_them(
    name: str, root: Path
) -> None:
    assert set(registry.DATASETS[name].VOCABULARY) <= set(FINDINGS)
    if set(registry.DATASETS[name].VOCABULARY) != set(FINDINGS):
        with pytest.raises(DatasetError, match=rf"data\.labels=findings .* the {name} dataset"):
            registry.list_files(name, root, labels="findings")
        return
    files = registry.list_files(name, root, labels="findings").files
    assert len(files) == IMAGES
    for file in files:
        assert file.finding_labels == tuple(int(name in file.findings) for name in PATHOLOGIES)
        assert file.label == file.finding_labels[PATHOLOGIES.index("Pneumonia")]


def test_findings_are_no_labels_unless_that_is_asked_for(name: str, root: Path) -> None:
    assert all(not file.finding_labels for file in registry.list_files(name, root).files)
