"""Is an image a frontal chest film? What its bytes and its metadata say, against limits."""

from __future__ import annotations

from collections.abc import Iterator

from components.example_gen.record import ImageFacts, XrayFile
from components.example_gen.settings import Quality

_LATERAL = ("LATERAL", "LL", "RL", "LLD", "RLD", "LLO", "RLO")


def faults(file: XrayFile, facts: ImageFacts, limits: Quality) -> Iterator[str]:
    """Why an image should not be learnt from, the plainest reason first; nothing for a sound one.

    What a dataset does not tell is not held against an image.

    Args:
      file: what the dataset says of it.
      facts: what its bytes tell.
      limits: what is asked of it.
    """
    if min(facts.height, facts.width) < limits.min_side:
        yield "image is tiny"
    if facts.std < limits.min_contrast:
        yield "image is blank"
    if facts.colour > limits.max_colour:
        yield "colour photograph, not a film"
    if file.modality and file.modality not in limits.modalities:
        yield "modality is not that of a plain film"
    if file.body_part and not any(word in file.body_part for word in limits.body_parts):
        yield "another part of the body"
    if file.view_position and file.view_position not in limits.views:
        lateral = file.view_position in _LATERAL
        yield "lateral view" if lateral else "view is not frontal"
    if facts.polarity < limits.min_polarity:
        yield "negative of a film, or no chest"
