"""The node as the pipeline sees it."""

from __future__ import annotations

import pydantic
import pytest
from tfx import types
from tfx.types import standard_artifacts

import components
from components.explanation_probe.artifacts import ExplanationMeasures
from components.explanation_probe.component import ExplanationProbe
from components.explanation_probe.settings import ExplanationProbeSettings


def test_settings_reach_the_executor_as_they_are() -> None:
    settings = ExplanationProbeSettings(splits=("train", "test"), findings=("Mass",), seed=5)
    node = ExplanationProbe(
        examples=types.Channel(type=standard_artifacts.Examples),
        model=types.Channel(type=standard_artifacts.Model),
        labels="findings",
        settings=settings,
        code="abc",
    )
    assert node.outputs["measures"].type is ExplanationMeasures
    assert node.exec_properties["labels"] == "findings"
    read = ExplanationProbeSettings.model_validate_json(node.exec_properties["settings"])
    assert read == settings


def test_the_artifact_is_found_by_the_name_of_its_type() -> None:
    assert ExplanationMeasures.TYPE_NAME == "components.ExplanationMeasures"
    assert components.ExplanationMeasures is ExplanationMeasures


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"findings": ("Shadow",)}, "'Shadow' is none of Atelectasis"),
        ({"splits": ("test_unsampled",)}, "train"),
        ({"splits": ()}, "at least 1"),
        ({"tolerance": 0.5}, "less than 0.5"),
        ({"steps": 1}, "greater than or equal to 2"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=said):
        ExplanationProbeSettings.model_validate(wrong)
