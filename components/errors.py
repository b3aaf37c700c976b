"""What a user can mend, apart from what is a bug."""

from __future__ import annotations


class InputError(ValueError):
    """Data or settings that cannot be used.

    The message is meant for the user, who sees no traceback with it: it names the file, row or
    setting, and the remedy.
    """
