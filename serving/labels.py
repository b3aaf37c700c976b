"""Which version of a model is `stable`, which is `canary`, and which was stable before.

`stable` is there from the first version on; `canary` during a trial alone. What changes them is
pure: labels in, labels out.
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass

from serving.model_config import CANARY, STABLE
from serving.prediction import PredictionError


class VersionError(PredictionError):
    """A version that cannot be published, promoted or rolled back to; says why."""


@dataclass(frozen=True)
class Stable:
    """A version that was made stable.

    Attributes:
      version: its number.
      since: when, in ISO 8601 and UTC.
    """

    version: int
    since: str


@dataclass(frozen=True)
class Labels:
    """The labels of one model, and how `stable` came to be.

    Attributes:
      current: the version that each label stands for.
      history: the versions that were stable, the present one last. One that was rolled back is
        taken out.
    """

    current: Mapping[str, int]
    history: Sequence[Stable] = ()

    def previous(self, present: Container[int]) -> int | None:
        """The version that was stable before the present one: where a rollback goes.

        Args:
          present: versions that are there and complete; others are passed over.
        """
        earlier = self._earlier(present)
        return earlier[-1].version if earlier else None

    def pushed(self, version: int, now: str, *, promote: bool) -> Labels:
        """After a push: the first version is stable, a later one stable or canary."""
        return self.promoted(version, STABLE if promote or not self.current else CANARY, now)

    def wants(self, version: int, *, promote: bool) -> bool:
        """Whether a version that is there lacks the label that a push would give it."""
        if self.current.get(STABLE) == version:
            return False
        return promote or self.current.get(CANARY) != version

    def promoted(self, version: int, label: str, now: str) -> Labels:
        """After a promotion. One to stable ends the trial of this version and of older ones.

        Raises:
          VersionError: if the version is to be a canary beside itself.
        """
        if label == CANARY:
            if self.current.get(STABLE) == version:
                raise VersionError(f"version {version} is stable: it cannot be its own canary")
            return Labels({**self.current, CANARY: version}, self.history)
        current = {**self.current, STABLE: version}
        if current.get(CANARY, version + 1) <= version:
            del current[CANARY]
        if self.current.get(STABLE) == version:
            return Labels(current, self.history)
        earlier = tuple(self.history)
        # A change to it that was cut short: a rollback would go from it to itself.
        if earlier and earlier[-1].version == version:
            earlier = earlier[:-1]
        return Labels(current, (*earlier, Stable(version, now)))

    def rolled_back(self, present: Container[int]) -> Labels:
        """After a rollback: what was stable before is stable again.

        Args:
          present: as of `previous`.

        Raises:
          VersionError: if none is left.
        """
        earlier = self._earlier(present)
        if not earlier:
            raise VersionError("no version that was stable before is left to roll back to")
        current = {**self.current, STABLE: earlier[-1].version}
        # A version is no canary beside itself.
        if current.get(CANARY) == current[STABLE]:
            del current[CANARY]
        return Labels(current, tuple(earlier))

    def without_canary(self) -> Labels:
        """After a trial that was given up.

        Raises:
          VersionError: if there was none.
        """
        if CANARY not in self.current:
            raise VersionError("there is no canary: no trial to end")
        return Labels({STABLE: self.current[STABLE]}, self.history)

    def _earlier(self, present: Container[int]) -> list[Stable]:
        # The labels are the truth: a change that was cut short may have left another history.
        earlier = list(self.history)
        versions = [entry.version for entry in earlier]
        if (stable := self.current.get(STABLE)) in versions:
            del earlier[len(versions) - 1 - versions[::-1].index(stable) :]
        while earlier and earlier[-1].version not in present:
            earlier.pop()
        return earlier


def read_history(text: str, where: str) -> tuple[Stable, ...]:
    """The history as `write_history` writes it.

    Raises:
      VersionError: if it is none.
    """
    try:
        return tuple(Stable(int(one["version"]), str(one["since"])) for one in json.loads(text))
    except (ValueError, TypeError, KeyError) as error:
        raise VersionError(
            f"{where}: not a list of versions: {error}. Without this file there is only nothing "
            "to roll back to"
        ) from error


def write_history(history: Sequence[Stable]) -> str:
    """The history as JSON."""
    return json.dumps([asdict(entry) for entry in history], indent=2) + "\n"
