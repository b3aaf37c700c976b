"""Plain data between nodes."""

from __future__ import annotations

import pydantic


class Plain(pydantic.BaseModel):
    """Frozen, written as JSON by one node, and read by another as what it was."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")
