import json

import pytest

from components.errors import InputError
from components.example_gen import record
from components.grad_cam.contract import ModelContract
from components.grad_cam.exported_model import ExplainingModel, digest, read_contract
from tests.components.grad_cam import made


def read(contract, finding=""):
    return ModelContract.from_json(json.dumps(contract), finding)


def test_a_binary_contract():
    contract = read(made.tiny_contract())

    assert contract.output == 0
    assert contract.class_names == ("normal", "pneumonia")
    assert contract.threshold == made.THRESHOLD
    assert contract.grid == (made.CELLS, made.CELLS)
    assert contract.reference == made.REFERENCE
    assert contract.opacity == made.OPACITY


def test_one_finding_of_several_has_its_own_output_threshold_and_reference():
    output = record.PATHOLOGIES.index("Pleural_Thickening")
    raw = made.tiny_contract(14, output)
    raw["explanation"]["references"][output] = 0.7

    contract = read(raw, "Pleural_Thickening")

    assert contract.output == output
    assert contract.class_names == ("no pleural thickening", "pleural thickening")
    assert contract.threshold == made.THRESHOLD
    assert contract.reference == 0.7


@pytest.mark.parametrize(
    ("finding", "outputs", "said"),
    [
        ("", 14, "which finding is to be explained"),
        ("Gout", 14, "no output 'Gout'; it has Atelectasis"),
        ("Edema", 1, "no output 'Edema'; it has pneumonia"),
    ],
)
def test_an_output_that_is_not_there_is_named(finding, outputs, said):
    with pytest.raises(InputError, match=said):
        read(made.tiny_contract(outputs), finding)


@pytest.mark.parametrize("missing", ["outputs", "explanation", "class_names"])
def test_a_missing_entry_is_named_with_the_remedy(missing):
    contract = made.tiny_contract()
    del contract[missing]

    with pytest.raises(InputError, match=f"{missing}.*train the model again"):
        read(contract)


def test_too_few_references_are_no_contract():
    contract = made.tiny_contract()
    contract["explanation"]["references"] = []

    with pytest.raises(InputError, match="cannot be read"):
        read(contract)


def test_a_folder_without_a_contract_is_named(tmp_path):
    with pytest.raises(InputError, match=str(tmp_path)):
        read_contract(str(tmp_path))


def test_the_model_explains_what_it_was_asked_for(tmp_path):
    output = record.PATHOLOGIES.index("Edema")
    model = made.model_artifact(tmp_path, 14, output)
    folder = f"{model.uri}/Format-Serving"
    film = made.make_film(1, 1).features.feature[record.IMAGE].bytes_list.value[0]

    edema = ExplainingModel(folder, read_contract(folder, "Edema"))([film, film])
    hernia = ExplainingModel(folder, read_contract(folder, "Hernia"))([film])

    assert edema.shape == (2, made.CELLS, made.CELLS)
    assert edema[0, -1, 0] > 0
    assert hernia[0, -1, 0] == 0
    assert len(digest(folder)) == 64


def test_a_model_without_the_signature_says_what_to_do(tmp_path):
    import tensorflow as tf

    tf.saved_model.save(tf.Module(), str(tmp_path))

    with pytest.raises(InputError, match="no signature explain: train the model again"):
        ExplainingModel(str(tmp_path), read(made.tiny_contract()))
