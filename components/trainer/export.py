"""The exported model: a SavedModel that takes encoded images and answers with a decision."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from components.trainer.contract_file import CONTRACT
from components.trainer.explaining import Explanation
from components.trainer.outputs import Output
from components.trainer.sanity_fitting import SanityAccount
from components.trainer.serving_module import Answers, ServingModule
from components.trainer.tasks import TaskName
from components.trainer.warmup import write_warmup


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelContract:
    """What one must know of a model to use it, beside it as JSON.

    Attributes:
      task: `binary` or `multilabel`.
      class_names: of the negative and the positive class; or of the findings.
      outputs: for each output of the network its name, its calibration, its operating point and
        its calibration error.
      explanation: how maps are made and drawn.
      precision: in which the backbone computes, `float32` or `bfloat16`.
      backbone: its name in the registry.
      weights: where its weights came from: `imagenet`, a file, or `none` for random ones.
      weights_sha256: digest of the backbone's weights.
      image_size: side of the square that the network sees, in pixels.
      preprocessing: in words; the graph holds it.
      code: digest of the Trainer's source.
      quality: where the warnings of input sanity begin, and how the limits were found.
      training: images per class of each split and the digest of their contents, seed, epochs.
      intended_use: what it is for, and what it is not.
    """

    task: TaskName
    class_names: tuple[str, ...]
    outputs: tuple[Output, ...]
    explanation: Explanation
    precision: str
    backbone: str
    weights: str
    weights_sha256: str
    image_size: int
    preprocessing: str
    code: str
    training: dict[str, Any]
    quality: SanityAccount | None = None
    intended_use: str

    @property
    def answers(self) -> Answers:
        """The part that the graph holds."""
        return Answers(self.task, self.class_names, self.outputs)

    def save(self, model_dir: Path) -> None:
        """Write it beside a SavedModel."""
        path = model_dir / CONTRACT
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(dataclasses.asdict(self), indent=2, allow_nan=False) + "\n")


def export(module: ServingModule, contract: ModelContract, model_dir: Path) -> None:
    """Write the SavedModel with its signatures, its contract, and its warm-up requests."""
    module.save(str(model_dir))
    contract.save(model_dir)
    write_warmup(model_dir)
