"""What a configuration may say of the data, and what it may not."""

import math
from typing import Any

import pydantic
import pytest

from components.example_gen.datasets.source import Source
from components.example_gen.settings import Data, Quality, Split


def test_a_word_stands_for_the_method_and_the_mode() -> None:
    assert Split.model_validate("as_published") == Split(method="as_published")
    assert Quality.model_validate("report_only") == Quality(mode="report_only")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"datasets": {}}, "at least 1"),
        ({"datasets": {"nhi": {}}}, "did you mean nih?"),
        ({"datasets": {"mimic": {}}}, "There are pediatric, nih, dicom"),
        ({"datasets": {"nih": {"columns": {"colour": "x"}}}}, "colour"),
        ({"datasets": {"nih": {}}, "split": "by_chance"}, "by_patient"),
        ({"datasets": {"nih": {}}, "split": {"fractions": {"train": 0.9}}}, "add up to 1.2"),
        ({"datasets": {"nih": {}}, "split": {"fractions": {"train": 1.0}}}, "less than 1"),
        ({"datasets": {"nih": {}}, "quality": {"min_side": 0}}, "min_side"),
        ({"datasets": {"nih": {}}, "quality": {"min_polarity": math.nan}}, "min_polarity"),
        ({"datasets": {"nih": {}}, "quality": {"min_colour": 1}}, "min_colour"),
        ({"datasets": {"nih": {}}, "labels": "finding"}, "'pneumonia' or 'findings'"),
        (
            {"datasets": {"nih": {}, "pediatric": {}}, "labels": "findings"},
            "pediatric dataset tells No Finding and Pneumonia alone",
        ),
        (
            {"datasets": {"nih": {"normals_per_pneumonia": 1}}, "labels": "findings"},
            "datasets.nih.normals_per_pneumonia balances two classes",
        ),
        ({"datasets": {"nih": {}}, "synthesize": {"images": {"pediatric": 50}}}, "name the same"),
    ],
)
def test_mistakes_are_named(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(pydantic.ValidationError) as error:
        Data.model_validate(settings)
    assert words in str(error.value)


@pytest.mark.parametrize("ratio", [0, -1, math.inf, math.nan])
def test_a_ratio_is_a_positive_number(ratio: float) -> None:
    with pytest.raises(pydantic.ValidationError):
        Source(normals_per_pneumonia=ratio)


def test_nothing_is_left_out_to_balance_unless_it_is_asked_for() -> None:
    assert Source().normals_per_pneumonia is None


def test_pneumonia_is_the_label_unless_all_findings_are_asked_for() -> None:
    assert Data.model_validate({"datasets": {"nih": {}}}).labels == "pneumonia"
    several = {"datasets": {"nih": {}, "dicom": {}}, "labels": "findings"}
    assert Data.model_validate(several).labels == "findings"
