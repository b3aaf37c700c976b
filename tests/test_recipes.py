"""The recipes of docs/extend.md do what they say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/extend.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
DATASETS = "components/example_gen/datasets"
# A lateral film, and one of uncertain pneumonia: of these the set has thousands.
OUT_OF_SCOPE = """
from pathlib import Path
from components.example_gen.datasets import registry
from tests.components.example_gen.datasets.test_dataset_contract import write_chexpert

root = write_chexpert(Path("films"), 6)
table = root / "train.csv"
lines = table.read_text().splitlines()
lines[1] = lines[1].replace("Frontal,AP", "Lateral,")
lines[3] = lines[3].replace(",,1.0", ",,-1.0")
table.write_text("\\n".join(lines))
print(*(one.fate.name for one in registry.list_files("chexpert", root).left_out))
"""
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


def run(tree: Path, *arguments: str) -> str:
    """What Python prints in the tree; it must end well."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def passed(tree: Path, contract: str, name: str) -> int:
    """How many tests of a contract there are of the name, all of which must pass."""
    said = run(tree, "-m", "pytest", "-n0", "-p", "no:cacheprovider", "-k", name, contract)
    (number,) = re.findall(r"(\d+) passed", said)
    return int(number)


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

    assert passed(tree, CONTRACT, "chexpert") > 10

    assert run(tree, "-c", OUT_OF_SCOPE).split() == ["OUT_OF_SCOPE", "OUT_OF_SCOPE"]

    (experiment,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (tree / "pipeline/configs/chexpert.yaml").write_text(experiment)
    script = "from pipeline.config import load_config; print(load_config('chexpert').data.datasets)"
    assert "chexpert" in run(tree, "-c", script)


def test_the_backbone_keeps_the_contract(tree: Path) -> None:
    with (tree / "components/trainer/backbones.py").open("a") as file:
        file.write(f"\n\n{block('_MOBILENET_V2')}")
    last = '    "ConvNeXtTiny",\n]'
    settings = tree / "components/trainer/settings.py"
    change(settings, last, last.replace("]", '    "MobileNetV2",\n]'))
    contract, after = "tests/components/trainer/test_backbones.py", '        "MobileNetV3": '
    change(tree / contract, after, block("        ") + after)

    assert passed(tree, contract, "MobileNetV2") > 5
