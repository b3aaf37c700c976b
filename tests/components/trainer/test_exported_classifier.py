"""What nodes read of a Model artifact: the contract, one of its outputs, and the Keras network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components.errors import InputError
from components.trainer.contract_file import find_output, read_contract_text
from components.trainer.exported_classifier import (
    ClassifierContract,
    load_classifier,
    read_contract,
)
from components.transform.preprocessing import preprocess
from tests.components.trainer.conftest import Trained
from tests.components.trainer.samples import SIDE, image_of

FINDINGS = ("Effusion", "Hernia")


def test_classifier_and_contract_together_answer_as_what_is_served(trained: Trained) -> None:
    uri = str(trained.model_dir.parent)
    films = tf.constant([image_of(film) for film in trained.films[40:44]])
    served = tf.saved_model.load(str(trained.model_dir)).signatures["serving_default"]

    contract = read_contract(uri)
    scores = load_classifier(uri)(preprocess(films, SIDE), training=False).numpy()[:, 0]

    output = contract.output("", "a setting")
    assert (contract.image_size, contract.backbone, output.name) == (
        SIDE,
        "DenseNet121",
        "pneumonia",
    )
    assert contract.explanation["method"] == "grad_cam"
    probabilities = output.probabilities(np.log(scores) - np.log1p(-scores))
    expected = served(image_bytes=films)["probability"]
    np.testing.assert_allclose(probabilities, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("finding", "names", "said"),
    [
        ("", FINDINGS, "which finding is to be explained.*Effusion, Hernia: choose one by a.b"),
        ("Gout", FINDINGS, "a.b: the model has no output 'Gout'; it has Effusion, Hernia"),
        ("Gout", FINDINGS[:1], "a.b: the model has no output 'Gout'; it has Effusion"),
    ],
)
def test_an_output_that_is_not_there_is_named_with_the_setting(
    finding: str, names: tuple[str, ...], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        find_output(names, finding, "a.b")


def test_the_output_is_the_only_one_or_that_of_the_name() -> None:
    assert find_output(FINDINGS, "Hernia", "a.b") == 1
    assert find_output(FINDINGS[:1], "", "a.b") == 0


def test_a_model_without_its_files_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"no contract: {tmp_path}.*train the model again"):
        read_contract_text(str(tmp_path))
    with pytest.raises(InputError, match=r"holds 0 \.keras files.*train the model again"):
        load_classifier(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "said"), [("{}", "no entry 'outputs'"), ("{", "cannot be read"), ("[]", "cannot be")]
)
def test_a_contract_of_another_kind_is_refused_with_the_remedy(text: str, said: str) -> None:
    with pytest.raises(InputError, match=f"{said}.*train the model again"):
        ClassifierContract.from_json(text)
