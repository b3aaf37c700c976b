"""The node on real records, as TFX runs it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import artifact_utils, channel_utils, standard_artifacts

from components.embedding.component import Embedder
from components.embedding.executor import Executor
from components.embedding.settings import EmbeddingSettings
from components.trainer.artifacts import Activations
from tests.components.trainer.samples import SIDE, make_example, write_records

SIZES = {"train": 70, "val": 24}
IN_MEMORY = (
    "--direct_running_mode=in_memory",
    "--direct_num_workers=1",
    "--sdk_container_image=cxr",
)


def write_examples(folder: Path) -> Path:
    """Two splits of two files each; the last film is there three times, in both files."""
    for place, (split, size) in enumerate(SIZES.items()):
        films = [make_example(1000 * place + n, n % 2) for n in range(size)]
        write_records(folder / f"Split-{split}", [*films, films[-1], films[-1]])
    return folder


def config(**settings: Any) -> dict[str, Any]:
    """The Trainer's, with a random network."""
    return {
        "settings": {"weights": "none"} | settings,
        "labels": "pneumonia",
        "image_size": SIDE,
        "preprocessing": "as tested",
    }


def embed(
    out: Path,
    examples: Path,
    transform_graph: Path,
    given: dict[str, Any],
    *,
    splits: Sequence[str] = tuple(SIZES),
    beam: Sequence[str] = IN_MEMORY,
    threads: int = 1,
) -> Path:
    """Run the node; its artifact's folder."""
    artifacts = {
        "examples": standard_artifacts.Examples(),
        "transform_graph": standard_artifacts.TransformGraph(),
    }
    artifacts["examples"].split_names = artifact_utils.encode_split_names(list(splits))
    artifacts["examples"].uri, artifacts["transform_graph"].uri = (
        str(examples),
        str(transform_graph),
    )
    node = Embedder(
        **{name: channel_utils.as_channel([one]) for name, one in artifacts.items()},
        splits=splits,
        trainer=given,
        settings=EmbeddingSettings(enabled=True, threads=threads),
    )
    made = Activations()
    made.uri = str(out)
    out.mkdir(parents=True)
    context = BaseBeamExecutor.Context(
        beam_pipeline_args=[*beam], tmp_dir=str(out.parent / "tmp"), unique_id="1"
    )
    Executor(context).Do(
        {name: [one] for name, one in artifacts.items()},
        {"activations": [made]},
        dict(node.exec_properties),
    )
    return out
