"""Artifacts in, a version out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfx import types
from tfx import v1 as tfx
from tfx.components.pusher import executor as tfx_executor
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils, json_utils, proto_utils

from components import progress, storage
from components.pusher import remote
from components.pusher.settings import PusherSettings
from serving.model_config import CANARY
from serving.versions import ModelFolder

SETTINGS = "settings"
CODE = "code"


class Executor(tfx_executor.Executor):
    """Reads the blessings as TFX's does, and publishes the version."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Run the node, see `Pusher`.

        Raises:
          VersionError: if the version cannot be published; what is served is then as before.
        """
        pushed = artifact_utils.get_single_instance(
            output_dict[standard_component_specs.PUSHED_MODEL_KEY]
        )
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed)
            return
        model = self.GetModelPath(input_dict)
        destination = tfx.proto.PushDestination()
        proto_utils.json_to_proto(
            exec_properties[standard_component_specs.PUSH_DESTINATION_KEY], destination
        )
        folder = destination.filesystem.base_directory
        config = json_utils.loads(exec_properties[standard_component_specs.CUSTOM_CONFIG_KEY])
        version, label = publish(model, folder, PusherSettings.model_validate(config[SETTINGS]))
        # The copy that ML Metadata knows of, whatever becomes of the folder.
        io_utils.copy_dir(model, pushed.uri)
        self._MarkPushed(pushed, f"{folder}/{version}", str(version))
        pushed.set_string_custom_property("label", label)
        if label == CANARY:
            progress.warn(
                f"version {version} is the canary: `cxr models promote {version}` makes it stable"
            )


def publish(model: str, folder: str, settings: PusherSettings) -> tuple[int, str]:
    """Publish a SavedModel as the next version, wherever the folder is.

    Args:
      model: path or URI of the SavedModel.
      folder: path or URI of the folder of versions.
      settings: how.

    Returns:
      The version's number, and its label.
    """
    if storage.is_remote(folder):
        return remote.publish(model, folder, settings)
    with storage.local_copy(model) as local:
        version = ModelFolder(Path(folder)).publish(
            local,
            promote=settings.promote,
            keep=settings.keep,
            served_from=settings.served_from,
            # A node that was killed after it had published runs once more.
            again=False,
        )
    return version.number, version.labels[0]
