"""What a user gets to see for a mistake: a sentence and exit code 2, and no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import Workspace

NIH_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]\n"
)


@pytest.fixture
def here(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def _refused(here: Workspace, *arguments: str) -> str:
    finished = here.cxr(*arguments)
    assert finished.code == 2, finished.text
    assert "Traceback" not in finished.text
    return " ".join(finished.text.split())


def test_unknown_experiment(here: Workspace) -> None:
    assert "did you mean demo?" in _refused(here, "run", "dmo")


def test_unknown_key(here: Workspace) -> None:
    said = _refused(here, "run", "demo", "--set", "trainer.epoch=3")
    assert "trainer.epoch: unknown key; did you mean trainer.epochs?" in said


def test_a_yaml_file_of_ones_own_is_named_with_its_key(here: Workspace) -> None:
    own = here.folder / "mine.yaml"
    own.write_text("data: {datasets: {pediatric: {}}}\ntrainer: {epochs: many}\n")
    said = _refused(here, "run", str(own))
    assert "mine.yaml: trainer.epochs" in said


def test_no_data_root(here: Workspace) -> None:
    assert "--data-root" in _refused(here, "run", "pediatric")


def test_no_such_data_root(here: Workspace) -> None:
    said = _refused(here, "run", "pediatric", "--data-root", "nowhere")
    assert "no such folder: nowhere" in said


def test_a_folder_without_the_dataset(here: Workspace) -> None:
    (here.folder / "empty").mkdir()
    said = _refused(here, "run", "pediatric", "--data-root", "empty")
    assert "pediatric" in said
    assert "empty" in said


def test_a_folder_without_images(here: Workspace) -> None:
    (here.folder / "chest_xray/train/NORMAL").mkdir(parents=True)
    assert "holds no image" in _refused(here, "run", "pediatric", "--data-root", ".")


def test_an_unreadable_csv(here: Workspace) -> None:
    (here.folder / "nih").mkdir()
    (here.folder / "nih/Data_Entry_2017.csv").write_bytes(b"\x00\xff\xfe\x00garbage\n\x00")
    said = _refused(here, "run", "nih", "--data-root", ".")
    assert "Data_Entry_2017.csv" in said


def test_a_csv_without_its_images(here: Workspace) -> None:
    (here.folder / "nih/images").mkdir(parents=True)
    row = "00000001_000.png,No Finding,0,1,57,M,PA,2682,2749,0.143,0.143\n"
    (here.folder / "nih/Data_Entry_2017.csv").write_text(NIH_HEADER + row)
    said = _refused(here, "run", "nih", "--data-root", ".")
    assert "1 rows" in said
    assert "0 images" in said


def test_inspect_counts_what_a_run_would_leave_out(here: Workspace) -> None:
    made = here.cxr("data", "synthesize", "--dataset", "nih", "--images", "60", "--out", ".")
    assert made.code == 0, made.text
    (here.folder / "nih/images/stray.png").write_bytes(b"")
    said = here.cxr("data", "inspect", ".")
    assert said.code == 0, said.text
    assert "image on disk without a row in the table" in said.out
