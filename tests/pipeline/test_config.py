"""Experiments: what loads, what does not, and what the user is told."""

from pathlib import Path

import pytest

from components.errors import InputError
from components.trainer.settings import TrainerSettings
from pipeline.config import ConfigError, experiment_names, load_config

MINIMAL = "data: {datasets: {pediatric: {}}}\nevaluator: {min_auc: {pediatric: 0.9}}\n"


@pytest.fixture
def yaml_file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(MINIMAL)
    return path


def message(experiment: str | Path, *overrides: str) -> str:
    """What the user is told of a configuration that cannot be used."""
    with pytest.raises(ConfigError) as error:
        load_config(str(experiment), overrides)
    assert isinstance(error.value, InputError)
    return str(error.value)


# --- Experiments -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", experiment_names())
def test_every_bundled_experiment_loads(name: str) -> None:
    config = load_config(name)
    assert config.name == name
    assert config.description
    # What is asked of a model can be asked: its datasets are read.
    assert set(config.evaluator.min_auc) == set(config.data.datasets)


def test_the_bundled_experiments() -> None:
    assert experiment_names() == ["both", "demo", "dicom", "nih", "nih_multilabel", "pediatric"]


def test_a_file_is_an_experiment_named_after_it(yaml_file: Path) -> None:
    config = load_config(str(yaml_file))
    assert config.name == "mine"
    assert list(config.data.datasets) == ["pediatric"]
    assert config.trainer == TrainerSettings()


def test_a_file_may_name_its_experiment(yaml_file: Path) -> None:
    yaml_file.write_text(f"name: other\n{MINIMAL}")
    assert load_config(str(yaml_file)).name == "other"


def test_settings_cannot_be_changed_afterwards() -> None:
    config = load_config("demo")
    with pytest.raises(ValueError, match="frozen"):
        config.trainer.epochs = 1


def test_a_misspelt_experiment_is_suggested() -> None:
    text = message("pediatrc")
    assert text.startswith("no experiment 'pediatrc'; did you mean pediatric? There are both, ")


def test_an_unknown_experiment_lists_those_that_are() -> None:
    text = message("zzz")
    assert text.startswith(
        "no experiment 'zzz'. There are both, demo, dicom, nih, nih_multilabel, pediatric; "
    )


@pytest.mark.parametrize("name", ["missing.yaml", "missing.yml"])
def test_no_such_file(tmp_path: Path, name: str) -> None:
    assert message(tmp_path / name) == f"no such file: {tmp_path / name}"


# --- Files -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is not a mapping of settings"),
        (b"- data\n", "is not a mapping of settings"),
        (b"data: [1, 2\n", "is not YAML"),
        (b"\x80\x81", "cannot be read"),
        (b"trainer: {epochs: 3}\n", "data: is missing"),
        (b"data: {datasets: {}}\n", "data.datasets: dictionary should have at least 1 item"),
        (b"1: 2\n" + MINIMAL.encode(), "1: "),
    ],
)
def test_a_file_that_cannot_be_used_is_named(yaml_file: Path, data: bytes, words: str) -> None:
    yaml_file.write_bytes(data)
    text = message(yaml_file)
    assert text.startswith(f"{yaml_file}: ")
    assert words in text


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (
            "trainr: {epochs: 3}",
            "trainr: unknown key; did you mean trainer?",
        ),
        (
            "trainer: {epoch: 3}",
            "trainer.epoch: unknown key; did you mean trainer.epochs?",
        ),
        (
            "trainer: {head: {drop_out: 3}}",
            "trainer.head.drop_out: unknown key; did you mean trainer.head.dropout?",
        ),
        ("trainer: {qqq: 3}", "trainer.qqq: unknown key"),
        (
            "trainer: {epochs: many}",
            "trainer.epochs: input should be a valid integer, unable to parse string as an "
            "integer, not 'many'",
        ),
        (
            "trainer: {epochs: 0}",
            "trainer.epochs: input should be greater than or equal to 1, not 0",
        ),
        ("name: a/b", "name: string should match pattern"),
        ("evaluator: {min_auc: {nih: 95}}", "evaluator.min_auc.nih: input should be less than"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_its_key(
    yaml_file: Path, line: str, text: str
) -> None:
    yaml_file.write_text(f"{MINIMAL}{line}\n")
    assert message(yaml_file).startswith(f"{yaml_file}: {text}")


def test_a_misspelt_key_of_a_dataset_is_suggested(yaml_file: Path) -> None:
    yaml_file.write_text("data: {datasets: {nih: {normal_per_pneumonia: 1}}}\n")
    assert message(yaml_file) == (
        f"{yaml_file}: data.datasets.nih.normal_per_pneumonia: unknown key; did you mean "
        "data.datasets.nih.normals_per_pneumonia?"
    )


@pytest.mark.parametrize("override", ["data.datasets={nhi: {}}", "evaluator.min_auc={nhi: 0.7}"])
def test_a_misspelt_dataset_is_told_which_there_are(override: str) -> None:
    key = override.partition("=")[0]
    text = message("demo", override)
    assert text.startswith(f"--set {override}: {key}.nhi")
    assert "no dataset is called 'nhi'; did you mean nih? There are pediatric, nih, " in text


def test_everything_that_is_wrong_is_said_at_once(yaml_file: Path) -> None:
    yaml_file.write_text(f"{MINIMAL}trainer: {{epochs: many, qqq: 1}}\n")
    lines = message(yaml_file, "beam.workers=0").splitlines()
    assert len(lines) == 3
    assert lines[-1] == (
        "--set beam.workers=0: beam.workers: input should be greater than or equal to 1, not 0"
    )


def test_fractions_that_do_not_add_up(yaml_file: Path) -> None:
    yaml_file.write_text(
        "data: {datasets: {nih: {}}, split: {fractions: {train: 0.7, val: 0.2, test: 0.2}}}\n"
    )
    assert message(yaml_file) == (
        f"{yaml_file}: data.split.fractions: train, val and test add up to 1.1, not to 1"
    )
    assert message("demo", "data.split.fractions.train=0.8") == (
        "--set data.split.fractions.train=0.8: data.split.fractions: train, val and test add up "
        "to 1.1, not to 1"
    )


# --- Overrides -------------------------------------------------------------------------------


def test_overrides_are_yaml() -> None:
    config = load_config(
        "demo",
        [
            "trainer.epochs=7",
            "trainer.learning_rate=1e-4",
            "trainer.reduce_lr_on_plateau=true",
            "trainer.cache.folder=null",
            "trainer.weights=/weights/a=b.h5",
            "evaluator.slices=[sex, 'dataset*sex']",
            "data.datasets.nih={folder: elsewhere}",
            "data.split.salt=other",
        ],
    )
    assert config.trainer.epochs == 7
    assert config.trainer.learning_rate == 1e-4
    assert config.trainer.reduce_lr_on_plateau is True
    assert config.trainer.cache.folder is None
    assert config.trainer.weights == "/weights/a=b.h5"
    assert config.evaluator.slices == ("sex", "dataset*sex")
    assert config.data.datasets["nih"].folder == "elsewhere"
    assert config.data.datasets["nih"].normals_per_pneumonia is None
    assert config.data.split.salt == "other"


def test_overrides_go_before_the_file_and_later_ones_before_earlier(yaml_file: Path) -> None:
    yaml_file.write_text(f"{MINIMAL}trainer: {{epochs: 3, patience: 2}}\n")
    trainer = load_config(str(yaml_file), ["trainer.epochs=4", "trainer.epochs=5"]).trainer
    assert (trainer.epochs, trainer.patience) == (5, 2)

    trainer = load_config(str(yaml_file), ["trainer={epochs: 6}", "trainer.seed=9"]).trainer
    assert (trainer.epochs, trainer.seed) == (6, 9)
    assert trainer.patience != 2  # the whole mapping was replaced


def test_an_override_fills_what_a_file_leaves_empty(yaml_file: Path) -> None:
    yaml_file.write_text(f"{MINIMAL}trainer:\n")
    assert load_config(str(yaml_file), ["trainer.epochs=4"]).trainer.epochs == 4


@pytest.mark.parametrize(
    ("override", "text"),
    [
        (
            "trainer.epochs",
            "--set trainer.epochs: write it as key=value, such as trainer.epochs=5",
        ),
        ("=5", "--set =5: write it as key=value, such as trainer.epochs=5"),
        (
            "trainer.epoch=5",
            "--set trainer.epoch=5: trainer.epoch: unknown key; did you mean trainer.epochs?",
        ),
        (
            "trainer.head={unit: 5}",
            "--set trainer.head={unit: 5}: trainer.head.unit: unknown key; did you mean "
            "trainer.head.units?",
        ),
        (
            "description.long=5",
            "--set description.long=5: description holds no settings",
        ),
        (
            "trainer.head.dropout=much",
            "--set trainer.head.dropout=much: trainer.head.dropout: input should be a valid "
            "number, unable to parse string as a number, not 'much'",
        ),
        (
            "trainer.imbalance=smote",
            "--set trainer.imbalance=smote: trainer.imbalance: input should be 'class_weight', "
            "'focal', 'oversample', 'downsample' or 'none', not 'smote'",
        ),
    ],
)
def test_a_wrong_override_is_named_with_its_key(override: str, text: str) -> None:
    assert message("demo", override) == text


def test_an_override_that_is_not_yaml() -> None:
    assert message("demo", "trainer.epochs=[1").startswith("--set trainer.epochs=[1: is not YAML")


def test_the_file_is_named_where_the_override_is_not_to_blame(yaml_file: Path) -> None:
    yaml_file.write_text(f"{MINIMAL}trainer: {{epochs: many}}\n")
    assert message(yaml_file, "trainer.patience=3").startswith(f"{yaml_file}: trainer.epochs: ")


def test_loading_leaves_the_bundled_file_as_it_is() -> None:
    assert load_config("demo", ["trainer.epochs=7"]).trainer.epochs == 7
    assert load_config("demo").trainer.epochs != 7


def test_every_dataset_is_asked_for_something(yaml_file: Path) -> None:
    yaml_file.write_text("data: {datasets: {pediatric: {}}}\n")
    assert "evaluator.min_auc says nothing of pediatric" in message(yaml_file)


def test_a_slice_by_a_feature_that_there_is_not() -> None:
    text = message("demo", "evaluator.slices=[sex, 'sx*etiology']")
    assert "evaluator.slices.1: 'sx' is none of dataset, source_split" in text


# --- All findings as labels ------------------------------------------------------------------


def test_the_multi_label_experiment_labels_all_findings() -> None:
    config = load_config("nih_multilabel")
    assert config.data.labels == "findings"
    assert config.data.datasets["nih"].normals_per_pneumonia is None
    assert config.grad_cam.finding == "Pneumonia"


@pytest.mark.parametrize(
    ("experiment", "override", "text"),
    [
        (
            "both",
            "data.labels=findings",
            "--set data.labels=findings: data: data.labels=findings asks for 14 findings, and the "
            "pediatric dataset tells No Finding and Pneumonia alone: leave it out, or set "
            "data.labels=pneumonia",
        ),
        (
            "nih_multilabel",
            "data.datasets.nih.normals_per_pneumonia=1",
            "--set data.datasets.nih.normals_per_pneumonia=1: data: "
            "datasets.nih.normals_per_pneumonia balances two classes",
        ),
        (
            "nih_multilabel",
            "grad_cam.finding=Pneumonja",
            "--set grad_cam.finding=Pneumonja: grad_cam.finding: 'Pneumonja' is no finding; did "
            "you mean Pneumonia? There are Atelectasis, ",
        ),
    ],
)
def test_what_a_multi_label_experiment_cannot_be(experiment: str, override: str, text: str) -> None:
    assert message(experiment, override).startswith(text)


@pytest.mark.parametrize(
    "override",
    [
        "evaluator.min_sensitivity={nih: 0.8}",
        "evaluator.prevalence={nih: 0.1}",
        "trainer.calibration.prevalence=0.1",
    ],
)
def test_one_number_is_not_asked_of_many_findings(override: str) -> None:
    setting = override.partition("=")[0]
    assert f"{setting}: says one number" in message("nih_multilabel", override)
    assert load_config("nih", [override])


def test_a_lift_of_explanations_is_asked_for_only_where_they_are_measured() -> None:
    asked = "evaluator.min_explanation_lift={nih: 0.1}"
    assert load_config("nih", [asked]).evaluator.min_explanation_lift == {"nih": 0.1}
    with pytest.raises(ConfigError, match=r"without explanation_probe\.enabled"):
        load_config("nih", [asked, "explanation_probe.enabled=false"])
