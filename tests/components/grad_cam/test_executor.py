"""Real artifacts in, a real report out."""

import json
import logging
import re

import cv2
import numpy as np
import pytest
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor

from components import progress
from components.errors import InputError
from components.example_gen import record
from components.grad_cam import executor
from components.grad_cam.artifacts import ExplanationReport
from components.grad_cam.settings import GradCamSettings
from tests.components.grad_cam import made

ONE_WORKER = [
    "--direct_running_mode=in_memory",
    "--direct_num_workers=1",
    "--sdk_container_image=cxr",
]
THREADS = [
    "--direct_running_mode=multi_threading",
    "--direct_num_workers=3",
    "--sdk_container_image=cxr",
]


def run(
    root,
    films,
    model,
    *,
    name="report",
    split="test",
    finding="",
    outputs=1,
    beam=ONE_WORKER,
    **settings,
):
    inputs = root / "inputs"
    artifacts = {
        "examples": [made.examples_artifact(inputs / name / "examples", films)],
        "scores": [made.scores_artifact(inputs / name / "scores", films, outputs)],
        "model": [model],
    }
    report = ExplanationReport()
    report.uri = str(root / name)
    context = BaseBeamExecutor.Context(
        beam_pipeline_args=[*beam], tmp_dir=str(root / "tmp"), unique_id=name
    )
    executor.Executor(context).Do(
        artifacts,
        {"report": [report]},
        {
            "split": split,
            "finding": finding,
            "settings": GradCamSettings(**settings).model_dump_json(),
            "code": "x",
        },
    )
    return root / name


def read_index(folder):
    return json.loads((folder / "cases.json").read_text("utf-8"))


def number_of(case):
    return int(re.search(r"<(\d+)>", case["filename"])[1])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return made.model_artifact(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def films():
    # One mislabelled film of each kind, so that there are errors to show.
    labels = [(n, n % 2) for n in range(35)]
    films = [made.make_film(n, label, ("pediatric", "nih")[n // 18]) for n, label in labels]
    for number, label in ((0, 1), (1, 0)):
        films[number].features.feature["label"].int64_list.value[:] = [label]
    return films


@pytest.fixture(scope="module")
def written(tmp_path_factory, films, model):
    messages = []
    handler = logging.Handler()
    handler.emit = lambda entry: messages.append(str(entry.msg))
    progress.LOGGER.addHandler(handler)
    try:
        folder = run(
            tmp_path_factory.mktemp("run"),
            films,
            model,
            named=["film <8> & ü.png", "nowhere.png"],
            cases=9,
        )
    finally:
        progress.LOGGER.removeHandler(handler)
    return folder, messages


@pytest.fixture
def index(written):
    return read_index(written[0])


def test_every_film_of_the_split_is_counted(index):
    assert index["films"] == 35
    assert index["counts"]["pediatric"] == {
        "false negative": 1,
        "false positive": 1,
        "true positive": 8,
        "true negative": 8,
    }
    assert index["counts"]["nih"]["false negative"] == 0


def test_errors_and_named_films_are_shown(index):
    assert len(index["cases"]) == 10
    assert [case["rule"] for case in index["cases"][:3]] == [
        "named",
        "false_negative",
        "false_positive",
    ]
    assert number_of(index["cases"][0]) == 8


def test_a_named_film_that_is_not_there_is_told(written, index):
    assert index["not_found"] == ["nowhere.png"]
    assert "grad_cam.named: the split has no film 'nowhere.png'" in written[1]
    assert "nowhere.png" in (written[0] / "report.html").read_text("utf-8")


def test_maps_are_the_models_own(index):
    for case in index["cases"]:
        number = number_of(case)
        film = made.draw_film(number, number % 2) / 255
        level = cv2.resize(film, (made.CELLS, made.CELLS), interpolation=cv2.INTER_AREA)
        expected = np.maximum(made.STEEPNESS * (level - made.MIDDLE), 0)
        np.testing.assert_allclose(case["heatmap"], expected, atol=1e-4)
        assert case["hottest_cell"]["logits"] == pytest.approx(expected.max(), abs=1e-4)


def test_pictures_have_the_films_own_ratio(written, index):
    for case in index["cases"]:
        height, width = made.SHAPES[number_of(case) % len(made.SHAPES)]
        for kind in ("film", "heat"):
            picture = cv2.imread(str(written[0] / case[kind]), cv2.IMREAD_UNCHANGED)
            assert picture.shape[1] / picture.shape[0] == pytest.approx(width / height, 0.02)


def test_the_overlay_is_film_and_heat_with_a_colour_bar_below(written, index):
    case = next(x for x in index["cases"] if x["outcome"] == "true positive" and not x["boxes"])
    number = number_of(case)
    height, width = made.SHAPES[number % len(made.SHAPES)]
    drawn = cv2.imread(str(written[0] / case["overlay"]))

    colourful = np.ptp(drawn[:height].astype(int), axis=-1) > 40
    assert colourful[height // 2 :, : width // 2].any()
    assert not colourful[: height // 4, width // 2 :].any(), "cold places stay film"
    assert drawn.shape[1] == width
    assert len(drawn) > height


def test_metadata_and_boxes_are_those_of_the_record(index):
    nih = next(x for x in index["cases"] if x["boxes"])
    pediatric = next(x for x in index["cases"] if x["dataset"] == "pediatric")

    assert nih["dataset"] == "nih"
    np.testing.assert_allclose(
        nih["boxes"], [[0.1, 0.6, 0.3, 0.3], [0.6, 0.6, 0.2, 0.2]], rtol=1e-6
    )
    assert nih["metadata"]["findings"] == "Pneumonia, Effusion"
    assert int(nih["metadata"]["age_years"]) >= 40
    assert nih["metadata"]["age_group"] in ("40-60", "60-80")
    assert set(pediatric["metadata"]) == {"findings", "etiology"}


def test_the_page_shows_every_case_once(written, index):
    page = (written[0] / "report.html").read_text("utf-8")

    assert page.count('<article class="case"') == 10
    assert "film &lt;8&gt; &amp; ü.png" in page
    assert "<8>" not in page
    for case in index["cases"]:
        assert page.count(f'src="{case["heat"]}"') == 1


def test_progress_is_told(written):
    assert "10 of 10 cases explained" in written[1]


def test_the_report_is_the_same_however_many_workers(tmp_path, films, model):
    few = films[:11]
    one = run(tmp_path, few, model, name="one", cases="all")
    several = run(tmp_path, few, model, name="several", cases="all", beam=THREADS)

    ours, theirs = read_index(one), read_index(several)
    assert len(ours["cases"]) == 11
    for index in (ours, theirs):
        del index["sources"]
    assert ours == theirs
    files = sorted(path.relative_to(one) for path in one.rglob("*.[pj][np]g"))
    assert len(files) == 3 * 11
    for file in files:
        assert (one / file).read_bytes() == (several / file).read_bytes()


def test_what_is_redacted_is_nowhere(tmp_path, films, model):
    nih = films[18:24]
    hidden = ["filename", "age_years", "sex", "findings", "boxes"]

    folder = run(tmp_path, nih, model, redact=hidden, named=["film <20> & ü.png"])

    index = read_index(folder)
    assert {"filename", "sha256"}.isdisjoint(index["cases"][0])
    assert not any(case["metadata"] or case["boxes"] for case in index["cases"])
    told = (folder / "report.html").read_text("utf-8") + json.dumps(index["cases"])
    for film in nih:
        assert film.features.feature["image/sha256"].bytes_list.value[0].decode() not in told
    for word in ("film &lt;", "film <", "Effusion", "Age in years", "Age group", "of sex", "cyan"):
        assert word not in told


def test_a_split_without_scores_is_named(tmp_path, films, model):
    with pytest.raises(FileNotFoundError, match="no scores of the split 'val'"):
        run(tmp_path, films[:1], model, split="val")


def test_a_model_without_explanations_says_what_to_do(tmp_path, films, model):
    bare = made.model_artifact(tmp_path / "bare")
    contract = made.tiny_contract()
    del contract["explanation"]
    path = tmp_path / "bare" / "Format-Serving" / "assets.extra" / "model_contract.json"
    path.write_text(json.dumps(contract))

    with pytest.raises(InputError, match="'explanation': train the model again"):
        run(tmp_path, films, bare)


# --- One finding of a multi-label model ------------------------------------------------------


def multi_label_film(number, edema):
    one = made.make_film(number, edema, "nih")
    # Pneumonia is in every film: its label, and the binary one, would tell another story.
    names = ("Edema", "Pneumonia") if edema else ("Pneumonia",)
    features = one.features.feature
    features["label"].int64_list.value[:] = [1]
    labels = record.finding_labels(names, "findings")
    features[record.FINDING_LABELS].int64_list.value.extend(labels)
    return one


@pytest.fixture(scope="module")
def multi_label_model(tmp_path_factory):
    output = record.PATHOLOGIES.index("Edema")
    return made.model_artifact(tmp_path_factory.mktemp("multi"), 14, output)


def test_one_finding_is_explained_by_its_own_label_output_and_threshold(
    tmp_path, multi_label_model
):
    films = [multi_label_film(number, number % 2) for number in range(12)]

    folder = run(tmp_path, films, multi_label_model, finding="Edema", outputs=14)

    index = read_index(folder)
    assert index["counts"] == {
        "nih": {
            "false negative": 0,
            "false positive": 0,
            "true positive": 6,
            "true negative": 6,
        }
    }
    assert index["class_names"] == ["no edema", "edema"]
    assert index["threshold"] == made.THRESHOLD
    found = [case for case in index["cases"] if case["outcome"] == "true positive"]
    assert {case["hottest_cell"]["place"] for case in found} == {"lower left"}
    assert "the network’s score for\nedema" in (folder / "report.html").read_text("utf-8")


def test_a_finding_that_the_model_does_not_tell_is_named(tmp_path, multi_label_model):
    with pytest.raises(InputError, match="no output 'Gout'; it has Atelectasis, "):
        run(tmp_path, [multi_label_film(1, 1)], multi_label_model, finding="Gout", outputs=14)
