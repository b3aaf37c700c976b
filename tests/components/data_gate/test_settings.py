"""What the gate may be told."""

import subprocess
import sys

import pydantic
import pytest

from components.data_gate.settings import DataGateSettings


def test_limits_are_by_comparison_and_by_feature() -> None:
    settings = DataGateSettings(max_skew=0.1, max_drift=0.3, limits={"image/mean": 0.5})
    skew, drift = settings.skew_limits(), settings.drift_limits()
    assert set(skew) == set(drift)
    assert (skew["image/std"], drift["image/std"]) == (0.1, 0.3)
    assert (skew["sex"], drift["sex"]) == (0.1, 0.3)
    assert (skew["image/mean"], drift["image/mean"]) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"limits": {"image/meen": 0.1}}, "did you mean image/mean?"),
        ({"limits": {"patient_id": 0.1}}, "no feature 'patient_id' is compared"),
        ({"limits": {"image/mean": 1.1}}, "less than or equal to 1"),
        ({"max_skew": -0.1}, "greater than or equal to 0"),
        ({"on_failure": "ignore"}, "'fail' or 'warn'"),
        ({"min_images": 0}, "greater than or equal to 1"),
    ],
)
def test_what_makes_no_sense_is_refused(values: dict, said: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=said.replace("?", r"\?")):
        DataGateSettings(**values)


def test_settings_are_checked_without_the_heavy_libraries() -> None:
    code = (
        "import sys; from components.data_gate import problems, settings; "
        "settings.DataGateSettings(limits={'sex': 0.5}); "
        "assert not {'tfx', 'tensorflow', 'apache_beam'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
