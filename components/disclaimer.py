"""What is said wherever a user could forget it."""

from __future__ import annotations

DISCLAIMER = "Research and education only: not a diagnostic device."
