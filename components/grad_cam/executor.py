"""Artifacts in, artifacts out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from components import progress
from components.example_gen import record
from components.grad_cam import cases, exported_model, films, overlay, report
from components.grad_cam.exported_model import ModelContract
from components.grad_cam.grad_cam import GradCam
from components.trainer import backbones
from components.transform import preprocessing

EXAMPLES = "examples"
MODEL = "model"
REPORT = "report"
SPLIT = "split"
FINDING = "finding"
CASES = "cases"
SEED = "seed"
OPACITY = "opacity"
CODE = "code"

HTML_FILE = "report.html"
INDEX_FILE = "cases.json"
OVERLAY_FOLDER = "overlays"

_SCORING_BATCH = 32
_EXPLAINING_BATCH = 16


class Executor(base_executor.BaseExecutor):
    """Scores a split, explains the chosen cases, writes the report."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Run the node, see `GradCamReport`.

        Raises:
          ValueError: if the split is missing or empty, or the model is not one to explain, or
            does not tell the finding.
        """
        split, seed = exec_properties[SPLIT], exec_properties[SEED]
        opacity, finding = exec_properties[OPACITY], exec_properties[FINDING]
        model_uri = artifact_utils.get_single_uri(input_dict[MODEL])
        contract = exported_model.read_contract(model_uri, finding)
        classifier = exported_model.load_classifier(model_uri)
        grad_cam = GradCam(classifier, contract.output)
        files = _files(input_dict[EXAMPLES], split)

        scored = _score(files, grad_cam, contract, finding)
        chosen = cases.select_cases(
            scored, cases=exec_properties[CASES], threshold=contract.threshold, seed=seed
        )
        pictures = films.read_chosen(files, {x.case.sha256 for x in chosen})
        maps = _explain(
            [pictures[x.case.sha256].encoded for x in chosen], grad_cam, contract.image_size
        )
        reference = overlay.reference_scale(maps)
        explained = [
            _draw(number, selected, pictures[selected.case.sha256], cam, reference, opacity)
            for number, (selected, cam) in enumerate(zip(chosen, maps, strict=True), start=1)
        ]
        _write(
            artifact_utils.get_single_uri(output_dict[REPORT]),
            report.Report(
                split=split,
                model=backbones.weights_digest(classifier),
                class_names=contract.class_names,
                threshold=contract.threshold,
                counts=cases.count_outcomes(scored),
                cases=explained,
                reference=reference,
                grid=(maps.shape[1], maps.shape[2]),
                colour_bar_png=overlay.to_png(overlay.draw_colour_bar(opacity)),
                seed=seed,
                opacity=opacity,
            ),
        )


def _files(examples: Sequence[types.Artifact], split: str) -> list[str]:
    uri = artifact_utils.get_split_uri(list(examples), split)
    files = sorted(str(file) for file in fileio.glob(f"{uri}/*.gz"))
    if not files:
        raise ValueError(f"the split {split!r} has no gzip TFRecords in {uri}")
    return files


def _score(
    files: Sequence[str], grad_cam: GradCam, contract: ModelContract, finding: str
) -> list[cases.ScoredCase]:
    total = films.count(files)
    if not total:
        raise ValueError(f"nothing to explain: no record in {', '.join(files)}")
    scored: list[cases.ScoredCase] = []
    for batch in films.read_batches(
        files, image_size=contract.image_size, batch_size=_SCORING_BATCH, finding=finding
    ):
        for row, logit in enumerate(grad_cam.logits(batch[films.IMAGE]).numpy().tolist()):
            probability = contract.probability(logit)
            scored.append(
                cases.ScoredCase(
                    sha256=batch[record.SHA256][row],
                    filename=batch[record.FILENAME][row],
                    dataset=batch[record.DATASET][row],
                    label=batch[record.LABEL][row],
                    probability=probability,
                    decision=contract.decision(probability),
                    metadata=batch[films.DETAILS][row],
                )
            )
        progress.report(len(scored), total, "films scored")
    return scored


def _explain(encoded: Sequence[bytes], grad_cam: GradCam, image_size: int) -> NDArray[np.float32]:
    maps = []
    for start in range(0, len(encoded), _EXPLAINING_BATCH):
        batch = tf.constant(encoded[start : start + _EXPLAINING_BATCH])
        maps.append(grad_cam.explain(preprocessing.preprocess(batch, image_size)).numpy())
        progress.report(start + len(batch), len(encoded), "cases explained")
    return np.concatenate(maps)


def _draw(
    number: int,
    selected: cases.SelectedCase,
    picture: films.Film,
    cam: NDArray[np.float32],
    reference: float,
    opacity: float,
) -> report.ExplainedCase:
    film = overlay.read_film(picture.encoded)
    heat = overlay.to_heat(cam, reference)
    overlaid = overlay.draw_overlay(film, heat, opacity=opacity, boxes=picture.boxes)
    return report.ExplainedCase(
        selected=selected,
        film_png=overlay.to_png(film),
        overlay_png=overlay.to_png(overlaid),
        overlay_file=f"{OVERLAY_FOLDER}/case_{number:02d}.png",
        peak=float(cam.max()),
        place=overlay.hottest_place(cam),
        boxes=picture.boxes,
    )


def _write(uri: str, explained: report.Report) -> None:
    index = json.dumps(report.index(explained), indent=2, ensure_ascii=False) + "\n"
    contents = {case.overlay_file: case.overlay_png for case in explained.cases}
    contents |= {INDEX_FILE: index.encode(), HTML_FILE: report.render_html(explained).encode()}
    fileio.makedirs(f"{uri}/{OVERLAY_FOLDER}")
    for name, content in contents.items():
        with fileio.open(f"{uri}/{name}", "wb") as file:
            file.write(content)
