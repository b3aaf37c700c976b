"""Names in the place of those that tell who a patient is.

A pseudonym is a keyed digest (BLAKE2b). That is pseudonymisation and no anonymisation: the key is
in this file, so that whoever holds a list of patients' numbers can compute their pseudonyms. It
is no secret because it cannot be one: the same patient must come out the same in every later run,
on every machine, or the division into training and test would change; a secret key would have to
be kept for as long, and given to all. What it does is that these pseudonyms match those of no
other system.
"""

from __future__ import annotations

import hashlib

_KEY = b"cxr patient pseudonym 1"


def pseudonym(*identity: str, digest_size: int = 16) -> str:
    """A hexadecimal name for what was identified by such values, such as a kind and a number."""
    return hashlib.blake2b(
        "\0".join(identity).encode(), key=_KEY, digest_size=digest_size
    ).hexdigest()
