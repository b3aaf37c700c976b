import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from serving.prediction import BadImageError, ModelContractError, ModelNotFoundError
from serving.saved_model import ModelLoadError, SavedModelPredictor, find_servable
from serving.versions import ModelFolder
from tests.serving.tiny_model import (
    THRESHOLD,
    UNDECODABLE_PNG,
    encoded_image,
    expected_probability,
    export_tiny_model,
)


def make_servable(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"model")
    return folder


class TestFindServable:
    def test_takes_a_version_folder_as_it_is(self, tmp_path: Path) -> None:
        version = make_servable(tmp_path / "anything")
        assert find_servable(version) == version

    def test_takes_the_highest_number_not_the_last_name(self, tmp_path: Path) -> None:
        for name in ("9", "10", "backup"):
            make_servable(tmp_path / name)
        assert find_servable(tmp_path) == tmp_path / "10"

    def test_takes_the_stable_version_after_a_rollback(self, tmp_path: Path) -> None:
        models = ModelFolder(tmp_path / "serving" / "cxr")
        first, second = (
            models.publish(make_servable(tmp_path / name)).path for name in ("first", "second")
        )
        assert find_servable(models.path) == find_servable(tmp_path) == second
        models.rollback()
        assert find_servable(models.path) == find_servable(tmp_path) == first

    def test_skips_a_version_that_is_still_being_copied(self, tmp_path: Path) -> None:
        make_servable(tmp_path / "1")
        (tmp_path / "2" / "variables").mkdir(parents=True)
        (make_servable(tmp_path / "3") / "variables").mkdir()
        assert find_servable(tmp_path) == tmp_path / "1"

    def test_takes_the_model_that_a_run_pushed(self, tmp_path: Path) -> None:
        version = make_servable(tmp_path / "serving" / "cxr" / "3")
        assert find_servable(tmp_path) == version

    def test_asks_which_of_several_pushed_models(self, tmp_path: Path) -> None:
        for name in ("cxr", "other"):
            make_servable(tmp_path / "serving" / name / "1")
        with pytest.raises(ModelNotFoundError, match=r"choose one of .*cxr, .*other"):
            find_servable(tmp_path)

    def test_says_what_it_looked_for(self, tmp_path: Path) -> None:
        (tmp_path / "serving" / "cxr").mkdir(parents=True)
        with pytest.raises(ModelNotFoundError, match=r"serving/<name>/<version>/saved_model\.pb"):
            find_servable(tmp_path)

    def test_names_a_missing_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ModelNotFoundError, match="gone: no such folder"):
            find_servable(tmp_path / "gone")


@pytest.fixture(scope="module")
def predictor(tiny_model_dir: Path) -> SavedModelPredictor:
    return SavedModelPredictor(tiny_model_dir, batch_size=4)


class TestSavedModelPredictor:
    def test_predicts_png_and_jpeg(self, predictor: SavedModelPredictor) -> None:
        levels = [0, 90, 255]
        for suffix in (".png", ".jpeg"):
            predictions = predictor.predict([encoded_image(level, suffix) for level in levels])

            assert [p.probability for p in predictions] == pytest.approx(
                [expected_probability(level) for level in levels], abs=1e-4
            )
            assert [p.decision for p in predictions] == [0, 0, 1]
            assert [p.label for p in predictions] == ["NORMAL", "NORMAL", "PNEUMONIA"]

    def test_more_images_than_a_batch_give_the_same_answers(
        self, predictor: SavedModelPredictor
    ) -> None:
        images = [encoded_image(level) for level in range(0, 250, 25)]
        one_by_one = [predictor.predict([image])[0].probability for image in images]

        assert [p.probability for p in predictor.predict(images)] == pytest.approx(one_by_one)

    def test_names_the_image_that_cannot_be_decoded(self, predictor: SavedModelPredictor) -> None:
        images = [encoded_image(1), UNDECODABLE_PNG, encoded_image(2)]

        with pytest.raises(BadImageError) as e:
            predictor.predict(images, ["a.png", "b.png", "c.png"])

        (failure,) = e.value.failures
        assert failure.source == "b.png"
        assert failure.reason.startswith("the model cannot use this image: Invalid PNG")
        assert "node" not in failure.reason

    def test_reads_the_contract(self, predictor: SavedModelPredictor, tiny_model_dir: Path) -> None:
        assert predictor.threshold == THRESHOLD
        assert predictor.contract["class_names"] == ["NORMAL", "PNEUMONIA"]
        assert predictor.model == str(tiny_model_dir / "1")


class TestUnusableModels:
    def test_another_signature(self, tmp_path: Path) -> None:
        export_tiny_model(tmp_path / "1", signature="serving_examples", explains=False)
        with pytest.raises(
            ModelContractError, match="no signature serving_default; it has serving_examples"
        ):
            SavedModelPredictor(tmp_path)

    def test_another_input(self, tmp_path: Path) -> None:
        export_tiny_model(tmp_path / "1", input_name="examples")
        with pytest.raises(ModelContractError, match="takes examples; image_bytes alone"):
            SavedModelPredictor(tmp_path)

    def test_a_missing_output(self, tmp_path: Path) -> None:
        export_tiny_model(tmp_path / "1", outputs=("probability", "label"))
        with pytest.raises(KeyError, match="lacks decision; it has label, probability"):
            SavedModelPredictor(tmp_path).predict([encoded_image(0)])

    def test_a_damaged_file(self, tmp_path: Path) -> None:
        (make_servable(tmp_path / "1") / "saved_model.pb").write_bytes(b"not a protocol buffer")
        with pytest.raises(ModelLoadError, match=r"1: cannot be loaded: "):
            SavedModelPredictor(tmp_path)

    def test_lost_variables(self, tmp_path: Path) -> None:
        export_tiny_model(tmp_path / "1")
        (tmp_path / "1" / "variables" / "variables.index").unlink()
        with pytest.raises(ModelLoadError, match=r"1: cannot be loaded: "):
            SavedModelPredictor(tmp_path / "1")
        with pytest.raises(ModelNotFoundError, match="no complete SavedModel"):
            SavedModelPredictor(tmp_path)

    @pytest.mark.parametrize(("content", "fault"), [("{", "not JSON"), ("[]", "object was exp")])
    def test_a_damaged_contract(self, tmp_path: Path, content: str, fault: str) -> None:
        contract = make_servable(tmp_path / "1") / "assets.extra" / "model_contract.json"
        contract.parent.mkdir()
        contract.write_text(content)
        with pytest.raises(ModelContractError, match=f"model_contract.json: .*{fault}"):
            SavedModelPredictor(tmp_path)


def test_without_a_contract_the_threshold_is_unknown(tmp_path: Path) -> None:
    export_tiny_model(tmp_path / "1")
    (tmp_path / "1" / "assets.extra" / "model_contract.json").unlink()
    assert SavedModelPredictor(tmp_path).threshold is None


def test_with_several_outputs_there_is_no_one_threshold(tmp_path: Path) -> None:
    export_tiny_model(tmp_path / "1")
    path = tmp_path / "1" / "assets.extra" / "model_contract.json"
    contract = json.loads(path.read_text())
    path.write_text(json.dumps(contract | {"outputs": contract["outputs"] * 2}))
    assert SavedModelPredictor(tmp_path).threshold is None


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TF_")}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


def test_a_process_imports_no_tfx_and_logs_nothing(tiny_model_dir: Path) -> None:
    code = """
import json, sys
from pathlib import Path
from serving.saved_model import SavedModelPredictor
before = "tensorflow" in sys.modules
predictor = SavedModelPredictor(Path(sys.argv[1]))
try:
    predictor.predict([b"bad"])
except Exception as error:
    kind = type(error).__name__
print(json.dumps([before, "tensorflow" in sys.modules, "tfx" in sys.modules, kind]))
"""
    process = run_python(code, str(tiny_model_dir))

    assert json.loads(process.stdout) == [False, True, False, "BadImageError"]
    assert process.stderr == ""


def test_a_failing_import_shows_what_was_logged(tmp_path: Path) -> None:
    (tmp_path / "tensorflow.py").write_text(
        "import os\nos.write(2, b'the library is missing')\nraise ImportError('no libfoo.so')"
    )
    code = """
import sys
sys.path.insert(0, sys.argv[1])
from serving.saved_model import import_tensorflow
import_tensorflow()
"""
    process = run_python(code, str(tmp_path))

    assert process.returncode == 1
    assert "the library is missing" in process.stderr
    assert "no libfoo.so" in process.stderr
