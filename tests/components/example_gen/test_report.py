"""The account of an ingest."""

import dataclasses

import pytest

from components.example_gen import report
from components.example_gen.datasets.listing import DatasetError, Fate, LeftOut, Listing
from components.example_gen.datasets.source import Source
from components.example_gen.images.near_duplicates import Found
from components.example_gen.settings import Quality, Split
from components.example_gen.split import Division, Surveyed
from tests.examples import image_facts, xray_file


def surveyed(patient: str, content: str = "") -> Surveyed:
    facts = image_facts(sha256=content or patient)
    return Surveyed(xray_file(patient, path=f"/films/{patient}-{content}.png"), facts)


def ingest(
    splits: dict[str, list[Surveyed]],
    *,
    bad: tuple[LeftOut, ...] = (),
    left_out: tuple[LeftOut, ...] = (),
    unread: tuple[str, ...] = (),
    method: str = "by_patient",
) -> report.Ingest:
    """An ingest that divided images so; `unread` were listed too."""
    images = [one for members in splits.values() for one in members]
    files = [one.file for one in images]
    files += [xray_file(path, path=path) for path in unread]
    return report.Ingest(
        listings=[Listing("pediatric", tuple(files), left_out)],
        sources={"pediatric": Source(folder="/films")},
        labels="pneumonia",
        split=Split.model_validate(method),
        quality=Quality(),
        surveyed=images,
        division=Division({"train": [], "val": [], "test": []} | splits, [], []),
        bad=bad,
        suspects=(),
        same_film=(),
        near=Found((), 0, 0, 0, 0),
    )


def test_an_image_lost_in_silence_is_noticed() -> None:
    damaged = LeftOut("/a.png", "file is empty")
    sound = ingest({"train": [surveyed("1")]}, bad=(damaged,), unread=("/a.png",))
    assert report.account(sound)["read"] == 2
    lossy = ingest({"train": [surveyed("1")]}, bad=(damaged,), unread=("/a.png", "/b.png"))
    with pytest.raises(RuntimeError, match=r"pediatric: read 3 is not kept 1 \+ left out 1"):
        report.account(lossy)


def test_reasons_are_counted_the_most_frequent_first_and_enough_files_named() -> None:
    left_out = tuple(LeftOut(str(n), "often" if n else "once", Fate.DUPLICATE) for n in range(60))
    account = report.account(ingest({}, left_out=left_out))
    assert list(account["left_out"].items()) == [("often", 59), ("once", 1)]
    assert account["fates"]["duplicate"] == 60
    assert account["left_out_files"]["once"] == ["0"]
    assert len(account["left_out_files"]["often"]) == 50


def test_an_empty_split_is_refused_with_what_was_left_out() -> None:
    bad = (LeftOut("/a.png", "file is empty"),)
    found = ingest({"train": [surveyed("1")]}, bad=bad, unread=("/a.png",))
    with pytest.raises(DatasetError, match=r"val split has no image.*Left out: 1 file is empty"):
        report.require_images(found)


def test_a_leak_in_a_division_by_patient_is_a_fault_and_in_the_published_one_a_count() -> None:
    splits = {
        "train": [surveyed("1"), surveyed("2", "same")],
        "test": [surveyed("1", "other"), surveyed("3", "same")],
    }
    with pytest.raises(RuntimeError, match="leaks"):
        report.require_clean_patients(ingest(splits))
    published = ingest(splits, method="as_published")
    report.require_clean_patients(published)
    assert report.account(published)["leakage"] == {
        "patients": 1,
        "exact_duplicates": 1,
        "near_duplicates": 0,
    }


def test_a_balanced_dataset_needs_test_images() -> None:
    one_each = {split: [surveyed(split)] for split in ("train", "val", "test")}
    found = ingest(one_each)
    report.require_images(found)
    balanced = {"pediatric": Source(normals_per_pneumonia=1.0)}
    with pytest.raises(DatasetError, match=r"the test \(of pediatric\) split has no image"):
        report.require_images(dataclasses.replace(found, sources=balanced))


def test_test_images_that_balancing_left_out_leak_as_well() -> None:
    division = Division({"train": [surveyed("1")], "val": [], "test": []}, [surveyed("1", "a")], [])
    found = dataclasses.replace(ingest({}, method="as_published"), division=division)
    assert found.leakage().patients == 1


def test_only_suspects_that_were_kept_are_said_to_be() -> None:
    kept = surveyed("1")
    suspects = [LeftOut(kept.file.path, "image is blank"), LeftOut("/b.png", "image is blank")]
    found = dataclasses.replace(ingest({"train": [kept]}), suspects=suspects)
    assert report.account(found)["suspects"] == {"image is blank": 1}
