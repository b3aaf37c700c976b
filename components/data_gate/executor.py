"""Artifacts in, artifacts out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow_data_validation as tfdv
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2
from tfx import types
from tfx.components.example_validator import executor as example_validator
from tfx.components.statistics_gen import executor as statistics_gen
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from components import progress, storage
from components.data_gate import comparison, made_by, notes, problems, report, slices
from components.data_gate.comparators import SCHEMA_FILE
from components.data_gate.problems import Anomaly
from components.data_gate.settings import DataGateSettings
from components.data_gate.tables import Statistics
from components.errors import InputError
from components.example_gen import report as ingest_report
from components.example_gen.split import TRAIN

STATISTICS = "statistics"
ANOMALIES = "anomalies"
SCHEMA = "schema"
INGEST = "ingest"
BASELINE = "baseline"
REPORT = "report"
SETTINGS = "settings"
ON_FAILURE = "on_failure"
CODE = "code"

HTML_FILE = "data.html"
INDEX_FILE = "data.json"


class DataError(InputError):
    """Data that should not be learnt from; the message says why, and what to do."""


class DataReportExecutor(base_executor.BaseExecutor):
    """Gathers what is wrong with the data."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Run the node, see `DataReport`."""
        settings = DataGateSettings.model_validate_json(exec_properties[SETTINGS])
        ingest = json.loads(_read(input_dict[INGEST], ingest_report.FILE_NAME))
        schema = text_format.Parse(_read(input_dict[SCHEMA], SCHEMA_FILE), schema_pb2.Schema())
        statistics = _read_statistics(artifact_utils.get_single_instance(input_dict[STATISTICS]))
        anomalies = _read_anomalies(artifact_utils.get_single_instance(input_dict[ANOMALIES]))
        last = input_dict.get(BASELINE)
        comparisons = comparison.compare(
            statistics, _read_baseline(last), schema, settings, _changed_since(last, ingest)
        )
        found = report.Report(
            ingest=ingest,
            statistics=statistics,
            anomalies=anomalies,
            comparisons=comparisons,
            problems=problems.find_problems(ingest, anomalies, comparisons, settings),
            notes=notes.find_notes(ingest, comparisons, settings),
            settings=settings,
        )
        folder = artifact_utils.get_single_uri(output_dict[REPORT])
        index = json.dumps(report.index(found), indent=2, ensure_ascii=False) + "\n"
        for name, text in {INDEX_FILE: index, HTML_FILE: report.render_html(found)}.items():
            with fileio.open(f"{folder}/{name}", "wb") as file:
                file.write(text.encode())


class DataGateExecutor(base_executor.BaseExecutor):
    """Refuses data with problems, and keeps the statistics of what is accepted."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Run the node, see `DataGate`.

        Raises:
          DataError: if there are problems, and these are to stop the run.
        """
        page = f"{artifact_utils.get_single_uri(input_dict[REPORT])}/{HTML_FILE}"
        found = json.loads(_read(input_dict[REPORT], INDEX_FILE))
        said = [f"{one['sentence']} {one['remedy']}" for one in found["problems"]]
        if said and exec_properties[ON_FAILURE] == "fail":
            raise DataError(_refusal(said, page))
        for one in said:
            progress.warn(f"{one} (Accepted by data_gate.on_failure=warn; see {page})")
        folder = artifact_utils.get_single_uri(output_dict[BASELINE])
        _copy_statistics(artifact_utils.get_single_instance(input_dict[STATISTICS]), folder)
        with fileio.open(f"{folder}/{made_by.FILE_NAME}", "wb") as file:
            file.write(f"{json.dumps(found['made_by'], indent=2)}\n".encode())


def _refusal(said: Sequence[str], page: str) -> str:
    problems_found = "1 problem" if len(said) == 1 else f"{len(said)} problems"
    return "\n".join(
        [
            f"the data is refused for {problems_found}:",
            *(f"  {number}. {one}" for number, one in enumerate(said, start=1)),
            f"All of it, with the figures: {page}",
            "To go on nevertheless: --set data_gate.on_failure=warn",
        ]
    )


def _read(artifacts: Sequence[types.Artifact], name: str) -> str:
    with fileio.open(f"{artifact_utils.get_single_uri(list(artifacts))}/{name}", "rb") as file:
        return file.read().decode()


def _read_statistics(artifact: types.Artifact) -> dict[str, dict[str, Statistics]]:
    return {
        split: _read_split(artifact.uri, split)
        for split in artifact_utils.decode_split_names(artifact.split_names)
    }


def _read_baseline(artifacts: Sequence[types.Artifact] | None) -> dict[str, Statistics]:
    """The train split of the last accepted run; nothing, if there was none."""
    if not artifacts:
        return {}
    return _read_split(artifact_utils.get_single_uri(list(artifacts)), TRAIN)


def _changed_since(
    artifacts: Sequence[types.Artifact] | None, ingest: Mapping[str, Any]
) -> dict[str, list[str]]:
    """For each dataset, the settings that the last accepted run had otherwise."""
    # A baseline of an earlier version does not know what it was made by.
    if not artifacts or not fileio.exists(f"{artifacts[0].uri}/{made_by.FILE_NAME}"):
        return {}
    before, now = json.loads(_read(artifacts, made_by.FILE_NAME)), made_by.made_by(ingest)
    return {name: made_by.changed(before, now, name) for name in ingest["datasets"]}


def _read_split(folder: str, split: str) -> dict[str, Statistics]:
    with storage.local_copy(_statistics_file(folder, split)) as file:
        return slices.by_dataset(tfdv.load_stats_binary(str(file)))


def _statistics_file(folder: str, split: str) -> str:
    return f"{folder}/Split-{split}/{statistics_gen.DEFAULT_FILE_NAME}"


def _read_anomalies(artifact: types.Artifact) -> list[Anomaly]:
    found = []
    for split in artifact_utils.decode_split_names(artifact.split_names):
        uri = artifact_utils.get_split_uri([artifact], split)
        with fileio.open(f"{uri}/{example_validator.DEFAULT_FILE_NAME}", "rb") as file:
            anomalies = anomalies_pb2.Anomalies.FromString(file.read())
        if anomalies.HasField("dataset_anomaly_info"):
            found.append(Anomaly(split, "dataset", anomalies.dataset_anomaly_info.description))
        for name, info in sorted(anomalies.anomaly_info.items()):
            found.append(Anomaly(split, name, info.description))
    return found


def _copy_statistics(source: types.Artifact, folder: str) -> None:
    for split in artifact_utils.decode_split_names(source.split_names):
        target = _statistics_file(folder, split)
        fileio.makedirs(target.rpartition("/")[0])
        fileio.copy(_statistics_file(source.uri, split), target, overwrite=True)
