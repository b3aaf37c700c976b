"""`cxr data fetch`, as a user sees it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from components.disclaimer import DISCLAIMER
from components.example_gen.public import published
from pipeline.cli import cli, main
from tests.components.example_gen.public.kaggle_stub import (
    TINY_NIH,
    TINY_PEDIATRIC,
    KaggleStub,
    nih_files,
    pediatric_archive,
    pediatric_files,
    point_kagglehub_at,
    zip_of,
)


@pytest.fixture
def kaggle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KaggleStub]:
    for tiny in (TINY_PEDIATRIC, TINY_NIH):
        monkeypatch.setitem(published.DATASETS, tiny.name, tiny)
    with KaggleStub() as stub:
        stub.archive = pediatric_archive(pediatric_files())
        point_kagglehub_at(stub.url, tmp_path / "home", monkeypatch)
        yield stub


def test_shows_terms_then_brings_what_inspect_accepts(kaggle: KaggleStub, tmp_path: Path) -> None:
    out = tmp_path / "data"
    result = CliRunner().invoke(cli, ["data", "fetch", "pediatric", "--out", str(out)])

    assert result.exit_code == 0, result.output
    terms, done = result.stdout.split("\n\n")
    for said in ("CC BY 4.0", "Kermany", "rscbjbr9sj", "Size: ", DISCLAIMER):
        assert said in terms
    for said in ("9 images", "SHA256SUMS is new", f"cxr data inspect {out}", DISCLAIMER):
        assert said in done

    inspected = CliRunner().invoke(cli, ["data", "inspect", str(out)])
    assert inspected.exit_code == 0, inspected.output
    assert "pediatric in" in inspected.output


def test_a_second_time_it_verifies(kaggle: KaggleStub, tmp_path: Path) -> None:
    arguments = ["data", "fetch", "pediatric", "--out", str(tmp_path)]
    CliRunner().invoke(cli, arguments)
    (tmp_path / "chest_xray" / "notes.txt").write_text("mine")
    kaggle.asked.clear()

    result = CliRunner().invoke(cli, arguments)

    assert result.exit_code == 0, result.output
    assert "SHA256SUMS agrees with every file" in result.stdout
    assert "notes.txt; they were left alone" in result.stdout
    assert kaggle.asked == []


def test_nih_names_its_terms_and_takes_an_archive(kaggle: KaggleStub, tmp_path: Path) -> None:
    archive = tmp_path / "archive.zip"
    archive.write_bytes(zip_of(nih_files()))
    result = CliRunner().invoke(
        cli, ["data", "fetch", "nih", "--out", str(tmp_path), "--source", str(archive)]
    )
    assert result.exit_code == 0, result.output
    for said in ("NIH Clinical Center", "nihcc.app.box.com", "Wang", "3 images"):
        assert said in result.stdout
    assert kaggle.asked == []


def test_without_a_network_it_is_a_message_and_exit_code_2(
    kaggle: KaggleStub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kaggle.down = True
    monkeypatch.setattr(sys, "argv", ["cxr", "data", "fetch", "nih", "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert "no network" in told
    assert "images_*.tar.gz" in told
    assert f"cxr data inspect {tmp_path}" in told
    assert "Traceback" not in told
