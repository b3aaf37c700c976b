"""The TFX node that hands a blessed model over to the servers."""

from __future__ import annotations

from tfx import types
from tfx import v1 as tfx
from tfx.components.pusher import component as tfx_pusher
from tfx.dsl.components.base import executor_spec

from components.pusher import executor
from components.pusher.settings import PusherSettings


class Pusher(tfx_pusher.Pusher):
    """TFX's Pusher, with versions that are complete before a server can see them.

    Nothing is pushed unless both blessings are there. See `serving.versions` for how a version
    gets into its folder, and for the labels that servers go by.

    ```python
    pusher = Pusher(
        model=trainer.outputs["model"],
        model_blessing=model_gate.outputs["blessing"],
        infra_blessing=infra_canary.outputs["blessing"],
        folder="runs/pediatric/serving/cxr",
        settings=PusherSettings(keep=3),
        code=source_digest("pusher"),
    )
    ```

    Component `outputs` contains:

    - `pushed_model`: a `PushedModel`, as of TFX's Pusher; with `label`, that of the version.
    """

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        model: types.BaseChannel,
        model_blessing: types.BaseChannel | None = None,
        infra_blessing: types.BaseChannel | None = None,
        *,
        folder: str,
        settings: PusherSettings | None = None,
        code: str = "",
    ) -> None:
        """Construct the node.

        Args:
          model: a `Model` channel.
          model_blessing: a `ModelBlessing` channel.
          infra_blessing: an `InfraBlessing` channel.
          folder: the model's folder of versions, a path or URI; its name is the model's.
          settings: how it is pushed.
          code: a digest of the source, see `source_digest`.
        """
        super().__init__(
            model=model,
            model_blessing=model_blessing,
            infra_blessing=infra_blessing,
            push_destination=tfx.proto.PushDestination(
                filesystem=tfx.proto.PushDestination.Filesystem(base_directory=folder)
            ),
            custom_config={
                executor.SETTINGS: (settings or PusherSettings()).model_dump(mode="json"),
                executor.CODE: code,
            },
        )
