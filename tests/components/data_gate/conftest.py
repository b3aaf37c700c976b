"""The account of an ingest of both datasets."""

from __future__ import annotations

from typing import Any

import pytest

from tests.components.data_gate.samples import account


@pytest.fixture
def ingest() -> dict[str, Any]:
    own = {"pediatric": (300, 700), "nih": (40, 40)}
    return account({"train": own, "val": own, "test": own})
