"""The Transform node."""

from __future__ import annotations

from tfx import v1 as tfx
from tfx.dsl.components.base import executor_spec

from components.transform.executor import Executor


class Transform(tfx.components.Transform):
    """TFX's Transform, whose outputs may lie in any store; see there."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
