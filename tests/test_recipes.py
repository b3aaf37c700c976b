"""The recipes of docs/extend.md do what they say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from components.trainer import backbones

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/extend.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
DATASETS = "components/example_gen/datasets"
CONTRACT = "tests/components/example_gen/datasets/test_dataset_contract.py"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for folder in ("components", "pipeline", "serving", "tests"):
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=skip)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def block(start: str) -> str:
    """The page's piece of code that begins so."""
    (found,) = (one for one in BLOCKS if one.startswith(start))
    return found


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1, old
    file.write_text(text.replace(old, new))


def run_contract(tree: Path, name: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n0", "-p", "no:cacheprovider", "-k", name, CONTRACT],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_dataset_takes_less_than_a_hundred_lines_and_keeps_the_contract(tree: Path) -> None:
    module = block('"""CheXpert')
    assert len(module.splitlines()) < 100
    (tree / DATASETS / "chexpert.py").write_text(module)
    imports, registered = block(f"from {DATASETS.replace('/', '.')} import").strip().split("\n\n")
    registry = tree / DATASETS / "registry.py"
    change(registry, imports.replace("chexpert, ", ""), imports)
    change(registry, registered.replace(", chexpert)", ")"), registered)
    contract = tree / CONTRACT
    samples = "samples import write_nih, write_pediatric"
    change(contract, samples, samples.replace("write_nih", "encode, film, write, write_nih"))
    change(contract, "# Each writes", f"{block('def write_chexpert')}\n\n# Each writes")
    change(contract, '"dicom": write_dicom,', '"dicom": write_dicom, "chexpert": write_chexpert,')

    assert re.search(r"\d\d passed", run_contract(tree, "chexpert"))


def test_the_backbone_can_be_built_and_cut_at_each_of_its_blocks() -> None:
    exec(block("_MOBILENET_V2"), vars(backbones))
    try:
        entry = backbones.BACKBONES["MobileNetV2"]
        whole = backbones.build_backbone("MobileNetV2", image_size=64, weights="none", seed=1)
        images = np.random.default_rng(0).random((2, 64, 64, 3), np.float32)
        maps = whole(images, training=False).numpy()
        for count in range(1, len(entry.blocks) + 1):
            cut = backbones.cut_backbone(whole, "MobileNetV2", f"last_{count}_blocks")
            assert cut.prefix is not None
            assert cut.suffix is not None
            again = cut.suffix(cut.prefix(images, training=False), training=False)
            np.testing.assert_allclose(again, maps, rtol=1e-4, atol=1e-5)
    finally:
        del backbones.BACKBONES["MobileNetV2"]
