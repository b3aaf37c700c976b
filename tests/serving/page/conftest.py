"""The page over the tiny models, whose answers are known."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.serving.page.page_server import Answer, PageServer


@pytest.fixture(scope="session")
def tiny(tiny_model_dir: Path) -> tuple[Answer, Mapping[str, Any]]:
    return _answer(tiny_model_dir / "1"), _contract(tiny_model_dir / "1")


@pytest.fixture(scope="session")
def tiny_multi_label(tiny_multi_label_dir: Path) -> tuple[Answer, Mapping[str, Any]]:
    return _answer(tiny_multi_label_dir / "1"), _contract(tiny_multi_label_dir / "1")


@pytest.fixture
def server(tiny: tuple[Answer, Mapping[str, Any]]) -> Iterator[PageServer]:
    with PageServer(*tiny) as running:
        yield running


@pytest.fixture
def multi_label_server(
    tiny_multi_label: tuple[Answer, Mapping[str, Any]],
) -> Iterator[PageServer]:
    with PageServer(*tiny_multi_label) as running:
        yield running


def _contract(version_dir: Path) -> Mapping[str, Any]:
    return json.loads((version_dir / "assets.extra" / "model_contract.json").read_text())


def _answer(version_dir: Path) -> Callable[[str, bytes], Mapping[str, Any]]:
    import tensorflow as tf

    model = tf.saved_model.load(str(version_dir))

    def answer(signature: str, image: bytes) -> Mapping[str, Any]:
        outputs = model.signatures[signature](image_bytes=tf.constant([image]))
        return {
            name: _json_value(output[0].numpy())
            for name, output in outputs.items()
            if not name.endswith("_bytes")  # the page draws for itself
        }

    return answer


def _json_value(value: Any) -> Any:
    listed = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(listed, list):
        return [_json_value(one) for one in listed]
    return listed.decode() if isinstance(listed, bytes) else listed
