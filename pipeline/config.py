"""Experiments: typed settings, read from YAML and checked before anything starts."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pydantic
import yaml

from components.baseline_probe.settings import BaselineProbeSettings
from components.cross_dataset.settings import CrossDatasetSettings
from components.data_gate.settings import DataGateSettings
from components.embedding.settings import EmbeddingSettings, refusal
from components.errors import InputError
from components.evaluator.settings import EvaluatorSettings
from components.example_gen.settings import Data
from components.explanation_probe.settings import ExplanationProbeSettings
from components.grad_cam.settings import GradCamSettings
from components.infra_canary.settings import InfraCanarySettings
from components.pusher.settings import PusherSettings
from components.robustness.settings import RobustnessSettings
from components.scorer.settings import ScorerSettings
from components.settings import Settings
from components.trainer.settings import TrainerSettings
from components.transform.settings import TransformSettings
from components.tuner.settings import TunerSettings
from pipeline.beam import BeamSettings
from pipeline.metadata import MetadataSettings
from pipeline.run_folder import MODEL_NAME
from pipeline.runners.kubeflow.settings import KubeflowSettings

EXPERIMENTS = Path(__file__).parent / "configs"


class ConfigError(InputError):
    """A configuration that cannot be used; names the key and where it was written."""


class Config(Settings):
    """One experiment.

    Attributes:
      name: of the experiment, and of its folder below `runs/`.
      description: one line for the head of a run and its summary.
      file: where it was read from.
      data: what is read, and how it is divided.
      data_gate: which data is refused.
      transform: what the network is fed.
      embedding: whether a node of its own runs the images through the frozen network.
      tuner: how the head's hyperparameters are searched for, if at all.
      trainer: how the classifier is made.
      scorer: how the exported model is run over what it was not trained on.
      baseline_probe: the trivial models that the real one must beat.
      explanation_probe: on which films heat maps are measured.
      evaluator: what is measured and asked for.
      cross_dataset: whether heads are trained on one dataset and tested on the others.
      robustness: whether the model is tried on worse films.
      grad_cam: which cases are explained.
      infra_canary: how the model is tried on a server.
      pusher: which versions are kept and served.
      beam: on which runner Beam runs, and how.
      metadata: where ML Metadata is kept.
      kubeflow: how nodes run on Kubernetes.
    """

    name: str = pydantic.Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    description: str = ""
    file: str = ""
    data: Data
    data_gate: DataGateSettings = DataGateSettings()
    transform: TransformSettings = TransformSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()
    tuner: TunerSettings = TunerSettings()
    trainer: TrainerSettings = TrainerSettings()
    scorer: ScorerSettings = ScorerSettings()
    baseline_probe: BaselineProbeSettings = BaselineProbeSettings()
    explanation_probe: ExplanationProbeSettings = ExplanationProbeSettings()
    evaluator: EvaluatorSettings = EvaluatorSettings()
    cross_dataset: CrossDatasetSettings = CrossDatasetSettings()
    robustness: RobustnessSettings = RobustnessSettings()
    grad_cam: GradCamSettings = GradCamSettings()
    infra_canary: InfraCanarySettings = InfraCanarySettings()
    pusher: PusherSettings = PusherSettings()
    beam: BeamSettings = BeamSettings()
    metadata: MetadataSettings = MetadataSettings()
    kubeflow: KubeflowSettings = KubeflowSettings()

    @pydantic.model_validator(mode="after")
    def _ask_something_of_every_dataset(self) -> Config:
        for dataset in self.data.datasets:
            if dataset not in self.evaluator.min_auc:
                raise ValueError(
                    f"evaluator.min_auc says nothing of {dataset}: give the AUC below which a "
                    "model is refused (0 refuses none)"
                )
        return self

    @pydantic.model_validator(mode="after")
    def _ask_for_a_lift_over_something(self) -> Config:
        if self.evaluator.min_lift and not self.baseline_probe.enabled:
            raise ValueError(
                "evaluator.min_lift: without baseline_probe.enabled there are no trivial models to "
                "beat: enable them, or leave it out"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _ask_of_several_findings_what_they_have(self) -> Config:
        if self.data.labels == "pneumonia":
            return self
        of_one = {
            "evaluator.min_sensitivity": self.evaluator.min_sensitivity,
            "evaluator.prevalence": self.evaluator.prevalence,
            "trainer.calibration.prevalence": self.trainer.calibration.prevalence,
        }
        for setting, value in of_one.items():
            if value:
                raise ValueError(
                    f"{setting}: says one number of a model that has one for each finding: leave "
                    f"it out with data.labels={self.data.labels}"
                )
        return self

    @pydantic.model_validator(mode="after")
    def _ask_for_explanations_that_are_measured(self) -> Config:
        if self.evaluator.min_explanation_lift and not self.explanation_probe.enabled:
            raise ValueError(
                "evaluator.min_explanation_lift: without explanation_probe.enabled no heat map is "
                "measured: enable it, or leave it out"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _cross_datasets_only_where_there_are_several(self) -> Config:
        if self.cross_dataset.enabled and not self.has_several_datasets:
            raise ValueError(
                "cross_dataset.enabled: training on one dataset and testing on another takes two "
                "in data.datasets, and data.labels=pneumonia: leave it out"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _embed_only_what_the_trainer_takes(self) -> Config:
        reason = refusal(self.trainer) if self.embedding.enabled else None
        if reason:
            raise ValueError(f"embedding.enabled: {reason}; or leave embedding.enabled out")
        return self

    @property
    def pipeline_name(self) -> str:
        """The name of its pipeline; what has the same one shares a cache."""
        parts = [MODEL_NAME, self.metadata.namespace, self.name]
        # Kubeflow takes neither underscores nor capitals.
        return "-".join(filter(None, parts)).replace("_", "-").lower()

    @property
    def crosses_datasets(self) -> bool:
        """Whether a run has the cross-dataset matrix."""
        return self.cross_dataset.enabled is not False and self.has_several_datasets

    @property
    def has_several_datasets(self) -> bool:
        """Whether heads can be trained on one dataset and tested on another."""
        return len(self.data.datasets) > 1 and self.data.labels == "pneumonia"


def experiment_names() -> list[str]:
    """The experiments that come with the project."""
    return sorted(path.stem for path in EXPERIMENTS.glob("*.yaml"))


def load_config(experiment: str, overrides: Sequence[str] = ()) -> Config:
    """Read an experiment.

    Args:
      experiment: its name, or the path of a YAML file.
      overrides: `key.subkey=value`, the value in YAML; later ones win.

    Raises:
      ConfigError: if there is no such experiment, a key is unknown, or a value is wrong.
    """
    path = _find(experiment)
    values = {"name": path.stem} | _read(path) | {"file": str(path)}
    return _validated(values, overrides, path)


def override_config(config: Config, overrides: Sequence[str]) -> Config:
    """The experiment with some settings changed, as `load_config` changes them.

    Args:
      config: the experiment.
      overrides: `key.subkey=value`, the value in YAML; later ones win.

    Raises:
      ConfigError: if a key is unknown, or a value is wrong.
    """
    # What was left out stays so: some settings ask whether others were given.
    values = config.model_dump(mode="json", exclude_unset=True)
    return _validated(values, overrides, Path(config.file or config.name))


def _validated(values: dict[str, Any], overrides: Sequence[str], path: Path) -> Config:
    origin: dict[str, str] = {}
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key:
            raise ConfigError(f"--set {override}: write it as key=value, such as trainer.epochs=5")
        _set(values, key.split("."), _parse(text, f"--set {override}"), override)
        origin[key] = f"--set {override}"
    try:
        return Config.model_validate(values)
    except pydantic.ValidationError as error:
        problems = [_explain(problem, origin, path) for problem in error.errors()]
        raise ConfigError("\n".join(problems)) from error


def _find(experiment: str) -> Path:
    path = Path(experiment)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise ConfigError(f"no such file: {path}")
        return path
    path = EXPERIMENTS / f"{experiment}.yaml"
    if not path.is_file():
        names = experiment_names()
        raise ConfigError(
            f"no experiment {experiment!r}{_suggestion(experiment, names) or '.'} There are "
            f"{', '.join(names)}; or give the path of a YAML file."
        )
    return path


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    values = _parse(text, str(path))
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: is not a mapping of settings")
    return values


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: is not YAML: {error}") from error


def _set(values: dict[str, Any], keys: Sequence[str], value: Any, override: str) -> None:
    for depth, key in enumerate(keys[:-1], start=1):
        inner = values.get(key)
        if inner is None:
            inner = values[key] = {}
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {override}: {'.'.join(keys[:depth])} holds no settings")
        values = inner
    values[keys[-1]] = value


def _explain(problem: Mapping[str, Any], origin: Mapping[str, str], path: Path) -> str:
    key = ".".join(str(part) for part in problem["loc"] if part != "[key]")
    where = next((text for written, text in origin.items() if _under(key, written)), str(path))
    if problem["type"] == "extra_forbidden":
        known = _known_keys(problem["loc"][:-1])
        hint = _suggestion(str(problem["loc"][-1]), known, problem["loc"][:-1])
        return f"{where}: {key}: unknown key{hint}"
    if problem["type"] == "missing":
        return f"{where}: {key}: is missing"
    if problem["type"] == "value_error":  # one of our own, a whole sentence
        return ": ".join(part for part in (where, key, str(problem["ctx"]["error"])) if part)
    message = problem["msg"]
    return f"{where}: {key}: {message[:1].lower()}{message[1:]}, not {problem['input']!r}"


def _under(key: str, written: str) -> bool:
    return key == written or key.startswith(f"{written}.") or written.startswith(f"{key}.")


def _known_keys(parents: Iterable[str | int]) -> list[str]:
    """The keys that the settings at a place have."""
    model: type[Settings] = Config
    for parent in parents:
        # What is no field is a key of a mapping, whose settings were already stepped into.
        if str(parent) in model.model_fields:
            model = _settings_in(model.model_fields[str(parent)].annotation)
    return list(model.model_fields)


def _settings_in(annotation: Any) -> type[Settings]:
    """The `Settings` within `Settings | None` or `dict[..., Settings]`."""
    for candidate in (annotation, *typing.get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, Settings):
            return candidate
    return Settings


def _suggestion(word: str, known: Sequence[str], parents: Iterable[str | int] = ()) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    if not close:
        return ""
    return f"; did you mean {'.'.join([*map(str, parents), close[0]])}?"
