"""A finished run, as notebooks look at it."""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import absl.logging
import pandas as pd
from matplotlib.figure import Figure

from components import report
from components.example_gen import record
from components.progress import LOGGER
from components.report.figures import Figures
from components.report.tables import Table
from components.storage import local_path
from pipeline.config import ConfigError
from pipeline.run_folder import RunFolder
from pipeline.run_record import NodeRecord, histories, newest
from serving.saved_model import import_tensorflow
from serving.versions import ModelFolder

tf = import_tensorflow()

# Where a notebook looks, instead of its own experiment's folder.
RUN_VARIABLE = "CXR_RUN"


@dataclasses.dataclass(frozen=True)
class Film:
    """An image of a run, as it was read.

    Attributes:
      image: the encoded file.
      features: of the Example, without the image: a value, or a list of several.
    """

    image: bytes
    features: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The file's name as found on disk."""
        return str(self.features[record.FILENAME])

    @property
    def class_name(self) -> str:
        """What it is labelled with."""
        return record.CLASS_NAMES[self.features[record.LABEL]]


@dataclasses.dataclass(frozen=True)
class FinishedRun:
    """What `cxr run` left in a folder.

    Attributes:
      folder: of the run, such as `runs/pediatric`.
    """

    folder: Path

    @functools.cached_property
    def summary(self) -> dict[str, Any]:
        """What the run said at its end."""
        return json.loads((self.folder / "summary.json").read_text())

    @property
    def gates(self) -> pd.DataFrame:
        """What each gate asked of each dataset, and what it found."""
        return pd.DataFrame(
            self.summary["gates"], columns=["dataset", "name", "verdict", "sentence"]
        )

    @functools.cached_property
    def figures(self) -> Figures:
        """What the report says, as data, for the plots of `components.report.plots`."""
        return report.load(str(self.path("EvaluationReport", "report")))

    @functools.cached_property
    def nodes(self) -> dict[str, NodeRecord]:
        """Each node of the run, by name."""
        found = histories(RunFolder(self.folder))
        return newest(max(found, key=lambda history: history.runs[-1].started))

    def path(self, node: str, output: str) -> Path:
        """The folder of an artifact.

        Args:
          node: that wrote it, such as `Trainer`.
          output: its key, such as `model`.

        Raises:
          InputError: if it is in a store.
        """
        return local_path(self.nodes[node].outputs[output].uri)

    def page(self, name: str) -> Path:
        """A page: `report`, `dashboard`, `model_card`, `grad_cam`, `data` or `ingest`."""
        return Path(self.summary["paths"][name])

    @property
    def served(self) -> Path:
        """The folder of the versions that this experiment pushed.

        Raises:
          ConfigError: if there is none, since no model was blessed.
        """
        folder = RunFolder(self.folder).serving
        if not ModelFolder(folder).versions():
            raise ConfigError(
                f"{self.folder}: its model is {self.summary['verdict']}, and nothing was pushed: "
                "take another run, or run it with --set evaluator.report_only=true"
            )
        return folder

    def films(self, split: str) -> Iterator[Film]:
        """The films of a split, in the order in which they were written."""
        files = sorted(map(str, self.path("XrayExampleGen", "examples").glob(f"Split-{split}/*")))
        for serialized in tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator():
            features = tf.train.Example.FromString(serialized).features.feature
            values = {name: _values(one) for name, one in features.items() if name != record.IMAGE}
            yield Film(features[record.IMAGE].bytes_list.value[0], values)

    def examples(self, split: str) -> pd.DataFrame:
        """What is known of the films of a split, a row for each; without the images."""
        return pd.DataFrame([film.features for film in self.films(split)])


def open_run(experiment: str) -> FinishedRun:
    """The last run of an experiment, below this folder's or its parent's `runs/`.

    From here on the notebook shows what it is about: libraries log errors alone, and tables show
    sentences to their end.

    Args:
      experiment: its name. The environment variable `CXR_RUN` names another run's folder instead.

    Raises:
      ConfigError: if it was not run.
    """
    _set_up_notebook()
    given = os.environ.get(RUN_VARIABLE)
    folders = [Path(given)] if given else [Path(up, "runs", experiment) for up in (".", "..")]
    for folder in folders:
        if (folder / "summary.json").is_file():
            return FinishedRun(folder.resolve())
    raise ConfigError(
        f"no finished run in {' or '.join(map(str, folders))}: cxr run {experiment} makes one, and "
        f"{RUN_VARIABLE} names another"
    )


def frame(table: Table) -> pd.DataFrame:
    """A report's table, by the name of its rows."""
    rows = pd.DataFrame(list(table.rows), columns=list(table.headings))
    return rows.set_index(table.headings[0])


def gallery(images: Sequence[bytes], captions: Sequence[str], *, height: float = 3.2) -> Figure:
    """Encoded images side by side.

    Args:
      images: JPEG or PNG.
      captions: one for each.
      height: in inches.
    """
    figure = Figure(figsize=(height * len(images), height), layout="constrained")
    for axis, image, caption in zip(
        figure.subplots(1, len(images), squeeze=False)[0], images, captions, strict=True
    ):
        pixels = tf.io.decode_image(image, expand_animations=False).numpy()
        axis.imshow(pixels.squeeze(), cmap="gray", vmin=0, vmax=255)
        axis.set_title(caption, fontsize=9)
        axis.set_axis_off()
    return figure


def _set_up_notebook() -> None:
    tf.get_logger().setLevel(logging.ERROR)
    absl.logging.set_verbosity(absl.logging.ERROR)
    logging.getLogger().setLevel(logging.ERROR)
    LOGGER.setLevel(logging.WARNING)
    pd.set_option("display.max_colwidth", None)


def _values(feature: Any) -> Any:
    kind = feature.WhichOneof("kind")
    if kind is None:
        return None
    values = list(getattr(feature, kind).value)
    if kind == "bytes_list":
        values = [value.decode() for value in values]
    return values[0] if len(values) == 1 else values
