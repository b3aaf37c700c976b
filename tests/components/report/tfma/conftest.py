"""One page of two evaluations, for all tests of it."""

import pytest

from components.report.tfma.dashboard import render_dashboard
from tests.components.report.tfma import evaluations


@pytest.fixture(scope="package")
def binary(tmp_path_factory: pytest.TempPathFactory) -> str:
    return evaluations.binary(tmp_path_factory.mktemp("binary"))


@pytest.fixture(scope="package")
def multi_label(tmp_path_factory: pytest.TempPathFactory) -> str:
    return evaluations.multi_label(tmp_path_factory.mktemp("multi_label"))


@pytest.fixture(scope="package")
def dashboard(binary: str, multi_label: str) -> str:
    return render_dashboard({"Test <b>images</b>": binary, "Findings": multi_label})
