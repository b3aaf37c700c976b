"""Where a run of Kubeflow Pipelines keeps things below the pipeline root.

An output of a task lies at `ROOT/PIPELINE/RUN/TASK/UUID/KEY`, or without the UUID where Kubeflow
Pipelines is older than 2.5; a task that came from the cache has its outputs in the folder of the
run that made them.
"""

from __future__ import annotations

import dataclasses

FAILURES = "failures"


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """The folder of one run.

    Attributes:
      uri: without a slash at its end.
    """

    uri: str

    @classmethod
    def of_output(cls, uri: str, task: str) -> RunFolder:
        """The folder in which a task of the run has its output.

        Args:
          uri: of the output.
          task: the task's name.

        Raises:
          ValueError: if no folder on the way to the output is the task's.
        """
        parts = uri.rstrip("/").split("/")
        for at in range(len(parts) - 1, 0, -1):
            if parts[at] == task:
                return cls("/".join(parts[:at]))
        raise ValueError(f"{uri}: is no output of a task {task}")

    def holds(self, uri: str) -> bool:
        """Whether something was made by this run."""
        return uri.startswith(f"{self.uri}/")

    @property
    def run_id(self) -> str:
        """As Kubeflow Pipelines gave it."""
        return self.uri.rpartition("/")[2]

    @property
    def root(self) -> str:
        """The pipeline root that it was started with."""
        return self.uri.rsplit("/", 2)[0]

    @property
    def pipeline(self) -> str:
        """The pipeline's name."""
        return self.uri.rsplit("/", 2)[-2]

    def outputs(self, task: str, key: str, file: str) -> tuple[str, str]:
        """Patterns of a file in an output of a task, with and without the UUID."""
        return (f"{self.uri}/{task}/*/{key}/{file}", f"{self.uri}/{task}/{key}/{file}")

    def failure(self, task: str) -> str:
        """Where a task that fails leaves a note."""
        return f"{self.uri}/{FAILURES}/{task}.json"

    @property
    def failures(self) -> str:
        """Pattern of all such notes."""
        return f"{self.uri}/{FAILURES}/*.json"
