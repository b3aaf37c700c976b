"""What the pages are made of, as data: written as JSON, read by notebooks and by comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from components.evaluator.judgement import Judgement, Performance, SlicePerformance
from components.example_gen.split import TEST
from components.explanation_probe.measures import Measures
from components.plain import Plain
from components.statistics.interval import Interval

FILE_NAME = "figures.json"
# How Robustness calls films as they are.
UNTOUCHED = "none"


class Source(Plain):
    """An artifact that was read.

    Attributes:
      id: in ML Metadata; 0 where the engine has none.
      uri: where it lies.
    """

    id: int
    uri: str


class Lineage(Plain):
    """What a model came from.

    Attributes:
      experiment: its name.
      description: of the experiment, one line.
      run_id: of the run that wrote the report.
      config: digest of the experiment's settings.
      code: digest of the source of each node, by its name.
      versions: of the packages, by name.
      artifacts: that were read, by what they are.
    """

    experiment: str
    description: str = ""
    run_id: str = ""
    config: str = ""
    code: Mapping[str, str] = {}
    versions: Mapping[str, str] = {}
    artifacts: Mapping[str, Source] = {}


class Curve(Plain):
    """A line and what is known of it.

    Attributes:
      x: of the points of the line.
      y: likewise.
      band_x: of the points of the band; empty without one.
      lower: ends of the band at `band_x`.
      upper: likewise.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    band_x: tuple[float, ...] = ()
    lower: tuple[float, ...] = ()
    upper: tuple[float, ...] = ()


class Bin(Plain):
    """Images of about one probability.

    Attributes:
      probability: their mean.
      share: of positives among them.
      n: how many they are.
    """

    probability: float
    share: Interval
    n: int


class Curves(Plain):
    """How one finding is told on one dataset's test images.

    Attributes:
      dataset: whose images.
      finding: out of the model's outputs.
      roc: false positive rate and sensitivity; None with one class.
      precision_recall: recall and precision, likewise.
      reliability: bins that hold images, by rising probability.
    """

    dataset: str
    finding: str
    roc: Curve | None
    precision_recall: Curve | None
    reliability: tuple[Bin, ...]


class Explanations(Plain):
    """What was explained.

    Attributes:
      films: images that were looked through.
      cases: images that are shown.
      reference: value of the hottest colour, in logits.
    """

    films: int
    cases: int
    reference: float


class Worsened(Plain):
    """A dataset's test images after something was done to them.

    Attributes:
      corruption: what was done.
      severity: 1 to 3; 0 for the films as they are.
      dataset: whose films.
      n: films.
      auc: mean over the findings that have one; None if none has.
      ece: mean over the findings.
    """

    corruption: str
    severity: int
    dataset: str
    n: int
    auc: float | None
    ece: float | None


class Figures(Plain):
    """All that the pages say.

    Attributes:
      lineage: what the model came from.
      judgement: figures, gates and verdict.
      curves: for each dataset and finding.
      contract: the model's own, see `components.trainer.export.ModelContract`.
      history: Keras' history of each phase of training, by its name; empty where none was kept.
      ingest: the account that the ingest gave of itself, without names of files.
      problems: that were found in the data, as sentences.
      notes: on the data, likewise.
      probe: what BaselineProbe wrote, if it ran.
      matrix: what CrossDatasetMatrix wrote, likewise.
      robustness: what Robustness wrote, likewise.
      explanations: what GradCamReport wrote, likewise.
      measures: what ExplanationProbe wrote, likewise.
    """

    lineage: Lineage
    judgement: Judgement
    curves: tuple[Curves, ...]
    contract: Mapping[str, Any]
    history: Mapping[str, Mapping[str, tuple[float, ...]]] = {}
    ingest: Mapping[str, Any]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    probe: Mapping[str, Any] | None = None
    matrix: Mapping[str, Any] | None = None
    robustness: Mapping[str, Any] | None = None
    explanations: Explanations | None = None
    measures: Measures | None = None

    @property
    def several_findings(self) -> bool:
        """Whether the model tells more than one."""
        return len(self.contract["outputs"]) > 1

    @property
    def datasets(self) -> list[str]:
        """Those with test images enough to be reported."""
        return [one.slice["dataset"] for one in self.headlines()]

    def headlines(self, split: str = TEST) -> list[SlicePerformance]:
        """The figures of each dataset."""
        found = self.judgement.splits.get(split, ())
        return [one for one in found if set(one.slice) == {"dataset"}]

    def pooled(self, split: str = TEST) -> SlicePerformance | None:
        """The figures of all images, where they are of several datasets."""
        found = self.judgement.splits.get(split, ())
        if len(self.headlines(split)) < 2:
            return None
        return next((one for one in found if not one.slice), None)

    def is_pooled(self, one: SlicePerformance) -> bool:
        """Whether a slice holds images of several datasets: which one is from tells much."""
        return len(self.headlines()) > 1 and "dataset" not in one.slice

    def slices(self, split: str = TEST) -> list[SlicePerformance]:
        """The datasets and what they are divided into."""
        found = self.judgement.splits.get(split, ())
        return [one for one in found if one.slice]

    def worsened(self) -> list[Worsened]:
        """What Robustness found, over all findings; nothing, if it did not run."""
        groups: dict[tuple[str, int, str], list[Mapping[str, Any]]] = {}
        for one in (self.robustness or {}).get("figures", ()):
            key = (one["corruption"], one["severity"], one["dataset"])
            groups.setdefault(key, []).append(one)
        return [
            Worsened(
                corruption=corruption,
                severity=severity,
                dataset=dataset,
                n=own[0]["n"],
                auc=_mean([one["auc"] for one in own]),
                ece=_mean([one["ece"] for one in own]),
            )
            for (corruption, severity, dataset), own in groups.items()
        ]


def auc_of(one: SlicePerformance) -> Interval | None:
    """The AUC of a model of one finding, the macro AUC of another."""
    if len(one.findings) > 1:
        return one.macro_auc
    return best_auc(one.findings[0])


def best_auc(one: Performance) -> Interval | None:
    """The AUC with the interval that knows its patients, where there is one."""
    return one.auc_by_patient or one.auc


def slice_name(values: Mapping[str, str]) -> str:
    """A slice in words."""
    if not values:
        return "all images"
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in values.items())


def finding_name(name: str) -> str:
    """A finding in words."""
    return name.replace("_", " ")


def share(counts: Sequence[int]) -> list[float]:
    """Counts as fractions of their sum; 0 where there are none."""
    total = sum(counts)
    return [count / total if total else 0.0 for count in counts]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
