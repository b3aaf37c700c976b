"""What a user can mend, apart from what is a bug."""

from __future__ import annotations


class InputError(ValueError):
    """Data or settings that cannot be used.

    The message is meant for the user, who sees no traceback with it: it names the file, row or
    setting, and the remedy.
    """


def find_mistake(error: BaseException) -> InputError | None:
    """The user's mistake behind an error, if there is one: Beam and TFX wrap what they catch."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, InputError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return None
