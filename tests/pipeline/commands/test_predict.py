import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from components.disclaimer import DISCLAIMER
from pipeline.commands import predict as command
from pipeline.commands.predict import newest_pushed_model, predict
from serving.client import DEFAULT_MODEL_NAME
from serving.prediction import PredictionError
from serving.saved_model import SavedModelPredictor
from tests.serving.tf_serving_stub import TFServingStub
from tests.serving.tiny_model import (
    FINDINGS,
    THRESHOLD,
    UNDECODABLE_PNG,
    encoded_image,
    expected_probability,
)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(predict, [str(argument) for argument in arguments])


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with a dark, normal image and a bright one with pneumonia."""
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "bright[bold].jpeg").write_bytes(encoded_image(255, ".jpeg"))
    (folder / "dark.png").write_bytes(encoded_image(0))
    return folder


@pytest.fixture
def server(tiny_model_dir: Path) -> Iterator[TFServingStub]:
    with TFServingStub(tiny_model_dir) as stub:
        yield stub


class TestTable:
    def test_shows_every_image_and_the_disclaimer(
        self, images: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "200")
        result = run(images, "--model", tiny_model_dir)

        assert result.exit_code == 0, result.output
        header, bright, dark, *_, last = result.stdout.splitlines()
        assert header.split() == ["File", "Probability", "Threshold", "Decision"]
        assert bright.split() == [
            str(images / "bright[bold].jpeg"),
            f"{expected_probability(255):.4f}",
            f"{THRESHOLD:.4f}",
            "PNEUMONIA",
            "(1)",
        ]
        assert dark.split()[1:] == [
            f"{expected_probability(0):.4f}",
            f"{THRESHOLD:.4f}",
            "NORMAL",
            "(0)",
        ]
        assert last == DISCLAIMER

    def test_a_narrow_terminal_folds_names_and_loses_nothing(
        self, images: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "60")
        result = run(images, "--model", tiny_model_dir)
        assert "…" not in result.stdout
        assert "PNEUMONIA (1)" in result.stdout


class TestJson:
    def test_is_one_object_with_the_models_answers(
        self, images: Path, tiny_model_dir: Path
    ) -> None:
        result = run(images, "--model", tiny_model_dir, "--json")

        assert result.exit_code == 0, result.output
        answer = json.loads(result.stdout)
        assert answer["model"] == str(tiny_model_dir / "1")
        assert answer["threshold"] == THRESHOLD
        assert answer["failures"] == []
        files = sorted(images.iterdir())
        expected = SavedModelPredictor(tiny_model_dir).predict_files(files).predictions
        assert answer["predictions"] == [
            vars(prediction) | {"quality": list(prediction.quality)} for prediction in expected
        ]

    def test_a_process_writes_nothing_else(self, images: Path, tiny_model_dir: Path) -> None:
        code = """
import atexit, sys
from pipeline.commands.predict import predict
atexit.register(lambda: print(any(m in sys.modules for m in ("tfx", "tfx_bsl")), file=sys.stderr))
predict()
"""
        process = subprocess.run(
            [sys.executable, "-c", code, images, "--model", tiny_model_dir, "--json"],
            capture_output=True,
            text=True,
            env={k: v for k, v in os.environ.items() if not k.startswith("TF_")},
            check=True,
        )
        assert len(json.loads(process.stdout)["predictions"]) == 2
        assert process.stderr == "False\n"

    @pytest.mark.parametrize("rest", [False, True], ids=["gRPC", "REST"])
    def test_a_server_answers_as_the_model_in_this_process(
        self, images: Path, tiny_model_dir: Path, server: TFServingStub, rest: bool
    ) -> None:
        address = server.rest_address if rest else server.grpc_address
        asked = run(images, "--server", address, "--json", *(["--rest"] if rest else []))
        local = run(images, "--model", tiny_model_dir, "--json")

        assert asked.exit_code == 0, asked.output
        answer = json.loads(asked.stdout)
        assert answer["predictions"] == json.loads(local.stdout)["predictions"]
        assert answer["threshold"] is None
        assert address in answer["model"]


class TestSeveralFindings:
    def test_the_table_has_a_line_for_each(
        self, images: Path, tiny_multi_label_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "200")
        result = run(images, "--model", tiny_multi_label_dir)

        assert result.exit_code == 0, result.output
        header, *lines, last = result.stdout.splitlines()
        assert header.split() == ["File", "Finding", "Probability", "Threshold", "Decision"]
        probabilities = [f"{expected_probability(255, at):.4f}" for at in FINDINGS.values()]
        shown = f"{THRESHOLD:.4f}"
        assert [line.split() for line in lines[:3]] == [
            [
                str(images / "bright[bold].jpeg"),
                "Effusion",
                probabilities[0],
                shown,
                "present",
                "(1)",
            ],
            ["Mass", probabilities[1], shown, "present", "(1)"],
            ["[b]Hernia", probabilities[2], shown, "absent", "(0)"],
        ]
        assert last == DISCLAIMER

    @pytest.mark.parametrize("protocol", ["gRPC", "REST", "in this process"])
    def test_json_is_the_same_wherever_the_model_runs(
        self, images: Path, tiny_multi_label_dir: Path, protocol: str
    ) -> None:
        with TFServingStub(tiny_multi_label_dir) as stub:
            where = {
                "gRPC": ["--server", stub.grpc_address],
                "REST": ["--server", stub.rest_address, "--rest"],
                "in this process": ["--model", tiny_multi_label_dir],
            }[protocol]
            result = run(images, *where, "--json")

        assert result.exit_code == 0, result.output
        answer = json.loads(result.stdout)
        local = protocol == "in this process"
        assert answer["thresholds"] == (dict.fromkeys(FINDINGS, THRESHOLD) if local else {})
        assert "threshold" not in answer
        dark = answer["predictions"][1]
        assert dark["source"] == str(images / "dark.png")
        assert [(one["name"], one["decision"]) for one in dark["findings"]] == [
            ("Effusion", 0),
            ("Mass", 0),
            ("[b]Hernia", 0),
        ]
        assert [one["probability"] for one in dark["findings"]] == pytest.approx(
            [expected_probability(0, at) for at in FINDINGS.values()], rel=1e-5
        )


class TestBadImages:
    @pytest.fixture
    def mixed(self, images: Path) -> Path:
        (images / "broken.png").write_bytes(UNDECODABLE_PNG)
        (images / "notes.jpeg").write_text("notes")
        return images

    def test_the_others_are_predicted_and_the_exit_code_is_2(
        self, mixed: Path, tiny_model_dir: Path
    ) -> None:
        result = run(mixed, "--model", tiny_model_dir, "--json")

        assert result.exit_code == 2
        answer = json.loads(result.stdout)
        assert len(answer["predictions"]) == 2
        assert [Path(f["source"]).name for f in answer["failures"]] == ["broken.png", "notes.jpeg"]

    def test_they_are_named_on_stderr(self, mixed: Path, tiny_model_dir: Path) -> None:
        result = run(mixed, "--model", tiny_model_dir)

        assert result.exit_code == 2
        assert "PNEUMONIA" in result.stdout
        assert (
            f"Not predicted: {mixed / 'notes.jpeg'}: not a PNG, JPEG or DICOM image"
            in result.stderr
        )
        assert f"Not predicted: {mixed / 'broken.png'}: the model cannot use" in result.stderr

    def test_over_a_server_too(self, mixed: Path, server: TFServingStub) -> None:
        result = run(mixed, "--server", server.rest_address, "--rest", "--json")

        assert result.exit_code == 2
        assert len(json.loads(result.stdout)["predictions"]) == 2

    def test_nothing_but_bad_images(self, mixed: Path, tiny_model_dir: Path) -> None:
        result = run(mixed / "notes.jpeg", "--model", tiny_model_dir, "--json")

        assert result.exit_code == 2
        assert json.loads(result.stdout)["predictions"] == []


class TestDefaultModel:
    def push(self, model_dir: Path, runs: Path, run_name: str, version: int, time: int) -> Path:
        target = runs / run_name / "serving" / "cxr" / str(version)
        shutil.copytree(model_dir / "1", target)
        os.utime(target / "saved_model.pb", (time, time))
        return target

    def test_is_the_last_push_whatever_its_number(
        self, tiny_model_dir: Path, tmp_path: Path
    ) -> None:
        self.push(tiny_model_dir, tmp_path, "a", 9, time=1_000)
        newest = self.push(tiny_model_dir, tmp_path, "b", 2, time=2_000)
        assert newest_pushed_model(tmp_path) == newest

    def test_within_a_run_is_the_version_that_is_served(
        self, tiny_model_dir: Path, tmp_path: Path
    ) -> None:
        self.push(tiny_model_dir, tmp_path, "a", 2, time=2_000)
        served = self.push(tiny_model_dir, tmp_path, "a", 10, time=1_000)
        assert newest_pushed_model(tmp_path) == served

    def test_is_used_and_named(
        self,
        images: Path,
        tiny_model_dir: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        self.push(tiny_model_dir, tmp_path / "runs", "demo", 1, time=1_000)

        result = run(images, "--json")

        assert result.exit_code == 0, result.output
        assert "Using runs/demo/serving/cxr/1" in result.stderr
        assert json.loads(result.stdout)["model"] == "runs/demo/serving/cxr/1"

    def test_is_missed_with_advice(
        self, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        result = run(images)
        assert result.exit_code == 2
        assert "looked for runs/*/serving/cxr/VERSION" in result.stderr

    def test_has_the_name_that_servers_are_asked_for(self) -> None:
        assert command.MODEL_NAME == DEFAULT_MODEL_NAME


class TestErrors:
    def test_missing_path(self, tmp_path: Path, tiny_model_dir: Path) -> None:
        result = run(tmp_path / "gone.png", "--model", tiny_model_dir)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "gone.png: no such file or folder" in result.stderr

    def test_no_model_in_the_folder(self, images: Path) -> None:
        result = run(images, "--model", images)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "Invalid value for --model" in result.stderr

    def test_damaged_model(self, images: Path, tmp_path: Path) -> None:
        (tmp_path / "saved_model.pb").write_bytes(b"not a protocol buffer")
        result = run(images, "--model", tmp_path)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "cannot be loaded" in result.stderr

    def test_no_server(self, images: Path) -> None:
        result = run(images, "--server", "127.0.0.1:1", "--rest", "--json")
        assert (result.exit_code, result.stdout) == (1, "")
        assert "Error: no answer from 127.0.0.1:1" in result.stderr

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--model", "m", "--server", "h:1"], "exclude each other"),
            (["--rest"], "--rest needs --server"),
            (["--server", "http://h:1"], "must be HOST:PORT"),
        ],
    )
    def test_options_that_do_not_go_together(
        self, images: Path, options: list[str], message: str
    ) -> None:
        result = run(images, *options)
        assert result.exit_code == 2
        assert message in result.stderr

    def test_no_image(self) -> None:
        result = run()
        assert result.exit_code == 2
        assert "Missing argument 'IMAGE...'" in result.stderr

    def test_a_bug_is_not_disguised(
        self, images: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(SavedModelPredictor, "run", lambda *_: 1 / 0)
        assert isinstance(run(images, "--model", tiny_model_dir).exception, ZeroDivisionError)
        assert not issubclass(ZeroDivisionError, PredictionError)


def test_help_waits_for_no_heavy_import() -> None:
    code = """
import sys
from pipeline.commands.predict import predict
predict(["--help"], standalone_mode=False)
print(sorted({"tensorflow", "numpy", "grpc", "requests", "rich"} & set(sys.modules)))
"""
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    help_text, _, imported = process.stdout.strip().rpartition("\n")
    assert "not a diagnostic device" in help_text
    assert imported == "[]"
