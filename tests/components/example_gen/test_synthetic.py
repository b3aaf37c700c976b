"""The synthetic sets: their layouts, their films, and what must not give the label away."""

import csv
import re
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from components.example_gen.record import FINDINGS
from components.example_gen.synthetic.anatomy import Style, sample_anatomy
from components.example_gen.synthetic.layouts import MANIFEST, Synthesis, synthesize
from components.example_gen.synthetic.opacity import Box, Pattern
from components.example_gen.synthetic.phantom import draw_film
from components.example_gen.synthetic.plans import plan_nih, plan_pediatric
from components.example_gen.synthetic.technique import sample_technique

KAGGLE = re.compile(r"((?:NORMAL2-)?IM-\d{4})-\d{4}|(person\d+_(?:bacteria|virus))_\d+")


@pytest.fixture(scope="module")
def pediatric(tmp_path_factory: pytest.TempPathFactory) -> Synthesis:
    return synthesize("pediatric", images=40, out=tmp_path_factory.mktemp("ped"), seed=3)


@pytest.fixture(scope="module")
def nih(tmp_path_factory: pytest.TempPathFactory) -> Synthesis:
    return synthesize("nih", images=40, out=tmp_path_factory.mktemp("nih"), seed=3)


def files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def kaggle_patient(name: str) -> str:
    match = KAGGLE.fullmatch(Path(name).stem)
    assert match, name
    return match[1] or match[2]


def decode(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert image is not None
    return image


# --- Layouts ---------------------------------------------------------------------------------


def test_pediatric_layout_names_and_images(pediatric: Synthesis) -> None:
    assert pediatric.root.name == "chest_xray"
    paths = list(pediatric.root.glob("*/*/*.jpeg"))
    assert len(paths) == pediatric.images == 40
    folders = {(path.parts[-3], path.parts[-2]) for path in paths}
    assert folders == {(s, c) for s in ("train", "val", "test") for c in ("NORMAL", "PNEUMONIA")}
    for path in paths:
        assert path.name.startswith("person") == (path.parts[-2] == "PNEUMONIA")
        image = decode(path)
        assert image.dtype == np.uint8
        assert image.ndim == 2
        assert 500 <= image.shape[1] <= 960
        assert image.shape[0] < image.shape[1]
    assert "virus" not in " ".join(path.name for path in paths if "val" in path.parts)


def test_pediatric_patients_stay_in_one_folder_and_have_several_films() -> None:
    films = plan_pediatric(800, np.random.default_rng(0))
    splits: dict[str, set[str]] = {}
    sizes: dict[str, int] = {}
    for film in films:
        key = kaggle_patient(film.path)
        splits.setdefault(key, set()).add(film.path.split("/")[0])
        sizes[key] = sizes.get(key, 0) + 1
    assert all(len(found) == 1 for found in splits.values())
    assert len({film.path for film in films}) == 800
    assert len(sizes) == len({film.patient for film in films})
    assert max(sizes.values()) > 2
    bacteria = {key.split("_")[0] for key in splits if key.endswith("bacteria")}
    virus = {key.split("_")[0] for key in splits if key.endswith("virus")}
    assert bacteria & virus, "the published numbers overlap, which a careless key trips over"


def test_pediatric_class_mix_is_the_published_one() -> None:
    groups = [film.group for film in plan_pediatric(5856, np.random.default_rng(1))]
    assert groups.count("normal") == 1583
    assert groups.count("bacteria") == 2780
    assert groups.count("virus") == 1493


def test_nih_table_has_the_published_header_and_one_row_per_image(nih: Synthesis) -> None:
    path = nih.root / "Data_Entry_2017_v2020.csv"
    assert path.read_text().splitlines()[0] == (
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,"
        "View Position,OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
    )
    table = pd.read_csv(path)
    # The commas in the brackets split two names in two, and pandas follows.
    assert list(table.columns[-4:]) == [
        "OriginalImage[Width",
        "Height]",
        "OriginalImagePixelSpacing[x",
        "y]",
    ]
    assert set(table["Image Index"]) == {p.name for p in (nih.root / "images").iterdir()}
    assert not table["Image Index"].duplicated().any()
    named = table["Image Index"].str.extract(r"^(\d{8})_(\d{3})\.png$").astype(int)
    assert (named[0] == table["Patient ID"]).all()
    assert (named[1] == table["Follow-up #"]).all()
    assert table["Patient Age"].between(0, 120).all()
    assert set(table["Patient Gender"]) == {"F", "M"}
    assert set(table["View Position"]) == {"AP", "PA"}
    assert table.groupby("Patient ID")["Patient Gender"].nunique().max() == 1
    assert table["Patient ID"].duplicated().any()


def test_nih_images_are_square_grey_png(nih: Synthesis) -> None:
    for path in (nih.root / "images").iterdir():
        image = decode(path)
        assert image.shape == (512, 512)
        assert image.dtype == np.uint8


def test_nih_boxes_are_in_the_frame_of_the_originals(nih: Synthesis) -> None:
    path = nih.root / "BBox_List_2017.csv"
    lines = path.read_text().splitlines()
    assert lines[0] == "Image Index,Finding Label,Bbox [x,y,w,h],,,"
    rows = list(csv.reader(lines[1:]))
    assert {len(row) for row in rows} == {6}
    table = pd.read_csv(nih.root / "Data_Entry_2017_v2020.csv")
    pneumonia = table["Finding Labels"].str.split("|").map(lambda names: "Pneumonia" in names)
    assert {row[0] for row in rows} == set(table.loc[pneumonia, "Image Index"])
    assert {row[1] for row in rows} == {"Pneumonia"}
    boxes = np.array([row[2:] for row in rows], float)
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, :2] + boxes[:, 2:] <= 1024).all()
    assert boxes[:, 2:].max() > 200, "boxes in 512-pixel coordinates would be half as large"


def test_nih_findings_are_mixed_as_asked_for() -> None:
    films = plan_nih(1000, 0.14, np.random.default_rng(0))
    labels = [film.group for film in films]
    with_pneumonia = [label for label in labels if "Pneumonia" in label.split("|")]
    assert len(with_pneumonia) == 140
    assert "Infiltration|Pneumonia" in with_pneumonia
    assert labels.count("No Finding") == 780
    assert all((film.pneumonia is not None) == ("Pneumonia" in film.group) for film in films)
    half = [film.group for film in plan_nih(100, 0.5, np.random.default_rng(0))]
    assert sum("Pneumonia" in label for label in half) == 50


def test_every_finding_occurs_and_the_table_lists_them_in_order() -> None:
    groups = [film.group for film in plan_nih(1000, 0.14, np.random.default_rng(7))]
    listed = [group.split("|") for group in groups]
    assert {name for names in listed for name in names} == set(FINDINGS)
    assert all(names == sorted(set(names)) for names in listed)


def test_counts_and_notices(pediatric: Synthesis, nih: Synthesis) -> None:
    for made in (pediatric, nih):
        assert sum(made.counts.values()) == made.images
        assert 1 < made.patients < made.images
        assert "not taken of patients" in (made.root / "README.txt").read_text()
        assert '"synthetic": true' in (made.root / MANIFEST).read_text()


# --- Determinism and reuse -------------------------------------------------------------------


def test_same_bytes_whatever_the_number_of_workers(tmp_path: Path) -> None:
    for out, workers in (("one", 1), ("four", 4)):
        for dataset in ("pediatric", "nih"):
            synthesize(dataset, images=20, out=tmp_path / out, seed=5, workers=workers)
    one = files(tmp_path / "one")
    assert one == files(tmp_path / "four")
    assert {name.split("/")[0] for name in one} == {"chest_xray", "nih"}


def test_another_seed_draws_other_films(tmp_path: Path, nih: Synthesis) -> None:
    other = synthesize("nih", images=20, out=tmp_path, seed=4)
    images = {hash(path.read_bytes()) for path in (other.root / "images").iterdir()}
    assert len(images) == 20
    assert not images & {hash(path.read_bytes()) for path in (nih.root / "images").iterdir()}


def test_a_finished_set_is_not_drawn_again(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []

    def make() -> Synthesis:
        return synthesize(
            "nih", images=20, out=tmp_path, seed=1, progress=lambda *call: calls.append(call)
        )

    first = make()
    assert calls == [(done, 20) for done in range(1, 21)]
    stamps = {path: path.stat().st_mtime_ns for path in first.root.rglob("*")}
    assert make() == first
    assert len(calls) == 20
    assert stamps == {path: path.stat().st_mtime_ns for path in first.root.rglob("*")}


def test_an_interrupted_set_is_done_anew(tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesize("nih", images=20, out=tmp_path, seed=1, progress=interrupt)
    root = tmp_path / "nih"
    assert not (root / MANIFEST).exists()
    (root / "images" / "left_over.png").write_bytes(b"half")
    made = synthesize("nih", images=20, out=tmp_path, seed=1)
    assert (root / MANIFEST).is_file()
    assert len(list((made.root / "images").iterdir())) == 20
    assert not list(root.glob("*.unfinished"))


# --- Refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "mnist"}, "Choose one of: nih, pediatric"),
        ({"images": 3}, "Ask for 20 or more"),
        ({"seed": -1}, "Choose 0 or more"),
        ({"pneumonia_share": 0.01}, "at least 2 images"),
        ({"pneumonia_share": 1.0}, "up to 0.9"),
    ],
)
def test_impossible_requests(changes: dict[str, object], message: str, tmp_path: Path) -> None:
    request: dict[str, object] = {"dataset": "nih", "images": 20, "seed": 1, **changes}
    with pytest.raises(ValueError, match=message):
        synthesize(out=tmp_path, **request)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_another_synthetic_set_is_not_overwritten(nih: Synthesis) -> None:
    before = files(nih.root)
    with pytest.raises(ValueError, match=r"differs in seed\).*another output folder"):
        synthesize("nih", images=40, out=nih.root.parent, seed=99)
    assert files(nih.root) == before


def test_real_images_are_not_overwritten(tmp_path: Path) -> None:
    real = tmp_path / "chest_xray" / "train" / "NORMAL" / "IM-0001-0001.jpeg"
    real.parent.mkdir(parents=True)
    real.write_bytes(b"a patient's film")
    with pytest.raises(ValueError, match="not a synthetic set"):
        synthesize("pediatric", images=20, out=tmp_path, seed=1)
    assert real.read_bytes() == b"a patient's film"


# --- Films -----------------------------------------------------------------------------------


def inside(boxes: tuple[Box, ...], shape: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    for box in boxes:
        mask[box.y : box.y + box.height, box.x : box.x + box.width] = True
    return mask


@pytest.mark.parametrize("style", ["pediatric", "nih"])
@pytest.mark.parametrize("pattern", ["consolidation", "interstitial"])
def test_boxes_cover_what_the_opacity_changes(style: Style, pattern: Pattern) -> None:
    for patient in range(4):
        anatomy = sample_anatomy(style, np.random.default_rng(patient))
        without = draw_film(anatomy, np.random.default_rng([patient, 1])).pixels
        film = draw_film(anatomy, np.random.default_rng([patient, 1]), pneumonia=pattern)
        changed = np.abs(film.pixels.astype(int) - without)
        covered = inside(film.boxes, without.shape)
        assert len(film.boxes) in (1, 2)
        assert all(box.width < 0.5 * without.shape[1] for box in film.boxes), "one lung each"
        # Unsharpness carries the opacity's edge a pixel or two beyond it.
        assert changed[~covered].max() <= 2
        assert changed[covered].max() >= 8
        for box in film.boxes:
            part = changed[box.y : box.y + box.height, box.x : box.x + box.width]
            assert (part >= 2).mean() > 0.25, "the box is far larger than the opacity"


def test_lungs_are_darker_than_mediastinum_and_abdomen() -> None:
    styles: tuple[Style, ...] = ("pediatric", "nih")
    for style in styles:
        for patient in range(5):
            rng = np.random.default_rng([patient, 2])
            anatomy = sample_anatomy(style, rng)
            state = np.random.default_rng([patient, 3])
            canvas = sample_technique(anatomy, "PA", state.spawn(2)[0]).canvas
            pixels = draw_film(anatomy, np.random.default_rng([patient, 3])).pixels
            w = anatomy.half_width
            points = np.array([[-0.6 * w, 0.45], [0.65 * w, 0.45], [0.0, 0.6], [-0.4 * w, 0.96]])
            right, left, heart, abdomen = (
                np.median(pixels[int(y) - 12 : int(y) + 12, int(x) - 12 : int(x) + 12])
                for x, y in canvas.to_pixels(points)
            )
            assert max(right, left) + 25 < min(heart, abdomen)


def test_films_of_a_patient_resemble_one_another_more_than_other_patients() -> None:
    def thumbnail(patient: int, film: int) -> np.ndarray:
        anatomy = sample_anatomy("nih", np.random.default_rng(patient))
        pixels = draw_film(anatomy, np.random.default_rng([patient, film])).pixels
        small = cv2.resize(pixels, (32, 32), interpolation=cv2.INTER_AREA).astype(float)
        return (small - small.mean()) / small.std()

    films = [(thumbnail(patient, 1), thumbnail(patient, 2)) for patient in range(10)]
    same = np.mean([np.abs(a - b).mean() for a, b in films])
    across = np.mean(
        [np.abs(films[i][0] - films[j][1]).mean() for i in range(10) for j in range(10) if i != j]
    )
    assert same < 0.9 * across


# --- What must not give the label away -------------------------------------------------------


def test_size_and_exposure_do_not_tell_the_classes_apart(tmp_path: Path) -> None:
    made = synthesize("pediatric", images=120, out=tmp_path, seed=11)
    paths = sorted(made.root.glob("*/*/*.jpeg"))
    labels = np.array([path.parts[-2] == "PNEUMONIA" for path in paths])
    patients = [kaggle_patient(path.name) for path in paths]
    images = [decode(path) for path in paths]
    features = np.array(
        [
            [*image.shape, path.stat().st_size, image.mean(), image.std(), (image == 0).mean()]
            for image, path in zip(images, paths, strict=True)
        ]
    )
    probability = cross_val_predict(
        make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced")),
        features,
        labels,
        groups=patients,
        cv=StratifiedGroupKFold(4, shuffle=True, random_state=0),
        method="predict_proba",
    )
    # About 2.5 standard errors of a chance AUC with 32 against 88 films; brightness may carry
    # a little, since an opacity does brighten a film.
    assert roc_auc_score(labels, probability[:, 1]) < 0.64
    for column in range(3):
        assert abs(roc_auc_score(labels, features[:, column]) - 0.5) < 0.15


def test_technique_is_drawn_without_the_label() -> None:
    anatomy = sample_anatomy("pediatric", np.random.default_rng(0))
    ill = draw_film(anatomy, np.random.default_rng(1), pneumonia="consolidation", view="AP")
    well = draw_film(anatomy, np.random.default_rng(1), view="AP")
    assert ill.pixels.shape == well.pixels.shape
    assert well.boxes == ()
