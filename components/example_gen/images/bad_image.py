"""What every decoder raises for a file that holds no usable image."""

from __future__ import annotations


class BadImageError(ValueError):
    """A file that holds no usable image; the message is the reason, in a few words."""
