"""The digest that tells TFX's cache of an edit."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from components import source_digest as module
from components.source_digest import source_digest

COMPONENTS = Path(module.__file__).parent
NODES = ("example_gen", "transform")
WITH_PAGES = ("data_gate", "grad_cam")


@pytest.fixture
def components(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the nodes, free to be edited."""
    copy = tmp_path / "components"
    for node in (*NODES, *WITH_PAGES):
        shutil.copytree(COMPONENTS / node, copy / node)
    for file in COMPONENTS.glob("page.*"):
        shutil.copy(file, copy)
    monkeypatch.setattr(module, "_COMPONENTS", copy)
    return copy


def test_it_is_that_of_the_sources_wherever_they_lie(
    components: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_copy = source_digest(*NODES)
    assert in_copy == source_digest(*NODES)
    assert len(in_copy) == 16
    assert int(in_copy, 16)
    monkeypatch.setattr(module, "_COMPONENTS", COMPONENTS)
    assert source_digest(*NODES) == in_copy


def edit(folder: Path) -> None:
    with (folder / "preprocessing.py").open("a") as file:
        file.write("\n")


def rename(folder: Path) -> None:
    (folder / "preprocessing.py").rename(folder / "renamed.py")


@pytest.mark.parametrize(
    "change",
    [
        edit,
        rename,
        lambda folder: (folder / "settings.py").unlink(),
        lambda folder: (folder / "new.py").write_text("VALUE = 1\n"),
        lambda folder: (folder / "page.html.jinja").write_text("<p>"),
        lambda folder: (folder / "schema.pbtxt").write_text(""),
    ],
    ids=["edited", "renamed", "removed", "added", "template", "schema"],
)
def test_it_tells_a_change_of_the_node_and_of_no_other(
    components: Path, change: Callable[[Path], None]
) -> None:
    one, both, other = source_digest("transform"), source_digest(*NODES), source_digest(NODES[0])
    change(components / "transform")
    assert source_digest("transform") != one
    assert source_digest(*NODES) != both
    assert source_digest(NODES[0]) == other


@pytest.mark.parametrize("file", ["page.py", "page.html.jinja"])
def test_what_pages_share_counts_for_the_nodes_that_write_one(components: Path, file: str) -> None:
    before = {node: source_digest(node) for node in (*WITH_PAGES, "transform")}
    with (components / file).open("a") as shared:
        shared.write("\n")
    after = {node: source_digest(node) for node in before}
    assert {node for node in before if before[node] != after[node]} == set(WITH_PAGES)


def test_what_is_no_source_does_not_count(components: Path) -> None:
    before = source_digest("transform")
    shutil.rmtree(components / "transform/__pycache__", ignore_errors=True)
    (components / "transform/notes.txt").write_text("notes")
    (components / "transform/preprocessing.pyc").write_bytes(b"\0")
    assert source_digest("transform") == before


def test_the_order_of_the_nodes_does_not_matter() -> None:
    assert source_digest(*NODES) == source_digest(*reversed(NODES))


def test_a_module_elsewhere_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere.py").write_text("a = 1")
    monkeypatch.syspath_prepend(tmp_path)
    before = source_digest("transform", modules=["elsewhere"])
    assert before != source_digest("transform")
    (tmp_path / "elsewhere.py").write_text("a = 2")
    assert source_digest("transform", modules=["elsewhere"]) != before


@pytest.mark.parametrize("file", ["__init__.py", "server.py", "within/deep.py", "new.py"])
def test_all_modules_of_a_package_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    package = tmp_path / f"packaged_{Path(file).stem}"
    (package / "within").mkdir(parents=True)
    for name in ("__init__.py", "server.py", "within/__init__.py", "within/deep.py", "icon.svg"):
        (package / name).touch()
    monkeypatch.syspath_prepend(tmp_path)
    before = source_digest("transform", modules=[package.name])
    (package / "icon.svg").write_text("drawn")
    assert source_digest("transform", modules=[package.name]) == before
    with (package / file).open("a") as source:
        source.write("a = 1")
    assert source_digest("transform", modules=[package.name]) != before


def test_no_such_module() -> None:
    with pytest.raises(ValueError, match="no module 'elsewhere_too'"):
        source_digest("transform", modules=["elsewhere_too"])


def test_no_such_node() -> None:
    with pytest.raises(ValueError, match="no node 'transfrom'"):
        source_digest("transfrom")
