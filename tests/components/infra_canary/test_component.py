"""The node's interface."""

import pytest
from tfx import v1 as tfx
from tfx.types import standard_artifacts

from components.infra_canary.component import InfraCanary
from components.infra_canary.settings import InfraCanarySettings


def test_it_takes_the_model_alone() -> None:
    node = InfraCanary(
        tfx.dsl.Channel(type=standard_artifacts.Model),
        settings=InfraCanarySettings(max_milliseconds=7),
        code="abc",
    )
    # No Examples: there are none that could get into a warm-up file.
    assert list(node.inputs) == ["model"]
    assert node.outputs["blessing"].type is standard_artifacts.InfraBlessing
    assert node.exec_properties["code"] == "abc"
    settings = InfraCanarySettings.model_validate_json(node.exec_properties["settings"])
    assert settings.max_milliseconds == 7


@pytest.mark.parametrize(
    "wrong", [{"server": "podman"}, {"batch_sizes": [0]}, {"max_milliseconds": 0}, {"tries": 0}]
)
def test_settings_out_of_range_are_refused_at_once(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        InfraCanarySettings(**wrong)
