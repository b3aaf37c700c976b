import json
import math

import keras
import pytest

from components.grad_cam import exported_model

OUTPUT = {
    "name": "pneumonia",
    "operating_point": {"threshold": 0.25, "chosen_by": "on validation"},
    "calibration": {"method": "platt", "slope": 2.0, "intercept": -1.0},
}
CONTRACT = {
    "task": "binary",
    "class_names": ["normal", "pneumonia"],
    "image_size": 224,
    "outputs": [OUTPUT],
}


def read(contract, finding=""):
    return exported_model.ModelContract.from_json(json.dumps(contract), finding)


def test_the_contract_is_read():
    contract = read(CONTRACT)

    assert contract.class_names == ("normal", "pneumonia")
    assert contract.image_size == 224
    assert contract.probability(0.5) == pytest.approx(0.5)
    assert contract.probability(1.0) == pytest.approx(1 / (1 + math.exp(-1)))


def test_of_several_findings_the_one_asked_for_is_explained():
    others = [OUTPUT | {"name": name} for name in ("Effusion", "Hernia")]
    thickening = OUTPUT | {"name": "Pleural_Thickening", "operating_point": {"threshold": 0.1}}
    several = CONTRACT | {"task": "multilabel", "outputs": [others[0], thickening, others[1]]}

    contract = read(several, "Pleural_Thickening")

    assert contract.output == 1
    assert contract.class_names == ("no pleural thickening", "pleural thickening")
    assert contract.threshold == 0.1
    with pytest.raises(ValueError, match="no output 'Mass'; it has Effusion, Pleural_Thickening"):
        read(several, "Mass")
    with pytest.raises(ValueError, match="which output is to be explained"):
        read(several)


def test_the_operating_point_itself_is_positive():
    contract = read(CONTRACT)

    assert [contract.decision(p) for p in (0.2499, 0.25, 0.2501)] == [0, 1, 1]


@pytest.mark.parametrize(("logit", "probability"), [(-1e4, 0.0), (1e4, 1.0)])
def test_extreme_logits_do_not_overflow(logit, probability):
    assert read(CONTRACT).probability(logit) == probability


@pytest.mark.parametrize("entry", ["class_names", "image_size", "outputs"])
def test_a_missing_entry_is_named(entry):
    with pytest.raises(ValueError, match=entry):
        read({name: value for name, value in CONTRACT.items() if name != entry})


@pytest.mark.parametrize("entry", ["operating_point", "calibration"])
def test_a_missing_entry_of_the_output_is_named(entry):
    output = {name: value for name, value in OUTPUT.items() if name != entry}
    with pytest.raises(ValueError, match=entry):
        read(CONTRACT | {"outputs": [output]})


def test_a_calibration_of_another_kind_is_refused():
    output = OUTPUT | {"calibration": {"method": "platt", "temperature": 2.0}}
    with pytest.raises(ValueError, match=r"cannot be read: .*temperature"):
        read(CONTRACT | {"outputs": [output]})


def test_a_model_without_contract_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"model_contract\.json"):
        exported_model.read_contract(str(tmp_path))


def test_exactly_one_keras_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no \.keras file in .*saved_models"):
        exported_model.load_classifier(str(tmp_path))

    folder = tmp_path / "saved_models"
    folder.mkdir()
    image = keras.Input((3,))
    keras.Model(image, keras.layers.Dense(1)(image)).save(folder / "a.keras")
    assert exported_model.load_classifier(str(tmp_path)).input_shape == (None, 3)

    (folder / "b.keras").write_bytes(b"")
    with pytest.raises(ValueError, match=r"expected one .*a\.keras, .*b\.keras"):
        exported_model.load_classifier(str(tmp_path))
