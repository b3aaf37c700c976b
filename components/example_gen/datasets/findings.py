"""What a table says of an image in words: normal, pneumonia, or other findings.

What may deny or doubt is not read as a label: it is a bad row, and counted.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

from components.example_gen.datasets.listing import Fate, LeftOut
from components.example_gen.record import (
    FINDINGS,
    NO_FINDING,
    NORMAL,
    PATHOLOGIES,
    PNEUMONIA,
    Labels,
)

_UNREADABLE = "findings that cannot be read"


class Findings(NamedTuple):
    """What a row says of an image.

    Attributes:
      label: 0 normal, 1 pneumonia, none for other findings.
      names: out of `record.FINDINGS`.
      unknown: the names that are not among them.
      contradictory: whether `No Finding` stands beside a finding.
      unreadable: whether it speaks of what is asked for in words that may deny or doubt it.
    """

    label: int | None
    names: tuple[str, ...]
    unknown: tuple[str, ...]
    contradictory: bool
    unreadable: bool = False


def parse_findings(text: str, about: Collection[str] = ("Pneumonia",)) -> Findings:
    """What a row's findings say, such as `Infiltration|Pneumonia`, `normal` or `1`.

    A finding is one by its plain name, pneumonia also by that of a known kind. Whatever else
    speaks of it may deny or doubt it, in more ways than can be listed: that is not read at all.

    Args:
      text: of the row.
      about: the findings that are asked for, and whose doubt makes the row unreadable.
    """
    names: list[str] = []
    unknown: list[str] = []
    unreadable = False
    for listed in text.split("|"):
        parts = [part.strip() for part in re.split("[;,]", listed) if part.strip()]
        known = [_name_of(part) for part in parts]
        names += [name for name in known if name is not None]
        unknown += [part for part in parts if _exact_name(part) is None]
        unreadable |= any(
            name is None and _speaks_of(part, about)
            for part, name in zip(parts, known, strict=True)
        )
        # Commas also divide sentences, as in "no effusion, consolidation, pneumonia"; bars do not.
        if any(name in about for name in known):
            strange = (part for part, name in zip(parts, known, strict=True) if name is None)
            unreadable |= any(map(_DOUBT.search, strange))
    if any(name in about for name in names):
        unreadable |= any(map(_DOUBT.fullmatch, unknown))
    names = list(dict.fromkeys(names))
    contradictory = NO_FINDING in names and len(names) > 1
    label = None
    if unreadable:
        names = [name for name in names if name not in about]
    elif "Pneumonia" in names:
        label = PNEUMONIA
    elif names == [NO_FINDING] and not unknown:
        label = NORMAL
    return Findings(label, tuple(names), tuple(unknown), contradictory, unreadable)


def usable_findings(text: str, source: str, labels: Labels = "pneumonia") -> Findings | LeftOut:
    """What a row's findings say, or why its image is left out.

    Args:
      text: of the row.
      source: the image, for the account.
      labels: what Examples are labelled with. With `findings`, every known finding is in scope,
        and an image without pneumonia has the label 0.
    """
    multi_label = labels == "findings"
    if multi_label and any(part.strip() in _NUMBERED for part in re.split("[|;,]", text)):
        return LeftOut(source, "label that tells of pneumonia alone", Fate.OUT_OF_SCOPE)
    findings = parse_findings(text, PATHOLOGIES) if multi_label else parse_findings(text)
    if findings.contradictory:
        return LeftOut(source, "both No Finding and a finding", Fate.BAD_ROW)
    if findings.unreadable:
        return LeftOut(source, _UNREADABLE, Fate.BAD_ROW)
    if multi_label and findings.label is None:
        if not any(name in PATHOLOGIES for name in findings.names):
            return LeftOut(source, "finding that is none of the 14", Fate.OUT_OF_SCOPE)
        return findings._replace(label=NORMAL)
    if findings.label is None:
        return LeftOut(source, "other finding, neither normal nor pneumonia", Fate.OUT_OF_SCOPE)
    return findings


def plain(text: str) -> str:
    """The letters and digits of a name, by which it is known however it is written."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _speaks_of(part: str, about: Collection[str]) -> bool:
    words = part.lower().replace("_", " ")
    return any(name.lower().replace("_", " ") in words for name in about)


def _exact_name(part: str) -> str | None:
    """The finding that a part is the name of; marks such as a minus or `?` make it another."""
    words = part.strip(_WRAPPING)
    return _NUMBERED.get(part) or (_CANONICAL.get(plain(words)) if _WORDS(words) else None)


def _name_of(part: str) -> str | None:
    """The finding that a part speaks of: by its name, or as a known kind of pneumonia."""
    words = part.strip(_WRAPPING)
    if (name := _exact_name(part)) is not None or not _WORDS(words):
        return name
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", words)
    kinds = re.split(r"[ _-]+", spaced.lower())
    at_an_end = any(kind.endswith("pneumonia") for kind in (kinds[0], kinds[-1]))
    return "Pneumonia" if at_an_end and _KINDS.issuperset(kinds) else None


# Names as they come in lists that a program wrote.
_WRAPPING = "[]'\"."
_WORDS = re.compile(r"[A-Za-z0-9]+([ _-]+[A-Za-z0-9]+)*").fullmatch
_CANONICAL = {plain(name): name for name in FINDINGS} | {"normal": NO_FINDING}
# As they stand: a `-1` means that nobody knows.
_NUMBERED = {"0": NO_FINDING, "0.0": NO_FINDING, "1": "Pneumonia", "1.0": "Pneumonia"}
_KINDS = frozenset((
    "pneumonia", "bronchopneumonia", "pleuropneumonia", "bacterial", "viral", "fungal",
    "mycoplasma", "pneumococcal", "pneumocystis", "covid", "covid19", "19", "influenza", "lobar",
    "lobular", "aspiration", "interstitial", "atypical", "typical", "community", "hospital",
    "ventilator", "acquired", "associated", "nosocomial", "necrotizing", "round", "focal",
    "multifocal", "acute", "mild", "moderate", "severe", "right", "left", "bilateral", "upper",
    "middle", "lower", "lobe",
))  # fmt: skip
# Words that deny or doubt what comes after a comma, or, alone, what stands beside them.
_DOUBT = re.compile(
    r"(?i)(?<![a-z])(no|not|non|none|nor|or|without|negative|neg|absen[tc]e?|excluded?|ruled?|"
    r"r/o|h/o|s/p|unlikely|free|clear(ed|ing)?|resol[a-z]*|history|previous|prior|old|status post|"
    r"possibl[ey]|probabl[ey]|suspect[a-z]*|suspicio[a-z]*|question[a-z]*|query|doubt[a-z]*|"
    r"may|maybe|might|could|cannot|versus|vs|den(y|ies|ied)|unknown|uncertain|false)(?![a-z])|\?"
)
