"""Fixtures that more than one folder of tests uses."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of versions that holds a small real SavedModel as version 1."""
    from tests.serving.tiny_model import export_tiny_model

    base = tmp_path_factory.mktemp("tiny") / "cxr"
    export_tiny_model(base / "1")
    return base


@pytest.fixture(scope="session")
def tiny_multi_label_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of a model with several findings."""
    from tests.serving.tiny_model import export_tiny_multi_label_model

    base = tmp_path_factory.mktemp("multi_label") / "cxr"
    export_tiny_multi_label_model(base / "1")
    return base
