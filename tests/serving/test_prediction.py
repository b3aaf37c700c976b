import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.ExifTags
import PIL.Image
import pytest
from numpy.typing import NDArray

from components.example_gen.images import imaging
from serving.prediction import (
    BadImageError,
    BatchRefusedError,
    Failure,
    Finding,
    FindingsPrediction,
    ImagesNotFoundError,
    MissingOutputError,
    ModelContractError,
    Prediction,
    PredictionError,
    Predictor,
    encode_image,
    find_images,
    quality,
    read_image,
    refusal,
)
from tests.components.example_gen.samples import encode, film
from tests.serving.tiny_model import encoded_image

PNG = encoded_image(10)
JPEG = encoded_image(10, ".jpeg")


def orientation(number: int) -> bytes:
    tags = PIL.Image.Exif()
    tags[PIL.ExifTags.Base.Orientation] = number
    return tags.tobytes()


def decoded(png: bytes) -> NDArray[np.uint8]:
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)


class FakePredictor(Predictor):
    """Answers with each image's length in thousandths, and refuses a batch that holds b"bad"."""

    def __init__(self, **options: Any) -> None:
        super().__init__("fake", **options)
        self.batches: list[int] = []

    def run(self, images: Sequence[bytes], signature: str = "serving_default") -> Mapping[str, Any]:
        self.batches.append(len(images))
        if any(b"bad" in image for image in images):
            raise BatchRefusedError("no image at all")
        probability = [len(image) / 1000 for image in images]
        return {
            "probability": probability,
            "decision": [int(p >= 0.05) for p in probability],
            "label": [b"PNEUMONIA" if p >= 0.05 else b"NORMAL" for p in probability],
        }


class AnswersWith(Predictor):
    """Gives fixed outputs, whatever the images."""

    def __init__(self, **outputs: Any) -> None:
        super().__init__("fixed")
        self.outputs = outputs

    def run(self, images: Sequence[bytes], signature: str = "serving_default") -> Mapping[str, Any]:
        return self.outputs


class TestFindImages:
    def test_lists_folders_recursively_sorted_and_in_either_case(self, tmp_path: Path) -> None:
        for name in ("b.PNG", "a.jpeg", "notes.txt", "sub/c.Jpg", "sub/d.dcm", "sub/e.tif"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(PNG)

        names = [str(path.relative_to(tmp_path)) for path in find_images([tmp_path])]

        assert names == ["a.jpeg", "b.PNG", "sub/c.Jpg", "sub/d.dcm"]

    def test_keeps_the_order_of_files_as_given_and_lists_each_once(self, tmp_path: Path) -> None:
        a, b = tmp_path / "a.png", tmp_path / "b.png"
        for path in (a, b):
            path.write_bytes(PNG)

        assert find_images([b, tmp_path]) == [b, a]

    def test_takes_a_file_as_given_whatever_its_suffix(self, tmp_path: Path) -> None:
        path = tmp_path / "scan"
        path.write_bytes(PNG)
        assert find_images([path]) == [path]

    def test_skips_the_metadata_files_of_a_mac_archive(self, tmp_path: Path) -> None:
        (tmp_path / "._a.jpeg").write_bytes(b"\x00\x05\x16\x07")
        (tmp_path / "a.jpeg").write_bytes(JPEG)
        assert find_images([tmp_path]) == [tmp_path / "a.jpeg"]

    def test_looks_into_a_folder_whose_own_name_is_hidden(self, tmp_path: Path) -> None:
        (tmp_path / ".cache").mkdir()
        (tmp_path / ".cache" / "a.png").write_bytes(PNG)
        assert len(find_images([tmp_path / ".cache"])) == 1

    def test_names_a_missing_path(self, tmp_path: Path) -> None:
        with pytest.raises(ImagesNotFoundError, match=r"gone\.png: no such file"):
            find_images([tmp_path / "gone.png"])

    def test_names_a_folder_without_images(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("x")
        with pytest.raises(
            ImagesNotFoundError, match=rf"{tmp_path.name}: no image in this folder .*\.dcm.*\.png"
        ):
            find_images([tmp_path])


class TestReadImage:
    @pytest.mark.parametrize("content", [PNG, JPEG], ids=["png", "jpeg"])
    def test_reads_images_whatever_their_suffix(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "x.dat"
        path.write_bytes(content)
        assert read_image(path) == content

    @pytest.mark.parametrize(
        ("content", "kind"),
        [
            (b"just some notes", "text"),
            (b"", "an empty file"),
            (b"GIF89a", "a GIF"),
            (b"\xfe\xed\xfa\xce", "data of an unknown kind"),
        ],
    )
    def test_names_the_file_what_it_is_and_the_remedy(
        self, tmp_path: Path, content: bytes, kind: str
    ) -> None:
        path = tmp_path / "x.jpeg"
        path.write_bytes(content)

        with pytest.raises(
            BadImageError, match=rf"x\.jpeg: not a PNG, JPEG or DICOM image but {kind}; "
        ) as e:
            read_image(path)

        assert "convert it to 8-bit PNG or JPEG" in str(e.value)
        assert e.value.failures[0].source == str(path)

    def test_names_a_file_that_cannot_be_read(self, tmp_path: Path) -> None:
        with pytest.raises(BadImageError, match="cannot be read: Is a directory"):
            read_image(tmp_path)


TURNED = np.ascontiguousarray(np.rot90(film(1)))
NOT_AS_IN_TRAINING = {
    "turned JPEG": encode(TURNED, "JPEG", exif=orientation(6)),
    "turned PNG": encode(TURNED, exif=orientation(6)),
    "12 of 16 bits": encode(film(1).astype(np.uint16) * 16),
    "16 bits": encode(film(1).astype(np.uint16) * 257),
    "palette": encode(np.dstack([film(1), film(2), film(3)]), mode="P"),
    "grey with alpha": encode(film(1), mode="LA"),
    "CMYK": encode(film(1), "JPEG", "CMYK"),
}


class TestAgreementWithTraining:
    @pytest.mark.parametrize("content", NOT_AS_IN_TRAINING.values(), ids=NOT_AS_IN_TRAINING)
    def test_a_file_becomes_the_bytes_that_a_training_film_becomes(
        self, tmp_path: Path, content: bytes
    ) -> None:
        (tmp_path / "x").write_bytes(content)

        sent = encode_image(content, "x")

        assert sent == read_image(tmp_path / "x") == imaging.servable_bytes(content) != content
        np.testing.assert_array_equal(decoded(sent), imaging.read_image(content)[0])

    def test_what_is_damaged_or_too_large_to_be_rewritten_is_named(self) -> None:
        for content, reason in (
            (NOT_AS_IN_TRAINING["16 bits"][:-200], "damaged or cut short"),
            (cv2.imencode(".png", np.zeros((10_001, 10_000), np.uint8))[1].tobytes(), "too large"),
        ):
            with pytest.raises(BadImageError, match=rf"^film: image .*{reason}"):
                encode_image(content, "film")


class TestPredict:
    def test_splits_into_batches_and_keeps_the_order(self) -> None:
        predictor = FakePredictor(batch_size=3)
        images = [b"x" * n for n in range(1, 8)]

        predictions = predictor.predict(images)

        assert predictor.batches == [3, 3, 1]
        assert [p.probability for p in predictions] == pytest.approx(
            [n / 1000 for n in range(1, 8)]
        )
        assert [p.source for p in predictions] == [f"image {n}" for n in range(7)]

    def test_gives_python_values_of_float32_precision(self) -> None:
        (prediction,) = FakePredictor().predict([b"x" * 60], ["a.png"])

        assert prediction == Prediction("a.png", 0.05999999865889549, 1, "PNEUMONIA")
        assert [type(v) for v in vars(prediction).values()] == [str, float, int, str, tuple]

    def test_asks_nothing_for_no_images(self) -> None:
        predictor = FakePredictor()
        assert predictor.predict([]) == []
        assert predictor.batches == []

    def test_names_every_bad_image(self) -> None:
        with pytest.raises(BadImageError) as e:
            FakePredictor().predict([b"good", b"bad", b"bad"], ["a", "b", "c"])

        assert [failure.source for failure in e.value.failures] == ["b", "c"]
        assert "b: the model cannot use this image: no image at all" in str(e.value)

    def test_refuses_sources_that_do_not_match_the_images(self) -> None:
        with pytest.raises(ValueError, match="zip"):
            FakePredictor().predict([b"x", b"y"], ["only one"])

    def test_names_missing_outputs_and_those_there_are(self) -> None:
        with pytest.raises(MissingOutputError) as e:
            AnswersWith(probability=[0.1], scores=[0.1]).predict([b"x"])

        assert isinstance(e.value, KeyError)
        assert str(e.value) == (
            "the model's answer lacks decision, label; it has probability, scores"
        )

    def test_several_findings_are_told_one_by_one(self) -> None:
        predictor = AnswersWith(
            probability=[[0.125, 0.5], [0.25, 1.0]],
            decision=[[0, 1], [0, 1]],
            label=[[b"Mass", "Edema"], [b"Mass", "Edema"]],
        )
        assert predictor.predict([b"x", b"y"], ["a", "b"]) == [
            FindingsPrediction("a", [Finding("Mass", 0.125, 0), Finding("Edema", 0.5, 1)]),
            FindingsPrediction("b", [Finding("Mass", 0.25, 0), Finding("Edema", 1.0, 1)]),
        ]

    @pytest.mark.parametrize(
        ("decision", "label"),
        [([0], [b"a"]), ([[0, 0, 0]], [[b"a", b"b"]]), ([[[0, 0]]], [[b"a", b"b"]])],
    )
    def test_refuses_outputs_that_tell_of_other_findings(self, decision: Any, label: Any) -> None:
        predictor = AnswersWith(probability=[[0.1, 0.2]], decision=decision, label=label)
        with pytest.raises(ModelContractError, match=r"decision has shape .* for 1 images"):
            predictor.predict([b"x"])

    def test_one_finding_without_a_probability_spoils_its_image_alone(self) -> None:
        predictor = AnswersWith(
            probability=[[0.1, math.nan], [0.1, 0.2]], decision=[[0, 0]] * 2, label=[["a", "b"]] * 2
        )
        with pytest.raises(BadImageError, match="x: the model answers nan for b") as e:
            predictor.predict([b"x", b"y"], ["x", "y"])
        assert len(e.value.failures) == 1

    def test_refuses_an_answer_for_another_number_of_images(self) -> None:
        predictor = AnswersWith(probability=[0.1], decision=[0], label=[b"a"])
        with pytest.raises(ModelContractError, match=r"shape \[1\] for 2 images"):
            predictor.predict([b"x", b"y"])

    @pytest.mark.parametrize("value", [math.nan, math.inf, -0.1, 1.5])
    def test_never_passes_on_what_is_no_probability(self, value: float) -> None:
        predictor = AnswersWith(probability=[value, 0.5], decision=[0, 1], label=[b"N", b"P"])

        with pytest.raises(BadImageError, match=r"a: the model answers .*no probability") as e:
            predictor.predict([b"x", b"y"], ["a", "b"])

        assert len(e.value.failures) == 1

    def test_needs_a_positive_batch_size(self) -> None:
        with pytest.raises(ValueError, match="batch_size must be at least 1"):
            FakePredictor(batch_size=0)


class TestPredictFiles:
    def test_bad_files_cost_the_others_nothing(self, tmp_path: Path) -> None:
        contents = {"a": PNG, "b": b"notes", "c": PNG + b"bad", "d": JPEG}
        for name, content in contents.items():
            (tmp_path / name).write_bytes(content)
        paths = [tmp_path / name for name in (*contents, "gone")]

        outcome = FakePredictor().predict_files(paths)

        assert [Path(p.source).name for p in outcome.predictions] == ["a", "d"]
        assert [Path(f.source).name for f in outcome.failures] == ["b", "c", "gone"]
        assert [f.reason.split(":")[0] for f in outcome.failures] == [
            "not a PNG, JPEG or DICOM image but text; convert it to 8-bit PNG or JPEG, or leave "
            "it out",
            "the model cannot use this image",
            "cannot be read",
        ]

    def test_runs_only_the_refused_batch_again(self, tmp_path: Path) -> None:
        for n in range(6):
            (tmp_path / f"{n}.png").write_bytes(PNG + (b"bad" if n == 2 else b""))
        predictor = FakePredictor(batch_size=3)

        outcome = predictor.predict_files(find_images([tmp_path]))

        assert predictor.batches == [3, 1, 1, 1, 3]
        assert len(outcome.predictions) == 5

    def test_asks_nothing_when_no_file_is_an_image(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").write_text("notes")
        predictor = FakePredictor()

        outcome = predictor.predict_files([tmp_path / "a.png"])

        assert predictor.batches == []
        assert (outcome.predictions, len(outcome.failures)) == ([], 1)

    def test_lets_other_errors_through(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").write_bytes(PNG)
        with pytest.raises(PredictionError, match="it has probability"):
            AnswersWith(probability=[0.1]).predict_files([tmp_path / "a.png"])


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        (
            "Graph execution error:\n\nDetected at node map/while/Decode defined at (most recent "
            "call last):\n<stack traces unavailable>\nInvalid PNG. Failed to initialize decoder."
            "\n\t [[{{node map/while/Decode}}]] [Op:__inference_signature_wrapper_serve_225]",
            "Invalid PNG. Failed to initialize decoder.",
        ),
        (
            "2 root error(s) found.\n  (0) INVALID_ARGUMENT: Input is empty.\n\t [[{{node D}}]]\n"
            "\t [[map/while/Cast/_8]]\n  (1) INVALID_ARGUMENT: Input is empty.\n\t [[{{node D}}]]\n"
            "0 successful operations.\n0 derived errors ignored.",
            "Input is empty.",
        ),
        ("{{function_node __inference_f_1}} Unknown format.\n\t [[{{node D}}]]", "Unknown format."),
        ("plain words", "plain words"),
        ("[[{{node D}}]]", "[[{{node D}}]]"),
    ],
)
def test_refusal_keeps_the_cause_alone(message: str, cause: str) -> None:
    assert refusal(message) == cause


def test_a_failure_reads_as_a_sentence() -> None:
    assert str(Failure("a.png", "is empty")) == "a.png: is empty"


def test_quality_codes_have_sentences() -> None:
    assert quality.codes_in("") == ()
    assert quality.codes_in("colour,unlike_training") == ("colour", "unlike_training")
    known, new = quality.sentences(["blank", "of_a_hand"])
    assert known.startswith("The image is blank")
    assert new == "The model warns of this image: of_a_hand."


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4)),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((0, 4), "u1"),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_an_array_that_is_no_image_is_described(array: NDArray[Any]) -> None:
    with pytest.raises(BadImageError, match=r"x: an array of .*uint8 \[height, width\] or, as RGB"):
        encode_image(array, "x")


def test_an_array_is_encoded_without_loss() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (20, 30), np.uint8)
    png = encode_image(grey, "x")
    np.testing.assert_array_equal(cv2.imdecode(np.frombuffer(png, np.uint8), 0), grey)


class TestExplain:
    ANSWER = {"probability": [0.5], "decision": [1], "label": ["P"]}

    def test_needs_one_map_per_probability(self) -> None:
        heatmap = np.zeros((1, 2, 3, 4))
        predictor = AnswersWith(**self.ANSWER, heatmap=heatmap, overlay_png_bytes=[b"p"])
        with pytest.raises(ModelContractError, match=r"heatmap has shape \[1, 2, 3, 4\]"):
            predictor.explain([b"x"])

    def test_a_map_that_is_not_finite_is_a_failure(self) -> None:
        heatmap = np.full((1, 3, 4), np.nan)
        predictor = AnswersWith(**self.ANSWER, heatmap=heatmap, overlay_png_bytes=[b"p"])
        with pytest.raises(BadImageError, match="heat map is not finite"):
            predictor.explain([b"x"])

    def test_names_missing_outputs(self) -> None:
        with pytest.raises(MissingOutputError, match="lacks heatmap, overlay_png_bytes; it has"):
            AnswersWith(**self.ANSWER).explain([b"x"])

    def test_keeps_the_bytes_of_a_picture_whatever_they_end_in(self) -> None:
        heatmap = np.zeros((1, 3, 4))
        predictor = AnswersWith(**self.ANSWER, heatmap=heatmap, overlay_png_bytes=[b"p\0\0"])
        assert predictor.explain([b"x"])[0].overlay_png == b"p\0\0"
