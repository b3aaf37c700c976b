"""What the node writes, and how it is read again."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from tfx.dsl.io import fileio

from components.baseline_probe import probe
from components.baseline_probe.features import SEES, Measured
from components.baseline_probe.probe import IDENTITY, Probe
from components.example_gen.split import TEST, TRAIN
from components.plain import Plain

INDEX_FILE = "probe.json"
SCORES_FILE = "test_scores.npz"

_SEES = SEES | {IDENTITY: "which dataset the image is of"}
_SCORES = "scores/"


class TrainingImages(Plain):
    """What the probes learnt from.

    Attributes:
      dataset: of the images.
      n: images.
      positives: how many of them have each finding.
    """

    dataset: str
    n: int
    positives: Mapping[str, int]


class Figure(Plain):
    """How well a probe tells a finding on some images.

    Attributes:
      probe: its name.
      split: `val` or `test`; on `val` it was chosen which of two regressions answers.
      dataset: of the images; None for those of all datasets together.
      finding: out of the outputs.
      n: images.
      positives: images with the finding.
      auc: area under the ROC curve; None where there is none.
      reason: why there is none; empty where there is one.
      trained_on: whether the regression learnt from the training images of this dataset (`own`) or
        of all (`all`); None for all datasets together, and where there is no regression.
    """

    probe: str
    split: str
    dataset: str | None
    finding: str
    n: int
    positives: int
    auc: float | None
    reason: str
    trained_on: Literal["own", "all"] | None


class ProbeIndex(Plain):
    """What `probe.json` says.

    Attributes:
      outputs: the findings.
      sees: what each probe sees of an image, in words, by its name.
      regularisation: of the regressions, sklearn's C.
      training: what they learnt from, by dataset.
      figures: by probe, split, dataset and finding.
    """

    outputs: tuple[str, ...]
    sees: Mapping[str, str]
    regularisation: float
    training: tuple[TrainingImages, ...]
    figures: tuple[Figure, ...]


@dataclasses.dataclass(frozen=True)
class ProbeScores:
    """What the probes say of each test image: N images, K outputs.

    Attributes:
      outputs: the findings.
      sha256: str [N].
      datasets: str [N].
      labels: int64 [N, K], 0 or 1.
      scores: by probe, log odds, float64 [N, K]; nan where it has none. Those of `dataset
        identity` tell nothing within one dataset.
    """

    outputs: tuple[str, ...]
    sha256: NDArray[np.str_]
    datasets: NDArray[np.str_]
    labels: NDArray[np.int64]
    scores: Mapping[str, NDArray[np.float64]]

    def of(self, sha256: Sequence[str] | NDArray[np.str_]) -> ProbeScores:
        """The same of these images, in their order.

        Raises:
          ValueError: if the probes have not seen one of them.
        """
        places = {digest: place for place, digest in enumerate(self.sha256)}
        unknown = [digest for digest in sha256 if digest not in places]
        if unknown:
            raise ValueError(
                f"the probes have not seen {len(unknown)} of {len(sha256)} images, such as the "
                f"one with sha256 {unknown[0]}"
            )
        rows = np.array([places[digest] for digest in sha256], np.intp)
        return ProbeScores(
            outputs=self.outputs,
            sha256=self.sha256[rows],
            datasets=self.datasets[rows],
            labels=self.labels[rows],
            scores={name: values[rows] for name, values in self.scores.items()},
        )


def index(
    probes: Sequence[Probe], splits: Mapping[str, Measured], outputs: Sequence[str]
) -> ProbeIndex:
    """What the probes reach, with counts."""
    train = splits[TRAIN]
    training = [
        TrainingImages(
            dataset=dataset,
            n=int((train.datasets == dataset).sum()),
            positives=_positives(train.labels[train.datasets == dataset], outputs),
        )
        for dataset in _datasets(train)
    ]
    figures = [
        figure
        for one in probes
        for split in one.scores
        for dataset in _judged_on(one, splits[split])
        for figure in _figures(one, split, splits[split], dataset, outputs)
    ]
    return ProbeIndex(
        outputs=tuple(outputs),
        sees={one.name: _SEES[one.name] for one in probes},
        regularisation=probe.C,
        training=tuple(training),
        figures=tuple(figures),
    )


def write(
    uri: str, probes: Sequence[Probe], splits: Mapping[str, Measured], outputs: Sequence[str]
) -> None:
    """Fill a `ProbeReport` artifact."""
    test = splits[TEST]
    arrays = {
        "outputs": np.array(outputs, np.str_),
        "sha256": test.sha256,
        "datasets": test.datasets,
        "labels": test.labels,
    }
    arrays |= {f"{_SCORES}{one.name}": one.scores[TEST] for one in probes}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    text = json.dumps(index(probes, splits, outputs).model_dump(mode="json"), indent=2) + "\n"
    for name, content in {SCORES_FILE: buffer.getvalue(), INDEX_FILE: text.encode()}.items():
        with fileio.open(f"{uri}/{name}", "wb") as file:
            file.write(content)


def read_index(uri: str) -> ProbeIndex:
    """The figures of a `ProbeReport` artifact."""
    with fileio.open(f"{uri}/{INDEX_FILE}", "rb") as file:
        return ProbeIndex.model_validate_json(file.read())


def read_probe(uri: str) -> ProbeScores:
    """The scores of a `ProbeReport` artifact, images by sha256."""
    with fileio.open(f"{uri}/{SCORES_FILE}", "rb") as file:
        arrays = np.load(io.BytesIO(file.read()), allow_pickle=False)
    return ProbeScores(
        outputs=tuple(arrays["outputs"].tolist()),
        sha256=arrays["sha256"],
        datasets=arrays["datasets"],
        labels=arrays["labels"],
        scores={
            name.removeprefix(_SCORES): arrays[name]
            for name in arrays.files
            if name.startswith(_SCORES)
        },
    )


def _judged_on(one: Probe, split: Measured) -> list[str | None]:
    """All images together are judged where there are several datasets; identity, only there."""
    datasets = _datasets(split)
    together: list[str | None] = [None] if len(datasets) > 1 else []
    return together if one.name == IDENTITY else [*datasets, *together]


def _figures(
    one: Probe, split: str, measured: Measured, dataset: str | None, outputs: Sequence[str]
) -> list[Figure]:
    rows = np.full(len(measured.sha256), True) if dataset is None else measured.datasets == dataset
    labels, scores = measured.labels[rows], one.scores[split][rows]
    return [
        Figure(
            probe=one.name,
            split=split,
            dataset=dataset,
            finding=finding,
            n=len(labels),
            positives=int(labels[:, k].sum()),
            auc=probe.auc(labels[:, k], scores[:, k]),
            reason=_reason(labels[:, k], scores[:, k]),
            trained_on=one.trained_on[dataset][k] if dataset else None,
        )
        for k, finding in enumerate(outputs)
    ]


def _reason(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> str:
    if np.isnan(scores).any():
        return "the training images are all of one class"
    return "" if np.ptp(labels) else "the images are all of one class"


def _positives(labels: NDArray[np.int64], outputs: Sequence[str]) -> dict[str, int]:
    return dict(zip(outputs, labels.sum(axis=0).tolist(), strict=True))


def _datasets(split: Measured) -> list[str]:
    return np.unique(split.datasets).tolist()
