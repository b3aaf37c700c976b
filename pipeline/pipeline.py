"""The pipeline, top to bottom."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
from collections.abc import Mapping
from typing import Any

from tfx import v1 as tfx
from tfx.dsl.components.base.base_beam_component import BaseBeamComponent
from tfx.orchestration.metadata import ConnectionConfigType

from components.baseline_probe.component import BaselineProbe
from components.cross_dataset.component import CrossDatasetMatrix
from components.data_gate.artifacts import StatisticsBaseline
from components.data_gate.component import DataGate, DataReport
from components.data_gate.example_validator import ExampleValidator
from components.data_gate.schema import CuratedSchema, curated_schema
from components.data_gate.slices import statistics_options
from components.embedding.component import Embedder
from components.errors import InputError
from components.evaluator.component import ModelGate
from components.evaluator.eval_config import build_eval_config
from components.evaluator.tfma_evaluator import Evaluator
from components.example_gen.component import XrayExampleGen
from components.example_gen.split import TEST, TEST_UNSAMPLED, TRAIN, VALIDATION
from components.explanation_probe.component import ExplanationProbe
from components.grad_cam.component import GradCamReport
from components.infra_canary.component import InfraCanary
from components.pusher.component import Pusher
from components.report.component import EvaluationReport
from components.robustness.component import Robustness
from components.scorer.component import Scorer
from components.source_digest import source_digest
from components.trainer.component import Trainer
from components.trainer.weights import weights_fingerprint
from components.transform.component import Transform
from components.tuner.component import Tuner
from pipeline.beam import beam_args, require_shared_storage
from pipeline.config import Config
from pipeline.last_blessed import BLESSING_NODE, last_blessed_model, last_other_blessed_model

# They make grey levels out of files.
DECODERS = ("tensorflow", "pillow", "opencv-python-headless", "pydicom", "python-gdcm")
VALIDATION_EVALUATOR = "ValidationEvaluator"
# Whose versions a report tells.
PACKAGES = ("cxr", "tfx", "tensorflow", "keras", "tensorflow-model-analysis", "apache-beam")
UNSAMPLED_EVALUATOR = "UnsampledEvaluator"


@dataclasses.dataclass(frozen=True)
class Places:
    """Where a run reads and writes, as paths that every node sees (mounted, where it is remote).

    Attributes:
      pipeline_root: artifacts go below it.
      serving: the folder that TF Serving watches, with the model's versions in it.
      sources: the folder of each dataset.
      fingerprint: digest of the datasets' files.
      remembers: whether the engine finds artifacts of earlier runs, which this one's data is
        then compared with.
    """

    pipeline_root: str
    serving: str
    sources: Mapping[str, str]
    fingerprint: str
    remembers: bool = True


def create_pipeline(
    config: Config,
    places: Places,
    *,
    metadata: ConnectionConfigType | None = None,
) -> tfx.dsl.Pipeline:
    """The pipeline of an experiment, for any runner.

    Args:
      config: the experiment.
      places: where it reads and writes.
      metadata: connection to ML Metadata, for runners that do not bring their own.

    Raises:
      InputError: if the experiment needs earlier runs, and the engine does not find them; or if
        Beam's workers do not see the places.
    """
    if config.trainer.warm_start and not places.remembers:
        raise InputError(
            "trainer.warm_start: this engine finds no models of earlier runs: leave it out"
        )
    require_shared_storage(config.beam, [places.pipeline_root, *places.sources.values()])
    datasets, labels = config.data.datasets, config.data.labels
    example_gen = XrayExampleGen(
        sources={
            name: source.model_copy(update={"folder": places.sources[name]})
            for name, source in datasets.items()
        },
        split=config.data.split,
        quality=config.data.quality,
        labels=labels,
        fingerprint=places.fingerprint,
        code=source_digest(
            "example_gen",
            "example_gen/datasets",
            "example_gen/images",
            packages=DECODERS,
            modules=("serving.dicom_image", "serving.gdcm_decoder", "serving.raster_image"),
        ),
    )
    examples = example_gen.outputs["examples"]

    schema_gen = CuratedSchema(text=curated_schema(datasets, config.data.quality, labels))
    schema = schema_gen.outputs["schema"]

    # The schema tells TFDV what is an image, of which it then counts no distinct values.
    statistics_gen = tfx.components.StatisticsGen(
        examples=examples, schema=schema, stats_options=statistics_options()
    )
    statistics = statistics_gen.outputs["statistics"]

    example_validator = ExampleValidator(statistics=statistics, schema=schema)

    # The statistics that the gate last let pass: none in the first run.
    last_baseline = tfx.dsl.Resolver(
        strategy_class=tfx.dsl.experimental.LatestArtifactStrategy,
        baseline=tfx.dsl.Channel(type=StatisticsBaseline),
    ).with_id("LastBaseline")

    data_report = DataReport(
        statistics=statistics,
        anomalies=example_validator.outputs["anomalies"],
        schema=schema,
        ingest=example_gen.outputs["report"],
        baseline=last_baseline.outputs["baseline"] if places.remembers else None,
        settings=config.data_gate.model_dump(mode="json", exclude={"on_failure"}),
        code=source_digest(
            "data_gate",
            "example_gen",
            packages=("tensorflow-data-validation", "tensorboard-plugin-wit"),
        ),
    )

    data_gate = DataGate(
        report=data_report.outputs["report"],
        statistics=statistics,
        on_failure=config.data_gate.on_failure,
        code=source_digest("data_gate"),
    )

    # With `materialize` every image would be written again as 600 kB of floats.
    transform = Transform(
        examples=examples,
        schema=schema,
        preprocessing_fn="components.transform.preprocessing_fn.preprocessing_fn",
        custom_config={
            "image_size": config.transform.image_size,
            "code": source_digest("transform"),
        },
        splits_config=tfx.proto.SplitsConfig(analyze=[TRAIN], transform=[]),
        materialize=False,
        disable_statistics=True,
    )
    # What follows works on data that the gate let pass, and need not know of it.
    transform.add_upstream_node(data_gate)

    learnt: dict[str, Any] = {
        "settings": config.trainer.model_dump(mode="json"),
        "labels": labels,
        "image_size": config.transform.image_size,
        "preprocessing": source_digest("transform"),
        # A weights file that was replaced under its name is another one.
        "weights": weights_fingerprint(config.trainer.weights),
    }

    embedder = Embedder(
        examples=examples,
        transform_graph=transform.outputs["transform_graph"],
        splits=[TRAIN, VALIDATION, *([TEST] if config.crosses_datasets else [])],
        trainer=learnt,
        settings=config.embedding,
        code=source_digest("embedding", "trainer", "transform", packages=("tensorflow", "keras")),
    )
    activations = embedder.outputs["activations"] if config.embedding.enabled else None

    learning: dict[str, Any] = {
        "examples": examples,
        "activations": activations,
        "transform_graph": transform.outputs["transform_graph"],
        "schema": schema,
        "train_args": tfx.proto.TrainArgs(splits=[TRAIN], num_steps=config.trainer.max_steps),
        "eval_args": tfx.proto.EvalArgs(splits=[VALIDATION]),
    }

    tuner = Tuner(
        tuner_fn="components.tuner.tuner_fn.tuner_fn",
        custom_config=learnt
        | {
            "tuner": config.tuner.model_dump(mode="json"),
            "code": source_digest("tuner", "trainer", "transform"),
        },
        **learning,
    )

    last_blessed = last_blessed_model()

    trainer = Trainer(
        run_fn="components.trainer.run_fn.run_fn",
        hyperparameters=tuner.outputs["best_hyperparameters"] if config.tuner.enabled else None,
        base_model=last_blessed.outputs["model"] if config.trainer.warm_start else None,
        custom_config=learnt
        # The films of the warm-up requests are drawn.
        | {
            "code": source_digest(
                "trainer",
                "transform",
                "explanation",
                "example_gen/synthetic",
                packages=("scikit-learn", "tensorflow-data-validation"),
            )
        },
        **learning,
    )
    model = trainer.outputs["model"]

    other_blessed = last_other_blessed_model(model)

    scorer = Scorer(
        examples=examples,
        model=model,
        last_model=other_blessed.outputs["model"] if places.remembers else None,
        settings=config.scorer,
        code=source_digest("scorer"),
    )
    scores = scorer.outputs["scores"]

    # TFMA reads the scores; the model is there for whoever asks what was evaluated.
    evaluator = Evaluator(
        examples=scores,
        model=model,
        eval_config=build_eval_config(config.evaluator, gated=datasets, labels=labels),
        example_splits=[TEST],
    )

    # Of these figures nothing is asked.
    report_only = build_eval_config(config.evaluator, gated=[], labels=labels)
    validation_evaluator = Evaluator(
        examples=scores, model=model, eval_config=report_only, example_splits=[VALIDATION]
    ).with_id(VALIDATION_EVALUATOR)

    # At the prevalence that the datasets have; balanced test images cannot tell the predictive
    # values.
    balanced = [name for name, source in datasets.items() if source.normals_per_pneumonia]
    unsampled_evaluator = Evaluator(
        examples=scores, model=model, eval_config=report_only, example_splits=[TEST_UNSAMPLED]
    ).with_id(UNSAMPLED_EVALUATOR)

    baseline_probe = BaselineProbe(
        examples=examples,
        image_size=config.transform.image_size,
        labels=labels,
        code=source_digest("baseline_probe", "transform", "trainer", packages=("scikit-learn",)),
    )

    explanation_probe = ExplanationProbe(
        examples=examples,
        model=model,
        labels=labels,
        settings=config.explanation_probe,
        code=source_digest(
            "explanation_probe",
            "explanation",
            "statistics",
            "trainer",
            "transform",
            packages=("opencv-python-headless", "scipy"),
        ),
    )
    measures = explanation_probe.outputs["measures"] if config.explanation_probe.enabled else None

    model_gate = ModelGate(
        model=model,
        scores=scores,
        evaluation=evaluator.outputs["evaluation"],
        probe=baseline_probe.outputs["report"] if config.baseline_probe.enabled else None,
        explanations=measures,
        datasets=list(datasets),
        settings=config.evaluator.model_dump(mode="json"),
        code=source_digest(
            "evaluator", "scorer", "baseline_probe", "explanation_probe", "statistics"
        ),
    )
    assert model_gate.id == BLESSING_NODE

    cross_dataset = CrossDatasetMatrix(
        examples=examples,
        transform_graph=transform.outputs["transform_graph"],
        hyperparameters=tuner.outputs["best_hyperparameters"] if config.tuner.enabled else None,
        activations=activations,
        trainer=learnt,
        code=source_digest("cross_dataset", "statistics", "trainer", "transform"),
    )
    if config.crosses_datasets:
        # Whose cache it reads.
        cross_dataset.add_upstream_node(trainer)

    robustness = Robustness(
        examples=examples,
        model=model,
        split=TEST,
        labels=labels,
        settings=config.robustness,
        code=source_digest("robustness", "trainer", packages=("opencv-python-headless",)),
    )

    grad_cam = GradCamReport(
        examples=examples,
        model=model,
        scores=scores,
        evaluation=evaluator.outputs["evaluation"],
        split=TEST,
        finding=config.grad_cam.finding if labels == "findings" else "",
        settings=config.grad_cam,
        code=source_digest(
            "grad_cam",
            "explanation",
            "scorer",
            "evaluator",
            packages=("opencv-python-headless",),
        ),
    )

    report = EvaluationReport(
        judgement=model_gate.outputs["judgement"],
        scores=scores,
        model=model,
        model_run=trainer.outputs["model_run"],
        ingest=example_gen.outputs["report"],
        data_report=data_report.outputs["report"],
        probe=baseline_probe.outputs["report"] if config.baseline_probe.enabled else None,
        matrix=cross_dataset.outputs["report"] if config.crosses_datasets else None,
        robustness=robustness.outputs["report"] if config.robustness.enabled else None,
        measures=measures,
        explanations=grad_cam.outputs["report"],
        evaluation=evaluator.outputs["evaluation"],
        validation_evaluation=validation_evaluator.outputs["evaluation"],
        unsampled_evaluation=unsampled_evaluator.outputs["evaluation"] if balanced else None,
        lineage=lineage(config),
        code=source_digest("report", "report/plots", "report/tfma", "statistics"),
    )

    infra_canary = InfraCanary(
        model=model,
        settings=config.infra_canary,
        code=source_digest(
            "infra_canary",
            packages=("tensorflow",),
            # The server that it tries, and what it asks and compares with.
            modules=(
                "serving.server",
                "serving.golden",
                "serving.prediction",
                "serving.saved_model",
                "serving.versions",
                "serving.version_folders",
            ),
        ),
    )

    pusher = Pusher(
        model=model,
        model_blessing=model_gate.outputs["blessing"],
        infra_blessing=infra_canary.outputs["blessing"] if config.infra_canary.enabled else None,
        folder=places.serving,
        settings=config.pusher,
        code=source_digest(
            "pusher",
            modules=(
                "serving.versions",
                "serving.version_folders",
                "serving.labels",
                "serving.model_config",
                "serving.durable",
            ),
        ),
    )

    pipeline = tfx.dsl.Pipeline(
        pipeline_name=config.pipeline_name,
        pipeline_root=places.pipeline_root,
        components=[
            example_gen,
            schema_gen,
            statistics_gen,
            example_validator,
            *([last_baseline] if places.remembers else []),
            data_report,
            data_gate,
            transform,
            *([embedder] if config.embedding.enabled else []),
            *([tuner] if config.tuner.enabled else []),
            *([last_blessed] if config.trainer.warm_start else []),
            trainer,
            *([other_blessed] if places.remembers else []),
            scorer,
            evaluator,
            validation_evaluator,
            *([unsampled_evaluator] if balanced else []),
            *([baseline_probe] if config.baseline_probe.enabled else []),
            *([explanation_probe] if config.explanation_probe.enabled else []),
            model_gate,
            *([cross_dataset] if config.crosses_datasets else []),
            *([robustness] if config.robustness.enabled else []),
            grad_cam,
            report,
            *([infra_canary] if config.infra_canary.enabled else []),
            pusher,
        ],
        enable_cache=True,
        metadata_connection_config=metadata,
    )
    for node in pipeline.components:
        if isinstance(node, BaseBeamComponent):
            node.with_beam_pipeline_args(beam_args(config.beam, node=node.id))
    return pipeline


def lineage(config: Config) -> dict[str, Any]:
    """What a report says of where a model came from, beside the artifacts."""
    # What a run is called, and where it runs, is no part of what it makes.
    apart = {"file", "description", "metadata", "beam", "kubeflow"}
    settings = config.model_dump_json(exclude=apart)
    return {
        "experiment": config.name,
        "description": config.description,
        "config": hashlib.sha256(settings.encode()).hexdigest(),
        "code": {
            node: source_digest(node)
            for node in ("example_gen", "transform", "trainer", "evaluator")
        },
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
    }
