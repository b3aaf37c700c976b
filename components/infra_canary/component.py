"""The TFX node that tries a model on a server before it is pushed."""

from __future__ import annotations

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts, standard_component_specs

from components.infra_canary import executor
from components.infra_canary.settings import InfraCanarySettings


class InfraCanarySpec(component_spec.ComponentSpec):
    """Input, output and settings of `InfraCanary`."""

    INPUTS = {
        standard_component_specs.MODEL_KEY: component_spec.ChannelParameter(
            type=standard_artifacts.Model
        )
    }
    OUTPUTS = {
        standard_component_specs.BLESSING_KEY: component_spec.ChannelParameter(
            type=standard_artifacts.InfraBlessing
        )
    }
    PARAMETERS = {
        executor.SETTINGS: component_spec.ExecutionParameter(type=str),
        executor.CODE: component_spec.ExecutionParameter(type=str),
    }


class InfraCanary(base_component.BaseComponent):
    """TFX's InfraValidator, on the embedded server where there is no Docker, and asking more.

    Every signature is asked, in batches of several sizes, over gRPC. The answers must be numbers,
    equal to those of the Trainer's own network, and in time. A refusal does not fail the run: the
    Pusher goes by the blessing.

    It takes no Examples: what it asks are the synthetic films that came with the model, so that no
    patient's image gets near a warm-up file, as it would with InfraValidator's `make_warmup`.

    ```python
    infra_canary = InfraCanary(
        model=trainer.outputs["model"],
        settings=InfraCanarySettings(max_milliseconds=500),
        code=source_digest("infra_canary"),
    )
    pusher = Pusher(infra_blessing=infra_canary.outputs["blessing"], ...)
    ```

    Component `outputs` contains:

    - `blessing`: an `InfraBlessing`, with a `trial.Trial` as canary.json beside it; its properties
      tell the `server` and what it was `refused_because` of.
    """

    SPEC_CLASS = InfraCanarySpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        model: types.BaseChannel,
        *,
        settings: InfraCanarySettings | None = None,
        code: str = "",
    ) -> None:
        """Construct the node.

        Args:
          model: a `Model` channel.
          settings: what is asked.
          code: a digest of the source, see `source_digest`.
        """
        super().__init__(
            spec=InfraCanarySpec(
                model=model,
                blessing=types.Channel(type=standard_artifacts.InfraBlessing),
                settings=(settings or InfraCanarySettings()).model_dump_json(),
                code=code,
            )
        )
