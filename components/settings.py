"""What every node's settings share.

Each node keeps its typed settings in its own `settings.py`; the pipeline's configuration is made
of them, and hands them to the node as plain values. These modules import neither TFX nor
TensorFlow, so that a configuration is checked in an instant.
"""

from __future__ import annotations

import pydantic


class Settings(pydantic.BaseModel):
    """Immutable, and strict about names: a misspelt key is an error, not a default."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)
