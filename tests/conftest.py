"""Fixtures that more than one folder of tests uses."""

from pathlib import Path

import hypothesis
import pytest

# How long an example takes says more of what else the machine does than of the code.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

# Runs of the whole pipeline that several modules look at, and are made once.
_SHARED_RUN = "first_run"


# Before xdist's own, which reads the marks.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Share the tests out between processes, see `make test`.

    What shares fixtures stays in one process: a module's tests, and all that look at the same
    run. The longest come first, so that no process waits for another's at the end.
    """
    for item in items:
        shares_run = _SHARED_RUN in getattr(item, "fixturenames", ())
        item.add_marker(
            pytest.mark.xdist_group(_SHARED_RUN if shares_run else item.nodeid.split("::")[0])
        )
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


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
