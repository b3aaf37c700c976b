"""Keeping the terminal for the user, and the libraries' noise in a file."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO


@contextlib.contextmanager
def noise_to(log: Path) -> Iterator[tuple[TextIO, TextIO]]:
    """Send whatever is written to standard output and error to a file meanwhile.

    TensorFlow's C++ side writes to the descriptors themselves, so they are what is redirected.

    Args:
      log: the file; its folder is made.

    Yields:
      The real standard output and error.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    with (
        os.fdopen(os.dup(1), "w", encoding="utf-8") as out,
        os.fdopen(os.dup(2), "w", encoding="utf-8") as err,
        log.open("a", encoding="utf-8") as file,
    ):
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        handler = logging.StreamHandler(file)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname).1s %(name)s: %(message)s"))
        logging.getLogger().addHandler(handler)
        try:
            yield out, err
        finally:
            logging.getLogger().removeHandler(handler)
            sys.stdout.flush()
            sys.stderr.flush()
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
