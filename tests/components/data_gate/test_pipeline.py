"""The nodes as they run: real TFX components, run after run, with the last run's baseline."""

import dataclasses
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tensorflow_data_validation as tfdv
from tfx import v1 as tfx
from tfx.types import standard_artifacts

from components import progress
from components.data_gate.artifacts import StatisticsBaseline
from components.data_gate.component import DataGate, DataReport
from components.data_gate.executor import DataError
from components.data_gate.schema import CuratedSchema, curated_schema
from components.data_gate.slices import by_dataset, statistics_options
from components.example_gen.artifacts import IngestReport
from tests.components.data_gate.samples import (
    SPLITS,
    Downstream,
    account,
    films,
    write_examples,
)

# Images of each dataset, by split.
NUMBERS = {"train": range(240), "val": range(1000, 1120), "test": range(2000, 2120)}
DATASETS = ("nih", "pediatric")


def write_data(folder: Path, salt: str = "cxr", **changes: Any) -> Path:
    """What the ingest leaves behind; the changes are those of the nih films."""
    splits = {split: films(own) + films(own, "nih", **changes) for split, own in NUMBERS.items()}
    write_examples(folder / "examples", splits)
    halves = {split: (len(own) // 2, len(own) // 2) for split, own in NUMBERS.items()}
    ingest = account({split: dict.fromkeys(DATASETS, pair) for split, pair in halves.items()})
    ingest["split"]["salt"] = salt
    (folder / "report").mkdir()
    (folder / "report" / "ingest.json").write_text(json.dumps(ingest))
    return folder


@dataclasses.dataclass
class Project:
    """Where the runs of a pipeline leave their artifacts."""

    root: Path

    def run(self, data: Path, on_failure: str = "fail") -> None:
        """One run, with what is unchanged from the cache."""
        examples = tfx.dsl.Importer(
            source_uri=str(data / "examples"),
            artifact_type=standard_artifacts.Examples,
            properties={"split_names": json.dumps(SPLITS)},
        ).with_id("Examples")
        ingest = tfx.dsl.Importer(
            source_uri=str(data / "report"), artifact_type=IngestReport
        ).with_id("Ingest")
        schema = CuratedSchema(text=curated_schema(DATASETS))
        statistics_gen = tfx.components.StatisticsGen(
            examples=examples.outputs["result"],
            schema=schema.outputs["schema"],
            stats_options=statistics_options(),
        )
        validator = tfx.components.ExampleValidator(
            statistics=statistics_gen.outputs["statistics"], schema=schema.outputs["schema"]
        )
        last_baseline = tfx.dsl.Resolver(
            strategy_class=tfx.dsl.experimental.LatestArtifactStrategy,
            baseline=tfx.dsl.Channel(type=StatisticsBaseline),
        ).with_id("LastBaseline")
        report = DataReport(
            statistics=statistics_gen.outputs["statistics"],
            anomalies=validator.outputs["anomalies"],
            schema=schema.outputs["schema"],
            ingest=ingest.outputs["result"],
            baseline=last_baseline.outputs["baseline"],
        )
        gate = DataGate(
            report=report.outputs["report"],
            statistics=statistics_gen.outputs["statistics"],
            on_failure=on_failure,
        )
        downstream = Downstream(
            statistics=statistics_gen.outputs["statistics"], log=str(self.root / "downstream")
        )
        downstream.add_upstream_node(gate)
        nodes = [examples, ingest, schema, statistics_gen, validator, last_baseline]
        tfx.orchestration.LocalDagRunner().run(
            tfx.dsl.Pipeline(
                pipeline_name="data",
                pipeline_root=str(self.root),
                components=[*nodes, report, gate, downstream],
                enable_cache=True,
                metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
                    str(self.root / "metadata.sqlite")
                ),
                beam_pipeline_args=["--direct_running_mode=in_memory"],
            )
        )

    def artifacts(self, path: str) -> list[Path]:
        """What a node put out, the latest last."""
        return sorted((self.root / path).glob("*"), key=lambda folder: int(folder.name))

    @property
    def reports(self) -> list[Path]:
        return self.artifacts("DataReport/report")

    @property
    def baselines(self) -> list[Path]:
        return self.artifacts("DataGate/baseline")

    @property
    def statistics(self) -> list[Path]:
        return self.artifacts("StatisticsGen/statistics")

    @property
    def downstream_runs(self) -> int:
        return len((self.root / "downstream").read_text().splitlines())

    def found(self) -> dict[str, Any]:
        """The latest report."""
        return json.loads((self.reports[-1] / "data.json").read_text())

    def drift(self) -> dict[str, dict[str, float]]:
        """The distances from the last run, by dataset and feature."""
        return {
            one["dataset"]: {far["feature"]: far["value"] for far in one["distances"]}
            for one in self.found()["comparisons"]
            if one["kind"] == "drift"
        }


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    found: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda entry: found.append(entry.getMessage())  # type: ignore[method-assign]
    progress.LOGGER.addHandler(handler)
    yield found
    progress.LOGGER.removeHandler(handler)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("sound"))


@pytest.fixture(scope="module")
def drifted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In all splits alike, nih comes from another machine, which knows no sex but `U`."""
    return write_data(tmp_path_factory.mktemp("drifted"), p01=0.3, sex="U")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, sound: Path) -> Project:
    """After two runs on sound data."""
    project = Project(tmp_path_factory.mktemp("runs"))
    project.run(sound)
    assert project.drift() == {}  # there was nothing to compare with
    project.run(sound)
    return project


def test_statistics_are_of_each_dataset_and_of_all(project: Project) -> None:
    found = tfdv.load_stats_binary(str(project.statistics[0] / "Split-train/FeatureStats.pb"))
    assert {one.name: one.num_examples for one in found.datasets} == {
        "All Examples": 480,
        "dataset_nih": 240,
        "dataset_pediatric": 240,
    }
    images = [
        feature
        for own in by_dataset(found).values()
        for feature in own.features
        if list(feature.path.step) == ["image/encoded"]
    ]
    assert [one.WhichOneof("stats") for one in images] == ["bytes_stats"] * 2
    assert list(project.found()["statistics"]) == list(SPLITS)
    for own in project.found()["statistics"].values():
        assert list(own) == list(DATASETS)


def test_sound_data_passes_and_becomes_the_baseline(project: Project) -> None:
    assert project.found()["problems"] == []
    for baseline in project.baselines:
        assert {path.parent.name for path in baseline.rglob("*.pb")} == {
            f"Split-{split}" for split in SPLITS
        }
        made_by = json.loads((baseline / "made_by.json").read_text())
        assert made_by == project.found()["made_by"]
        assert made_by["split"]["salt"] == "cxr"


def test_the_second_run_compares_with_the_first_and_the_rest_comes_from_the_cache(
    project: Project,
) -> None:
    assert set(project.drift()) == set(DATASETS)
    assert {value for own in project.drift().values() for value in own.values()} == {0.0}
    assert len(project.statistics) == 1
    assert len(project.reports) == len(project.baselines) == 2
    assert project.downstream_runs == 1


def test_refused_data_renews_nothing_until_it_is_accepted(
    project: Project, drifted: Path, warnings: list[str]
) -> None:
    before = (len(project.baselines), project.downstream_runs)
    for _ in range(2):
        with pytest.raises(DataError) as refused:
            project.run(drifted)
        message = str(refused.value)
        page = project.reports[-1] / "data.html"
        assert page.is_file()
        assert str(page) in message
        for said in (
            "nih: train (240 images) and last run's train (240) differ",
            "image/p01",
            "train: sex: ",
            "val: sex: ",
            "data_gate.on_failure=warn",
        ):
            assert said in message
        assert project.drift()["nih"]["image/p01"] > 0.9
        assert max(project.drift()["pediatric"].values()) == 0
        assert (len(project.baselines), project.downstream_runs) == before
    assert len(project.reports) == 3  # the second refusal was from the same report
    assert warnings == []

    project.run(drifted, on_failure="warn")
    assert len(project.baselines) == before[0] + 1
    assert project.downstream_runs == before[1] + 1
    assert sum("image/p01" in one for one in warnings) == 1
    assert all(str(page) in one for one in warnings)
    assert len(warnings) == len(project.found()["problems"])

    project.run(drifted, on_failure="warn")
    assert max(project.drift()["nih"].values()) == 0
    assert {one["check"] for one in project.found()["problems"]} == {"anomaly"}


def test_another_setting_is_no_drift_and_the_next_run_is_compared_with_it(
    tmp_path: Path, sound: Path
) -> None:
    project = Project(tmp_path)
    project.run(sound)
    other = write_data(tmp_path / "other", salt="another", p01=0.3)
    project.run(other)
    assert project.drift()["nih"]["image/p01"] > 0.9
    assert project.found()["problems"] == []
    assert [one for one in project.found()["notes"] if "(data.split.salt)" in one]
    made_by = json.loads((project.baselines[-1] / "made_by.json").read_text())
    assert made_by["split"]["salt"] == "another"

    same_settings = write_data(tmp_path / "same_settings", salt="another", p01=0.7)
    with pytest.raises(DataError, match="image/p01"):
        project.run(same_settings)
