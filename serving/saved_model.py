"""Predicts with an exported SavedModel in this process, without a server.

TensorFlow is imported when the first model is loaded, and not before.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from serving.model_config import STABLE
from serving.prediction import (
    DEFAULT_BATCH_SIZE,
    EXPLAIN_SIGNATURE,
    INPUT,
    SIGNATURE,
    BatchRefusedError,
    MissingSignatureError,
    ModelContractError,
    ModelNotFoundError,
    PredictionError,
    Predictor,
    refusal,
)
from serving.version_folders import CONTRACT_FILE, MODEL_FILE, incomplete, version_folders
from serving.versions import ModelFolder


class ModelLoadError(PredictionError):
    """The files of a SavedModel are there but cannot be loaded."""


class SavedModelPredictor(Predictor):
    """Runs a SavedModel in this process.

    Attributes:
      model_dir: the version folder that was loaded.
      contract: the content of `assets.extra/model_contract.json`; empty when there is none.
    """

    def __init__(
        self, model_dir: Path, *, batch_size: int = DEFAULT_BATCH_SIZE, verbose: bool = False
    ) -> None:
        """Finds the model with `find_servable` and loads it.

        Args:
          model_dir: a version's folder, a folder of versions, or a run's folder.
          batch_size: the most images that the model sees at once.
          verbose: keep TensorFlow's own log lines on stderr.

        Raises:
          ModelNotFoundError: no SavedModel there; says where it was looked for.
          ModelLoadError: the SavedModel is damaged.
          ModelContractError: it lacks the signature, or its contract file is not JSON.
        """
        self.model_dir = find_servable(model_dir)
        super().__init__(str(self.model_dir), batch_size)
        self.contract = _read_contract(self.model_dir / CONTRACT_FILE)
        self._tf = import_tensorflow(verbose=verbose)
        try:
            # Kept, although only the signature is called: variables die with the object.
            self._loaded = self._tf.saved_model.load(str(self.model_dir))
        except (OSError, RuntimeError, ValueError, self._tf.errors.OpError) as error:
            raise ModelLoadError(f"{self.model_dir}: cannot be loaded: {error}") from error
        self._signature(SIGNATURE)

    @property
    def threshold(self) -> float | None:
        """The operating point: probabilities from here on are decided as positive.

        None without a contract, and where each of several outputs has its own.
        """
        outputs = self.contract.get("outputs", [])
        return float(outputs[0]["operating_point"]["threshold"]) if len(outputs) == 1 else None

    @property
    def thresholds(self) -> Mapping[str, float]:
        """See `Predictor.thresholds`."""
        return {
            output["name"]: float(output["operating_point"]["threshold"])
            for output in self.contract.get("outputs", ())
        }

    @property
    def references(self) -> Mapping[str, float]:
        """See `Predictor.references`."""
        names = [output["name"] for output in self.contract.get("outputs", ())]
        references = self.contract.get("explanation", {}).get("references", ())
        return dict(zip(names, references, strict=False))

    def run(self, images: Sequence[bytes], signature: str = SIGNATURE) -> Mapping[str, Any]:
        """See `Predictor.run`; outputs are NumPy arrays."""
        tensor = self._tf.constant(list(images), self._tf.string)
        run = self._signature(signature)
        try:
            outputs = run(**{INPUT: tensor})
        except self._tf.errors.InvalidArgumentError as error:
            raise BatchRefusedError(refusal(error.message)) from error
        except self._tf.errors.OpError as error:
            raise PredictionError(f"the model failed: {refusal(error.message)}") from error
        return {name: output.numpy() for name, output in outputs.items()}

    def _signature(self, name: str) -> Any:
        signatures = self._loaded.signatures
        if name not in signatures:
            remedy = (
                "; export the model again for explanations" if name == EXPLAIN_SIGNATURE else ""
            )
            raise MissingSignatureError(
                f"{self.model_dir}: no signature {name}; it has "
                f"{', '.join(sorted(signatures)) or 'none'}{remedy}"
            )
        signature = signatures[name]
        inputs = signature.structured_input_signature[1]
        if set(inputs) != {INPUT}:
            raise ModelContractError(
                f"{self.model_dir}: {name} takes {', '.join(sorted(inputs)) or 'nothing'}; "
                f"{INPUT} alone was expected"
            )
        return signature


def find_servable(model_dir: Path) -> Path:
    """The folder of the one SavedModel version that `model_dir` stands for.

    Args:
      model_dir: a version's folder (holds saved_model.pb); a folder of numbered versions, see
        `served_version`; or a run's folder, which holds such a folder of versions as serving/NAME.

    Raises:
      ModelNotFoundError: none of these; says what was looked for.
    """
    if not model_dir.is_dir():
        raise ModelNotFoundError(f"{model_dir}: no such folder")
    if (model_dir / MODEL_FILE).is_file():
        return model_dir
    if served := served_version(model_dir):
        return served
    pushed = [served_version(base) for base in sorted(model_dir.glob("serving/*"))]
    versions = [version for version in pushed if version]
    if len(versions) > 1:
        raise ModelNotFoundError(
            f"{model_dir}: several models were pushed there; choose one of "
            f"{', '.join(str(version.parent) for version in versions)}"
        )
    if not versions:
        raise ModelNotFoundError(
            f"{model_dir}: no complete SavedModel; looked for saved_model.pb, "
            "<version>/saved_model.pb and serving/<name>/<version>/saved_model.pb in it"
        )
    return versions[0]


def served_version(base: Path) -> Path | None:
    """The version in `base` that is in use.

    The one that is labelled `stable`; where no version is, the highest complete one, as
    TensorFlow Serving takes it. None without any.

    Raises:
      PredictionError: the file with the labels cannot be read.
    """
    stable = ModelFolder(base).labels().current.get(STABLE)
    complete = {n: path for n, path in version_folders(base).items() if not incomplete(path)}
    if stable in complete:
        return complete[stable]
    return complete[max(complete)] if complete else None


def import_tensorflow(*, verbose: bool = False) -> Any:
    """Imports TensorFlow, without its log lines unless `verbose`.

    Raises:
      ImportError: TensorFlow cannot be imported; what it logged is then on stderr.
    """
    if verbose or "tensorflow" in sys.modules:
        return importlib.import_module("tensorflow")
    # Errors still arrive as exceptions; a level that the user chose stays.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _stderr_held_back():
        return importlib.import_module("tensorflow")


@contextmanager
def _stderr_held_back() -> Iterator[None]:
    """Swallows what is written to stderr in the block, unless the block fails.

    On the level of the file descriptor: while its libraries load, TensorFlow logs from C++
    before it has read TF_CPP_MIN_LOG_LEVEL.
    """
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        except BaseException:
            held_back.seek(0)
            os.write(saved, held_back.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)


def _read_contract(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        contract = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelContractError(f"{path}: not JSON: {error}") from error
    if not isinstance(contract, dict):
        raise ModelContractError(f"{path}: an object was expected, not {type(contract).__name__}")
    return contract
