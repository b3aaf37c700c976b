"""Small datasets on disk."""

from pathlib import Path

import pytest

from tests.components.example_gen import samples


@pytest.fixture
def pediatric_root(tmp_path: Path) -> Path:
    """The folder of a pediatric set of six images."""
    return samples.write_pediatric(tmp_path, 6)


@pytest.fixture
def nih_root(tmp_path: Path) -> Path:
    """The folder of an NIH set of six images."""
    return samples.write_nih(tmp_path, 6)
