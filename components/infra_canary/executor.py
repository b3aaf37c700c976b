"""Artifacts in, a blessing out; what is between is mostly TFX's InfraValidator."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

from tfx import types
from tfx import v1 as tfx
from tfx.components.infra_validator import error_types, serving_bins
from tfx.components.infra_validator import executor as infra_validator
from tfx.components.infra_validator.model_server_runners.base_runner import BaseModelServerRunner
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import proto_utils

from components import progress, storage
from components.infra_canary import questions, runner
from components.infra_canary.asking import Subject, ask
from components.infra_canary.settings import InfraCanarySettings
from components.infra_canary.trial import FILE_NAME, Check, Trial
from components.trainer.contract_file import CONTRACT
from serving.golden import read_films, read_golden

SETTINGS = "settings"
CODE = "code"
MODEL_NAME = "cxr"
_POLL_SECONDS = 1


class Executor(infra_validator.Executor):
    """Starts the server with another runner, and asks more of it."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Run the node, see `InfraCanary`."""
        self._settings = InfraCanarySettings.model_validate_json(exec_properties[SETTINGS])
        self._trial = Trial(server="none", checks=())
        with (
            storage.scratch() as self._scratch,
            storage.on_local_paths(inputs=input_dict[standard_component_specs.MODEL_KEY]),
        ):
            super().Do(input_dict, output_dict, _as_tfx_knows_them(self._settings))
        blessing = artifact_utils.get_single_instance(
            output_dict[standard_component_specs.BLESSING_KEY]
        )
        with fileio.open(f"{blessing.uri}/{FILE_NAME}", "wb") as file:
            file.write(f"{self._trial.model_dump_json(indent=2)}\n".encode())
        blessing.set_string_custom_property("server", self._trial.server)
        reasons = "; ".join(check.sentence for check in self._trial.refused_by)
        blessing.set_string_custom_property("refused_because", reasons)
        for check in self._trial.refused_by:
            progress.warn(f"infra canary, {check.name}: {check.sentence}")

    def _get_tmp_dir(self) -> str:
        # The server is started on a copy there.
        found = super()._get_tmp_dir()
        return str(self._scratch) if storage.is_remote(found) else found

    def _ValidateWithRetry(self, *args: Any, **kwargs: Any) -> bool:
        # A server that does not come up is started again; an answer is asked for once.
        return super()._ValidateWithRetry(*args, **kwargs) and self._trial.blessed

    def _ValidateOnce(
        self,
        model_path: str,
        serving_binary: serving_bins.ServingBinary,
        serving_spec: Any,
        validation_spec: Any,
        requests: list[Any],
    ) -> None:
        server = runner.create_runner(
            self._settings, model_path, MODEL_NAME, serving_binary, serving_spec
        )
        folder = Path(model_path)
        try:
            started = time.time()
            deadline = started + validation_spec.max_loading_time_seconds
            server.Start()
            server.WaitUntilRunning(deadline)
            client = serving_binary.MakeClient(server.GetEndpoint())
            client.WaitUntilModelLoaded(deadline, _POLL_SECONDS)
            loaded = Check(
                name="loads",
                verdict="passed",
                sentence=f"it was available after {time.time() - started:.1f} s",
            )
            golden = read_golden(folder)
            subject = Subject(
                name=MODEL_NAME,
                films=golden.films if golden else read_films(folder),
                golden=golden,
                contract=json.loads((folder / CONTRACT).read_bytes()),
            )
            checks = [loaded, *ask(server.GetEndpoint(), subject, self._settings)]
            checks += _ended(server)
            self._trial = Trial(server=self._name(server), checks=tuple(checks))
            if self._trial.blessed:
                # By code that is not this project's.
                client.SendRequests([questions.classification_request(MODEL_NAME, subject.films)])
        except error_types.GracefulShutdown:
            raise
        except Exception as error:
            sentence = f"{type(error).__name__}: {error}"
            check = Check(name="server", verdict="refused", sentence=sentence)
            self._trial = Trial(server=self._name(server), checks=(check,))
            logging.error("The server's log:\n%s", server.GetLogs())
            raise
        finally:
            server.Stop()

    def _name(self, server: BaseModelServerRunner) -> str:
        if isinstance(server, runner.EmbeddedRunner):
            return repr(server)
        return f"TensorFlow Serving {self._settings.image_tag}"


def read_trial(uri: str) -> Trial:
    """What the node wrote beside its blessing."""
    with fileio.open(f"{uri}/{FILE_NAME}", "rb") as file:
        return Trial.model_validate_json(file.read())


def _ended(server: BaseModelServerRunner) -> list[Check]:
    if isinstance(server, runner.EmbeddedRunner) and (ending := server.ending()):
        sentence = f"the server ended while it was asked: {ending}"
        return [Check(name="server", verdict="refused", sentence=sentence)]
    return []


def _as_tfx_knows_them(settings: InfraCanarySettings) -> dict[str, Any]:
    serving = tfx.proto.ServingSpec(
        model_name=MODEL_NAME,
        tensorflow_serving=tfx.proto.TensorFlowServing(tags=[settings.image_tag]),
        local_docker=tfx.proto.LocalDockerConfig(),
    )
    validation = tfx.proto.ValidationSpec(
        max_loading_time_seconds=settings.load_seconds, num_tries=settings.tries
    )
    return {
        standard_component_specs.SERVING_SPEC_KEY: proto_utils.proto_to_json(serving),
        standard_component_specs.VALIDATION_SPEC_KEY: proto_utils.proto_to_json(validation),
    }
