"""Whose blessing makes a model the one that the next is compared with."""

from pathlib import Path

from tfx import v1 as tfx
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from pipeline.last_blessed import (
    BLESSING_NODE,
    last_blessed_model,
    last_other_blessed_model,
)


@component
def train(number: Parameter[int], model: OutputArtifact[standard_artifacts.Model]) -> None:
    model.set_int_custom_property("number", number)


@component
def bless(
    blessed: Parameter[int],
    model: InputArtifact[standard_artifacts.Model],
    blessing: OutputArtifact[standard_artifacts.ModelBlessing],
) -> None:
    blessing.set_int_custom_property("blessed", blessed)
    blessing.set_int_custom_property("current_model_id", model.id)


@component
def compare(
    note: Parameter[str],
    model: InputArtifact[standard_artifacts.Model],
    last_model: InputArtifact[standard_artifacts.Model] = None,
) -> None:
    last = None if last_model is None else last_model.get_int_custom_property("number")
    with Path(note).open("a") as file:
        file.write(f"{model.get_int_custom_property('number')} after {last}\n")


def run(
    folder: Path, number: int, *, by_another: bool, by_the_node: bool, other: bool = False
) -> None:
    trainer = train(number=number)
    model = trainer.outputs["model"]
    last_model = last_other_blessed_model(model) if other else last_blessed_model()
    comparison = compare(
        note=str(folder / "note"), model=model, last_model=last_model.outputs["model"]
    )
    another = bless(blessed=int(by_another), model=model).with_id("Another")
    node = bless(blessed=int(by_the_node), model=model).with_id(BLESSING_NODE)
    for blesser in (another, node):
        blesser.add_upstream_node(comparison)
    tfx.orchestration.LocalDagRunner().run(
        tfx.dsl.Pipeline(
            pipeline_name="pipeline",
            pipeline_root=str(folder / "root"),
            components=[trainer, last_model, comparison, another, node],
            enable_cache=True,
            metadata_connection_config=(
                tfx.orchestration.metadata.sqlite_metadata_connection_config(
                    str(folder / "metadata.sqlite")
                )
            ),
        )
    )


def test_it_is_the_one_that_the_blessing_node_last_blessed(tmp_path: Path) -> None:
    run(tmp_path, 1, by_another=True, by_the_node=False)
    run(tmp_path, 2, by_another=False, by_the_node=True)
    run(tmp_path, 3, by_another=True, by_the_node=False)
    run(tmp_path, 4, by_another=True, by_the_node=False)
    assert (tmp_path / "note").read_text().splitlines() == [
        "1 after None",
        "2 after None",
        "3 after 2",
        "4 after 2",
    ]


def test_another_last_model_is_compared_with_again(tmp_path: Path) -> None:
    for _ in range(3):
        run(tmp_path, 1, by_another=False, by_the_node=True)
    # The third run has nothing new to compare, and comes from the cache.
    assert (tmp_path / "note").read_text().splitlines() == ["1 after None", "1 after 1"]


def test_a_model_is_never_compared_with_itself(tmp_path: Path) -> None:
    for number in (1, 1, 2, 2, 3):
        run(tmp_path, number, by_another=False, by_the_node=True, other=True)
    # A run with nothing new has nothing new to compare, and comes from the cache.
    assert (tmp_path / "note").read_text().splitlines() == [
        "1 after None",
        "2 after 1",
        "3 after 2",
    ]
