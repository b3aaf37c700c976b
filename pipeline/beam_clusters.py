"""The clusters that Beam can take a node's work to: typed options, and the flags they become.

Flink and Spark are reached through Beam's portable API: a job server takes the pipeline, and
Python workers beside the cluster's own do the work.
"""

from __future__ import annotations

import json
from typing import Literal
from urllib.parse import urlsplit

import pydantic

from components.settings import Settings

Environment = Literal["loopback", "external", "docker", "process"]

_HOST = r"[A-Za-z0-9.-]+"
_ADDRESS = rf"^{_HOST}:\d{{1,5}}$"
_IMAGE = "cxr:latest"
_BUCKET = r"^gs://[a-z0-9][a-z0-9._-]+[a-z0-9](/.*)?$"


class PortableSettings(Settings):
    """What runners have in common whose workers are reached through Beam's portable API.

    Attributes:
      environment: how workers come to be. `loopback`: within the node's own process, which only
        runners on the same machine reach. `external`: by a worker pool that listens beside each
        of the cluster's workers. `docker`: in containers that the cluster's workers start.
        `process`: as processes that they start. By default loopback on this machine, else
        external.
      worker_pool: `host:port` of the pool, as the cluster's workers see it; external only, and
        `localhost:50000` by default, for a sidecar.
      command: Beam's boot program or one that obeys its contract, as the cluster's workers see
        it; process only.
      variables: of its environment; process only.
      image: of the workers, in which this project is installed. Nothing is pulled but with docker.
      sdk_worker_parallelism: Python processes beside each of the cluster's workers; 0 leaves it to
        the runner.
      job_server_jar: path or URL of Beam's job server; by default Beam fetches it from Maven
        Central.
      job_server_timeout: seconds that are waited for it.
      artifacts_dir: where the job server keeps what is staged, if not on its own disk.
      shared_storage: whether workers on other machines see the local folders of this one, under
        the same paths.
    """

    environment: Environment | None = None
    worker_pool: str | None = pydantic.Field(default=None, pattern=_ADDRESS)
    command: str | None = pydantic.Field(default=None, min_length=1)
    variables: dict[str, str] = {}
    image: str = pydantic.Field(default=_IMAGE, min_length=1)
    sdk_worker_parallelism: int = pydantic.Field(default=1, ge=0)
    job_server_jar: str | None = pydantic.Field(default=None, min_length=1)
    job_server_timeout: int = pydantic.Field(default=300, ge=1)
    artifacts_dir: str | None = pydantic.Field(default=None, min_length=1)
    shared_storage: bool = False

    @property
    def is_embedded(self) -> bool:
        """Whether the runner starts a cluster of its own, on this machine."""
        raise NotImplementedError

    @property
    def is_here(self) -> bool:
        """Whether the cluster is on this machine."""
        raise NotImplementedError

    @property
    def workers_environment(self) -> Environment:
        """How workers come to be, with the default settled."""
        return self.environment or ("loopback" if self.is_embedded else "external")

    @pydantic.model_validator(mode="after")
    def _ask_for_what_the_environment_reads(self) -> PortableSettings:
        chosen = self.workers_environment
        for name, environment in (
            ("worker_pool", "external"),
            ("command", "process"),
            ("variables", "process"),
        ):
            if getattr(self, name) and chosen != environment:
                raise ValueError(f"{name} is for environment={environment}, not for {chosen}")
        if chosen == "process" and not self.command:
            raise ValueError("environment=process needs a command: Beam's boot program")
        if chosen == "loopback" and not self.is_here:
            raise ValueError(
                "environment=loopback is only reached from this machine, where the cluster is "
                "not: take external, docker or process"
            )
        return self

    def flags(self) -> list[str]:
        """Of the workers and of the job server."""
        environment = self.workers_environment
        config = {
            "loopback": None,
            "external": self.worker_pool or "localhost:50000",
            "docker": self.image,
            "process": json.dumps({"command": self.command, "env": self.variables}),
        }[environment]
        return [
            f"--environment_type={environment.upper()}",
            *_given("environment_config", config),
            f"--sdk_worker_parallelism={self.sdk_worker_parallelism}",
            f"--job_server_timeout={self.job_server_timeout}",
            *_given("artifacts_dir", self.artifacts_dir),
        ]


class FlinkSettings(PortableSettings):
    """Apache Flink.

    Attributes:
      master: `[local]` for a Flink within the job server, or the `host:port` of a cluster's
        REST interface, with or without `http(s)://`.
      version: Flink's own, which the job server is made for.
      parallelism: into how many parts work is divided; by default Flink's own default.
    """

    master: str = pydantic.Field(
        default="[local]", pattern=rf"^(\[local\]|(https?://)?{_HOST}:\d{{1,5}})$"
    )
    version: Literal["1.19", "1.20", "2.0", "2.1", "2.2"] = "1.20"
    parallelism: int | None = pydantic.Field(default=None, ge=1)

    @property
    def is_embedded(self) -> bool:
        """Whether the job server runs Flink itself."""
        return self.master == "[local]"

    @property
    def is_here(self) -> bool:
        """Whether the cluster is on this machine."""
        return self.is_embedded or _is_this_machine(self.master)

    def flags(self) -> list[str]:
        """For Beam's FlinkRunner."""
        return [
            "--runner=FlinkRunner",
            f"--flink_master={self.master}",
            f"--flink_version={self.version}",
            *_given("parallelism", self.parallelism),
            *_given("flink_job_server_jar", self.job_server_jar),
            *super().flags(),
        ]


class SparkSettings(PortableSettings):
    """Apache Spark, of which Beam knows version 3.

    Attributes:
      master: `local`, `local[N]` or `local[*]` for a Spark within the job server, or
        `spark://host:port`.
      rest_url: a cluster's REST interface, `http://host:6066`: the job server is then submitted
        with the job instead of run here.
    """

    master: str = pydantic.Field(
        default="local[*]", pattern=rf"^(local(\[(\d+|\*)\])?|spark://{_HOST}:\d{{1,5}})$"
    )
    rest_url: str | None = pydantic.Field(default=None, pattern=rf"^https?://{_HOST}:\d{{1,5}}$")

    @property
    def is_embedded(self) -> bool:
        """Whether the job server runs Spark itself."""
        return self.master.startswith("local")

    @property
    def is_here(self) -> bool:
        """Whether the cluster is on this machine."""
        return self.is_embedded or _is_this_machine(self.master)

    @pydantic.model_validator(mode="after")
    def _submit_only_to_a_cluster(self) -> SparkSettings:
        if self.rest_url and self.is_embedded:
            raise ValueError(
                f"rest_url is for a cluster, and master={self.master} is none: say spark://..."
            )
        return self

    def flags(self) -> list[str]:
        """For Beam's SparkRunner."""
        submitted = ["--spark_submit_uber_jar"] if self.rest_url else []
        return [
            "--runner=SparkRunner",
            f"--spark_master_url={self.master}",
            "--spark_version=3",
            *submitted,
            *_given("spark_rest_url", self.rest_url),
            *_given("spark_job_server_jar", self.job_server_jar),
            *super().flags(),
        ]


class DataflowSettings(Settings):
    """Google Cloud Dataflow.

    Attributes:
      project: id of the Google Cloud project.
      region: such as `europe-west4`.
      temp_location: `gs://` folder for what workers write meanwhile.
      staging_location: `gs://` folder for what they are started with; by default Dataflow's own
        below `temp_location`.
      image: of the workers: this project and Beam's boot program.
      machine_type: of the workers, such as `n2-standard-4`.
      disk_size_gb: of each worker's disk.
      workers: how many to start with.
      max_workers: how many there may be.
      service_account: e-mail address of whom workers act as.
      subnetwork: `regions/REGION/subnetworks/NAME`.
      public_ips: whether workers have public addresses.
    """

    project: str = pydantic.Field(pattern=r"^[a-z][a-z0-9:.-]+[a-z0-9]$")
    region: str = pydantic.Field(pattern=r"^[a-z]+-[a-z]+\d+$")
    temp_location: str = pydantic.Field(pattern=_BUCKET)
    staging_location: str | None = pydantic.Field(default=None, pattern=_BUCKET)
    image: str = pydantic.Field(min_length=1)
    machine_type: str | None = pydantic.Field(default=None, pattern=r"^[a-z0-9-]+$")
    disk_size_gb: int | None = pydantic.Field(default=None, ge=10)
    workers: int | None = pydantic.Field(default=None, ge=1)
    max_workers: int | None = pydantic.Field(default=None, ge=1)
    service_account: str | None = pydantic.Field(default=None, pattern=r"^[^@\s]+@[^@\s]+$")
    subnetwork: str | None = pydantic.Field(default=None, min_length=1)
    public_ips: bool = True

    @pydantic.model_validator(mode="after")
    def _start_with_no_more_than_there_may_be(self) -> DataflowSettings:
        if self.workers and self.max_workers and self.workers > self.max_workers:
            raise ValueError(f"workers={self.workers} are more than max_workers={self.max_workers}")
        return self

    def flags(self) -> list[str]:
        """For Beam's DataflowRunner."""
        addresses = [] if self.public_ips else ["--no_use_public_ips"]
        return [
            "--runner=DataflowRunner",
            f"--project={self.project}",
            f"--region={self.region}",
            f"--temp_location={self.temp_location}",
            *_given("staging_location", self.staging_location),
            *_given("machine_type", self.machine_type),
            *_given("disk_size_gb", self.disk_size_gb),
            *_given("num_workers", self.workers),
            *_given("max_num_workers", self.max_workers),
            *_given("service_account_email", self.service_account),
            *_given("subnetwork", self.subnetwork),
            *addresses,
            # What takes workers from an image of one's own.
            "--experiments=use_runner_v2",
        ]


def _given(flag: str, value: object) -> list[str]:
    return [] if value is None else [f"--{flag}={value}"]


def _is_this_machine(address: str) -> bool:
    host = urlsplit(address if "://" in address else f"//{address}").hostname
    return host in ("localhost", "127.0.0.1")
