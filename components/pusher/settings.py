"""Settings of the push."""

from __future__ import annotations

import pydantic

from components.settings import Settings
from serving.versions import DEFAULT_KEEP


class PusherSettings(Settings):
    """What becomes of a model that passed its gates and the infra canary.

    Attributes:
      promote: whether it is `stable` at once, which every server then turns to. If not, it becomes
        the `canary`, beside the stable one, until `cxr models promote` says so. The first version
        is stable in any case.
      keep: how many versions stay. What has a label, and the one that a rollback would go to, stay
        beyond that.
      served_from: the model's folder as the servers see it, an absolute path or URI, where they
        see it elsewhere than it is pushed, such as `/models/cxr`.
    """

    promote: bool = True
    keep: int = pydantic.Field(default=DEFAULT_KEEP, ge=1)
    served_from: str = pydantic.Field(default="", pattern=r"^($|/|[a-z][a-z0-9]*://)")
