"""Rows from Beam are the Trainer's own; what is not whole, or of something else, is not used."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from components.embedding import executor
from components.embedding.embed import _Embed
from components.embedding.worker import Work, this_process
from components.errors import InputError
from components.example_gen import record
from components.trainer.backbones import BACKBONES
from components.trainer.embedded import Manifest, Shard
from components.trainer.frozen_part import FrozenPart
from components.trainer.imbalance import balance
from components.trainer.network import build_network
from components.trainer.preparation import Prepared, open_preparation
from components.trainer.settings import Head, TrainerSettings
from components.trainer.training import Workplace, train_head
from tests.components.embedding.runs import SIZES, config, embed, write_examples
from tests.components.trainer.conftest import SMALL
from tests.components.trainer.networks import same
from tests.components.trainer.samples import SIDE, make_example, write_records

small = pytest.mark.usefixtures("small_registry")


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_examples(tmp_path_factory.mktemp("examples"))


@pytest.fixture(scope="module")
def embedded(
    tmp_path_factory: pytest.TempPathFactory, examples: Path, transform_graph: Path
) -> tuple[Path, int]:
    """What the node makes of them, and how many images it ran through the network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BACKBONES, "DenseNet121", SMALL)
        passes = count_passes(patch)
        made = embed(
            tmp_path_factory.mktemp("embedded") / "made", examples, transform_graph, config()
        )
        return made, sum(passes)


@pytest.fixture
def made(tmp_path: Path, embedded: tuple[Path, int]) -> Path:
    """A copy of it, to be harmed."""
    return shutil.copytree(embedded[0], tmp_path / "made")


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images went through the frozen part, by batch."""
    return count_passes(monkeypatch)


def count_passes(patch: pytest.MonkeyPatch) -> list[int]:
    found: list[int] = []
    run: Callable[..., np.ndarray] = FrozenPart.__call__

    def count(self: FrozenPart, encoded: Any, altered: Any = None) -> np.ndarray:
        found.append(len(encoded))
        return run(self, encoded, altered)

    patch.setattr(FrozenPart, "__call__", count)
    return found


def prepare(
    cache: Path,
    examples: Path,
    transform_graph: Path,
    given: dict[str, Any],
    activations: Path | None = None,
) -> Prepared:
    """The training split, as the Trainer prepares it."""
    settings = TrainerSettings.model_validate(given["settings"])
    own = settings.cache.model_copy(update={"folder": str(cache)})
    settings = settings.model_copy(update={"cache": own})
    node = given | ({"activations": str(activations)} if activations else {})
    network = build_network(settings, given["image_size"])
    preparation = open_preparation(network, settings, node, str(transform_graph), cache)
    return preparation.split("train", [str(examples / "Split-train" / "*")], views=True)


def rows_of(split: Prepared, view: int = 0) -> np.ndarray:
    kept = split.activations or split.embeddings
    return kept.rows(np.arange(len(kept)), view)


# --- Rows ------------------------------------------------------------------------------------


def assert_same(read: Prepared, computed: Prepared) -> None:
    """Bit for bit."""
    assert read.index.digest == computed.index.digest
    assert read.index.files == computed.index.files
    assert len(read.index.sha256) == SIZES["train"] + 2
    np.testing.assert_array_equal(rows_of(read), rows_of(computed))


@small
def test_rows_are_those_that_the_trainer_computes(
    tmp_path: Path,
    examples: Path,
    transform_graph: Path,
    embedded: tuple[Path, int],
    passes: list[int],
) -> None:
    made, through_the_network = embedded
    # The film that is there three times goes through the network once.
    assert through_the_network == sum(SIZES.values())

    read = prepare(tmp_path / "empty", examples, transform_graph, config(), made)
    assert passes == []
    assert not list((tmp_path / "empty").rglob("*.npy"))

    computed = prepare(tmp_path / "own", examples, transform_graph, config())
    assert sum(passes) == SIZES["train"]
    assert_same(read, computed)
    assert same(*(head_of(split, tmp_path) for split in (read, computed)))


def head_of(split: Prepared, folder: Path) -> list[np.ndarray]:
    """What a head learns of it."""
    settings = TrainerSettings(epochs=3, head=Head(units=8))
    imbalance = balance(split.index.labels, ["pneumonia"], settings)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        workplace = Workplace(Path(scratch), Path(scratch) / "logs")
        head, _ = train_head(split.embeddings, split.embeddings, imbalance, settings, workplace)
    return head.get_weights()


@small
def test_threads_share_the_network_and_the_films_and_write_what_is_fine_tuned_on(
    tmp_path: Path,
    examples: Path,
    transform_graph: Path,
    passes: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("components.embedding.embed._SHARD_ROWS", 32)
    given = config(trainable="last_block", cache={"dtype": "bfloat16"})
    made = embed(
        tmp_path / "made",
        examples,
        transform_graph,
        given,
        beam=(
            "--direct_running_mode=multi_threading",
            "--direct_num_workers=2",
            "--sdk_container_image=cxr",
        ),
    )

    assert sum(passes) == sum(SIZES.values())
    shards = Manifest.model_validate_json((made / "activations.json").read_bytes()).shards
    assert sum(shard.rows for shard in shards) == sum(SIZES.values())
    assert max(shard.rows for shard in shards) <= 32
    passes.clear()
    read = prepare(tmp_path / "empty", examples, transform_graph, given, made)
    assert passes == []
    assert read.activations
    assert_same(read, prepare(tmp_path / "own", examples, transform_graph, given))


def test_a_worker_process_computes_the_same_rows(
    tmp_path: Path, examples: Path, transform_graph: Path, passes: list[int]
) -> None:
    given = config(backbone="MobileNetV3Small")
    made = embed(
        tmp_path / "made",
        examples,
        transform_graph,
        given,
        beam=(
            "--direct_running_mode=multi_processing",
            "--direct_num_workers=1",
            "--sdk_container_image=cxr",
        ),
    )

    read = prepare(tmp_path / "empty", examples, transform_graph, given, made)
    assert passes == []
    computed = rows_of(prepare(tmp_path / "own", examples, transform_graph, given))
    # Another number of threads may sum in another order.
    np.testing.assert_allclose(rows_of(read), computed, atol=1e-5 * np.abs(computed).max())


@small
def test_only_altered_views_are_left_to_the_trainer(
    tmp_path: Path, examples: Path, transform_graph: Path, made: Path, passes: list[int]
) -> None:
    given = config(augmentation={"views": 2})

    read = prepare(tmp_path / "empty", examples, transform_graph, given, made)

    assert sum(passes) == 2 * SIZES["train"]
    computed = prepare(tmp_path / "own", examples, transform_graph, given)
    for view in range(3):
        np.testing.assert_array_equal(rows_of(read, view), rows_of(computed, view))


@small
def test_a_bundle_that_failed_is_run_again_whole(
    tmp_path: Path, examples: Path, transform_graph: Path
) -> None:
    settings = TrainerSettings(weights="none")
    work = Work(settings, SIDE, "as tested", str(transform_graph), 2, 1, this_process())
    films = [make_example(number, 0).SerializeToString() for number in range(40)]
    run = _Embed(work, str(tmp_path))
    run.setup()
    run.start_bundle()
    for film in films:  # and the worker is told no more
        assert not list(run.process(("one", film)))

    run.start_bundle()
    assert not [line for film in films for line in run.process(("one", film))]
    assert not [line for film in films for line in run.process(("another", film))]
    (line,) = run.finish_bundle()

    assert Shard.model_validate_json(line.value).rows == 40


# --- The artifact ----------------------------------------------------------------------------


@small
def test_it_holds_no_images_and_nothing_that_is_not_listed(made: Path) -> None:
    stripped = [str(path) for path in (made / "Split-val").iterdir()]
    examples = [
        tf.train.Example.FromString(one).features.feature
        for one in tf.data.TFRecordDataset(stripped, "GZIP").as_numpy_iterator()
    ]

    assert len(examples) == SIZES["val"] + 2
    assert all(record.IMAGE not in one and record.PATIENT_ID in one for one in examples)
    manifest = Manifest.model_validate_json((made / "activations.json").read_bytes())
    assert {path.stem for path in (made / "activations").rglob("*.*")} == {
        shard.name for shard in manifest.shards
    }
    assert {path.name for path in made.iterdir()} == {
        "activations", "activations.json", "Split-train", "Split-val",
    }  # fmt: skip


def cut_a_shard(made: Path) -> None:
    data = max((made / "activations").rglob("*.npy"))
    data.write_bytes(data.read_bytes()[:-8])


def lose_a_shard(made: Path) -> None:
    max((made / "activations").rglob("*.json")).unlink()


def lose_the_manifest(made: Path) -> None:
    (made / "activations.json").unlink()


def cut_the_manifest(made: Path) -> None:
    text = (made / "activations.json").read_text("utf-8")
    (made / "activations.json").write_text(text[: len(text) // 2], "utf-8")


@small
@pytest.mark.parametrize("harm", [cut_a_shard, lose_a_shard, lose_the_manifest, cut_the_manifest])
def test_what_is_not_whole_is_computed_anew(
    tmp_path: Path,
    examples: Path,
    transform_graph: Path,
    made: Path,
    passes: list[int],
    caplog: pytest.LogCaptureFixture,
    harm: Callable[[Path], None],
) -> None:
    harm(made)

    read = prepare(tmp_path / "empty", examples, transform_graph, config(), made)

    assert sum(passes) > 0
    assert "damaged" in caplog.text or "no finished activations" in caplog.text
    computed = prepare(tmp_path / "own", examples, transform_graph, config())
    np.testing.assert_array_equal(rows_of(read), rows_of(computed))


@small
def test_rows_of_another_network_are_not_used(
    tmp_path: Path,
    examples: Path,
    transform_graph: Path,
    made: Path,
    passes: list[int],
    caplog: pytest.LogCaptureFixture,
) -> None:
    other = config(seed=2)

    read = prepare(tmp_path / "empty", examples, transform_graph, other, made)

    assert sum(passes) == SIZES["train"]
    assert "of another network" in caplog.text
    computed = prepare(tmp_path / "own", examples, transform_graph, other)
    np.testing.assert_array_equal(rows_of(read), rows_of(computed))


@small
def test_labels_are_those_of_the_examples_that_the_trainer_has(
    tmp_path: Path, examples: Path, transform_graph: Path, made: Path, passes: list[int]
) -> None:
    films = [make_example(number, number % 2) for number in range(SIZES["train"])]
    for film in films:
        (label,) = film.features.feature[record.LABEL].int64_list.value
        film.features.feature[record.LABEL].int64_list.value[:] = [1 - label]
    write_records(tmp_path / "other" / "Split-train", films)

    read = prepare(tmp_path / "empty", tmp_path / "other", transform_graph, config(), made)

    assert passes == []
    assert len(read.index.sha256) == SIZES["train"]
    alone = prepare(tmp_path / "own", tmp_path / "other", transform_graph, config())
    assert read.index.digest == alone.index.digest


@small
def test_examples_that_were_lost_on_the_way_are_not_missed(
    tmp_path: Path, examples: Path, transform_graph: Path, made: Path
) -> None:
    for file in (made / "Split-train").iterdir():
        file.unlink()

    read = prepare(tmp_path / "empty", examples, transform_graph, config(), made)

    assert len(read.index.sha256) == SIZES["train"] + 2


# --- What it refuses -------------------------------------------------------------------------


def test_a_split_without_images_is_refused(
    tmp_path: Path, examples: Path, transform_graph: Path
) -> None:
    with pytest.raises(InputError, match=r"'test' has no gzip TFRecords in .*Split-test"):
        embed(tmp_path / "made", examples, transform_graph, config(), splits=("train", "test"))


def test_workers_that_do_not_agree_are_refused(tmp_path: Path) -> None:
    shards = [Shard(part=part, name=part, rows=1, sizes={}) for part in ("one", "another")]
    (tmp_path / "shards-1.jsonl").write_text(
        "\n".join(json.dumps(shard.model_dump()) for shard in shards)
    )

    with pytest.raises(InputError, match="the same image"):
        executor._read_shards(str(tmp_path))
