"""Beam's runners: where the nodes that see every film do their work, and with which flags.

TFX hands a node's flags to Beam as they are.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

import pydantic

from components.errors import InputError
from components.settings import Settings
from pipeline.beam_clusters import DataflowSettings, FlinkSettings, SparkSettings

# Beam counts them where it runs, which need not be where the pipeline was made.
ALL_CORES = 0

# Their work is in libraries that let other threads run meanwhile.
THREADED_NODES = frozenset({"XrayExampleGen", "GradCamReport", "Embedder"})
# What grows with the number of films. Transform is not one of them: it analyses nothing, and
# reads no film.
DISTRIBUTED_NODES = THREADED_NODES | {
    "StatisticsGen",
    "Evaluator",
    "ValidationEvaluator",
    "UnsampledEvaluator",
}

# Batches of Examples are limited by their bytes, not by how long they take: a second's worth of
# films is up to 1,000 of them. The flag is tfx_bsl's.
_BOUNDED_BATCHES = "--tfxio_use_byte_size_batching"

# What workers import first that Beam starts, by its boot program: else they would know nothing of
# s3://, minio:// and hdfs://. Those of a pool are told by `runners.worker`.
_FILE_SYSTEMS = "--beam_plugins=components.object_store_beam"

# An image that nothing is started from. Without one TFX would pack itself for workers to install:
# 50 MB in the temporary folder for each Beam node of each run, and nobody deletes them.
_NOT_PACKED = "--sdk_container_image=cxr"


class BeamSettings(Settings):
    """How Beam runs.

    Attributes:
      runner: `direct` runs in the node's own process; the others take the nodes that see every
        film to a cluster.
      workers: threads that read images, for direct; by default one for each core.
      flink: its options.
      spark: its options.
      dataflow: its options.
    """

    runner: Literal["direct", "flink", "spark", "dataflow"] = "direct"
    workers: int | None = pydantic.Field(default=None, ge=1)
    flink: FlinkSettings | None = None
    spark: SparkSettings | None = None
    dataflow: DataflowSettings | None = None

    @pydantic.field_validator("workers", "flink", "spark", "dataflow")
    @classmethod
    def _ask_for_what_the_runner_reads(cls, value: Any, info: pydantic.ValidationInfo) -> Any:
        chosen = info.data.get("runner", "direct")
        of = "direct" if info.field_name == "workers" else info.field_name
        if value is not None and of != chosen:
            raise ValueError(f"is for beam.runner={of}, not for {chosen}: leave it out")
        return value

    @pydantic.model_validator(mode="after")
    def _ask_for_the_options_of_dataflow(self) -> BeamSettings:
        if self.runner == "dataflow" and self.dataflow is None:
            raise ValueError("runner=dataflow needs beam.dataflow: project, region and so on")
        return self

    @property
    def cluster(self) -> FlinkSettings | SparkSettings | DataflowSettings | None:
        """The options of the runner; none for direct."""
        if self.runner == "flink":
            return self.flink or FlinkSettings()
        if self.runner == "spark":
            return self.spark or SparkSettings()
        return self.dataflow


def beam_args(settings: BeamSettings, *, node: str) -> list[str]:
    """Flags for Beam.

    Args:
      settings: the configuration's.
      node: id of the node that they are for.
    """
    cluster = settings.cluster
    if cluster is None or node not in DISTRIBUTED_NODES:
        threads = (settings.workers or ALL_CORES) if node in THREADED_NODES else 1
        mode = "in_memory" if threads == 1 else "multi_threading"
        return [
            # Said, since Beam would else choose for small jobs what stalls.
            f"--direct_running_mode={mode}",
            f"--direct_num_workers={threads}",
            _NOT_PACKED,
            _BOUNDED_BATCHES,
        ]
    return [
        *cluster.flags(),
        # Without an image TFX would pack itself for workers to install.
        f"--sdk_container_image={cluster.image}",
        # What runs there is installed there: nothing of this process is sent, nor a list of what
        # is installed here.
        "--no_save_main_session",
        "--experiments=disable_logging_submission_environment",
        _FILE_SYSTEMS,
        _BOUNDED_BATCHES,
    ]


def require_shared_storage(settings: BeamSettings, paths: Collection[str]) -> None:
    """Refuse folders that the workers of a cluster do not see.

    Args:
      settings: the configuration's.
      paths: where nodes read and write: URIs, or paths of this machine.

    Raises:
      InputError: names the runner and the folder.
    """
    cluster = settings.cluster
    if cluster is None:
        return
    if isinstance(cluster, DataflowSettings):
        # Nothing hands them the keys of another store.
        away, remedy = "Dataflow's workers", "give gs:// for the pipeline root and the data"
        hidden = [path for path in paths if not path.startswith("gs://")]
    else:
        if cluster.workers_environment == "loopback" or cluster.shared_storage:
            return
        away = f"the workers of {cluster.master}"
        remedy = (
            "give a store (gs://, s3://, minio:// or hdfs://) for the pipeline root and the data, "
            "or, where the folder is mounted under the same path in every worker, set "
            f"beam.{settings.runner}.shared_storage=true"
        )
        hidden = [path for path in paths if "://" not in path]
    if hidden:
        raise InputError(f"beam.runner={settings.runner}: {away} do not see {hidden[0]}: {remedy}")
