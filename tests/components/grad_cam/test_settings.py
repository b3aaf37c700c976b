import pydantic
import pytest

from components.grad_cam.settings import GradCamSettings


def test_all_cases_is_a_word():
    assert GradCamSettings(cases="all").cases == "all"
    assert GradCamSettings(cases=3).cases == 3


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"cases": 0}, "greater than or equal to 1"),
        ({"cases": "most"}, "'all'"),
        ({"finding": "Pneumonja"}, "did you mean Pneumonia"),
        ({"rules": {"false_negatives": 1}}, "false_negatives"),
        ({"rules": {"borderline": -1}}, "borderline"),
        ({"slices": ["patient_id"]}, "slices"),
        ({"redact": ["patient"]}, "redact"),
    ],
)
def test_mistakes_are_named(settings, said):
    with pytest.raises(pydantic.ValidationError, match=said):
        GradCamSettings(**settings)


def test_what_is_redacted_takes_its_giveaways_along():
    settings = GradCamSettings(redact=["age_years", "sex"])

    assert settings.redacted == {"age_years", "age_group", "sex"}
    assert settings.shown_slices == ("dataset", "view_position", "etiology")
    assert GradCamSettings().redacted == frozenset()


def test_they_survive_json():
    settings = GradCamSettings(
        cases="all", named=["a.png"], redact=["sex"], rules={"borderline": 9}
    )

    assert GradCamSettings.model_validate_json(settings.model_dump_json()) == settings
