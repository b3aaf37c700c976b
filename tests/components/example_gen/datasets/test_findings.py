"""What a table says of an image in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.example_gen.datasets.findings import (
    Findings,
    parse_findings,
    usable_findings,
)
from components.example_gen.datasets.listing import Fate, LeftOut
from components.example_gen.record import FINDINGS, NO_FINDING, NORMAL, PATHOLOGIES, PNEUMONIA


@pytest.mark.parametrize(
    ("text", "label", "names", "unknown"),
    [
        ("No Finding", NORMAL, (NO_FINDING,), ()),
        ("no finding", NORMAL, (NO_FINDING,), ()),
        ("NORMAL", NORMAL, (NO_FINDING,), ()),
        ("0", NORMAL, (NO_FINDING,), ()),
        ("0.0", NORMAL, (NO_FINDING,), ()),
        ("No Finding|Normal", NORMAL, (NO_FINDING,), ()),
        ("Pneumonia", PNEUMONIA, ("Pneumonia",), ()),
        ("PNEUMONIA", PNEUMONIA, ("Pneumonia",), ()),
        ("1", PNEUMONIA, ("Pneumonia",), ()),
        ("1.0", PNEUMONIA, ("Pneumonia",), ()),
        ("Infiltration|Pneumonia", PNEUMONIA, ("Infiltration", "Pneumonia"), ()),
        ("infiltration; pneumonia", PNEUMONIA, ("Infiltration", "Pneumonia"), ()),
        ("Edema,Pneumonia,Edema", PNEUMONIA, ("Edema", "Pneumonia"), ()),
        ("|Pneumonia||", PNEUMONIA, ("Pneumonia",), ()),
        ("Bacterial Pneumonia", PNEUMONIA, ("Pneumonia",), ("Bacterial Pneumonia",)),
        ("bronchopneumonia", PNEUMONIA, ("Pneumonia",), ("bronchopneumonia",)),
        ("nosocomial pneumonia", PNEUMONIA, ("Pneumonia",), ("nosocomial pneumonia",)),
        ("Pneumonia|Broken rib", PNEUMONIA, ("Pneumonia",), ("Broken rib",)),
        ("Mass|Nodule", None, ("Mass", "Nodule"), ()),
        ("Pleural thickening", None, ("Pleural_Thickening",), ()),
        ("Broken rib", None, (), ("Broken rib",)),
        ("No Finding|Broken rib", None, (NO_FINDING,), ("Broken rib",)),
        ("abnormal", None, (), ("abnormal",)),
        ("not normal", None, (), ("not normal",)),
        ("", None, (), ()),
        ("|", None, (), ()),
        # What nobody knows is no pneumonia.
        ("-1", None, (), ("-1",)),
        ("-1.0", None, (), ("-1.0",)),
        ("1?", None, (), ("1?",)),
        ("2", None, (), ("2",)),
    ],
)
def test_findings(text: str, label: int | None, names: tuple[str, ...], unknown: tuple) -> None:
    assert parse_findings(text) == (label, names, unknown, False, False)


@pytest.mark.parametrize(
    "text",
    [
        "Bacterial Pneumonia",
        "bacterial_pneumonia",
        "BacterialPneumonia",
        "pneumonia, bacterial",
        "viral pneumonia",
        "Fungal pneumonia",
        "Bronchopneumonia",
        "lobar pneumonia",
        "aspiration pneumonia",
        "COVID-19 pneumonia",
        "COVID19 Pneumonia",
        "interstitial pneumonia",
        "atypical pneumonia",
        "community-acquired pneumonia",
        "Hospital acquired Pneumonia",
        "pneumonia right lower lobe",
        "Pneumonia.",
        "['Pneumonia', 'Edema']",
        "Pneumonia|broken rib",
        "Pneumonia|old fracture",
        "Pneumonia, broken rib",
        "Pneumonia|possible mass",
        "Pneumonia, pleural effusion",
    ],
)
def test_pneumonia_and_its_known_kinds(text: str) -> None:
    found = parse_findings(text)
    assert (found.label, found.unreadable) == (PNEUMONIA, False)


@pytest.mark.parametrize(
    "text",
    [
        # Not there.
        "no pneumonia",
        "No_Pneumonia",
        "NoPneumonia",
        "non-pneumonia",
        "nonpneumonia",
        "Not pneumonia",
        "negative for pneumonia",
        "pneumonia_negative",
        "without pneumonia",
        "pneumonia ruled out",
        "clear of pneumonia",
        "free of pneumonia",
        "pneumonia - none",
        "pneumonia: absent",
        "Pneumonia = 0",
        "pneumonia 0",
        "-pneumonia",
        "pneumonia (-)",
        "no consolidation, effusion or pneumonia",
        "no consolidation, effusion, pneumonia",
        "no consolidation; effusion; pneumonia",
        "No effusion. Pneumonia",
        "without effusion, edema, bacterial pneumonia",
        "Pneumonia, none",
        "pneumonia, ruled out",
        "pneumonia;no",
        "Pneumonia|negative",
        "No bacterial pneumonia",
        "kein Hinweis auf Pneumonia",
        "pneumonia fehlt",
        # No longer there.
        "resolved pneumonia",
        "history of pneumonia",
        "status post pneumonia",
        "prior pneumonia",
        "h/o pneumonia",
        # Perhaps there.
        "Pneumonia?",
        "?pneumonia",
        "Pneumonia|?",
        "r/o pneumonia",
        "possible pneumonia",
        "pneumonia vs edema",
        "pneumonia/edema",
        "cannot exclude pneumonia",
        "edema, may be effusion, pneumonia",
        "chance of pneumonia 30 %",
        # One part says this and the other that.
        "Pneumonia|no pneumonia",
        "Edema|no pneumonia",
        "normal|no pneumonia",
    ],
)
def test_what_denies_or_doubts_pneumonia_is_not_read(text: str) -> None:
    found = parse_findings(text)
    assert (found.label, found.unreadable) == (None, True)
    assert "Pneumonia" not in found.names
    left_out = usable_findings(text, "a.png")
    assert left_out == LeftOut("a.png", "findings that cannot be read", Fate.BAD_ROW)


@pytest.mark.parametrize(
    "text", ["normal?", "No Finding?", "not normal", "-normal", "no finding -"]
)
def test_what_doubts_that_a_film_is_normal_is_not_normal(text: str) -> None:
    assert parse_findings(text).label is None


@pytest.mark.parametrize(
    "text", ["No Finding|Pneumonia", "Pneumonia|No Finding", "normal,1", "No Finding|Mass"]
)
def test_no_finding_beside_a_finding_is_a_contradiction(text: str) -> None:
    assert parse_findings(text).contradictory


@pytest.mark.parametrize("name", FINDINGS)
def test_every_finding_is_known_however_it_is_written(name: str) -> None:
    for text in (name, name.upper(), name.lower().replace("_", " "), f" {name} "):
        assert parse_findings(text).names == (name,)
        assert not parse_findings(text).unknown


@given(st.text())
def test_any_text_has_findings_out_of_the_vocabulary(text: str) -> None:
    found = parse_findings(text)
    assert set(found.names) <= set(FINDINGS)
    assert len(found.names) == len(set(found.names))
    assert (found.label == PNEUMONIA) == ("Pneumonia" in found.names)
    assert found.label != NORMAL or found.names == (NO_FINDING,)


# --- All findings as labels ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "label", "names"),
    [
        ("No Finding", NORMAL, (NO_FINDING,)),
        ("Mass|Nodule", NORMAL, ("Mass", "Nodule")),
        ("Pleural thickening", NORMAL, ("Pleural_Thickening",)),
        ("Effusion|Pneumonia", PNEUMONIA, ("Effusion", "Pneumonia")),
        ("lobar pneumonia", PNEUMONIA, ("Pneumonia",)),
        # What is no finding of these 14 says nothing about them.
        ("Mass|Broken rib", NORMAL, ("Mass",)),
        ("Mass|old fracture", NORMAL, ("Mass",)),
    ],
)
def test_an_image_of_any_known_finding_is_in_scope(
    text: str, label: int, names: tuple[str, ...]
) -> None:
    found = usable_findings(text, "a.png", "findings")
    assert isinstance(found, Findings)
    assert (found.label, found.names) == (label, names)


@pytest.mark.parametrize("text", ["Broken rib", "No Finding|Broken rib", "", "-1", "abnormal"])
def test_what_none_of_the_findings_is_said_of_is_out_of_scope(text: str) -> None:
    assert usable_findings(text, "a.png", "findings") == LeftOut(
        "a.png", "finding that is none of the 14", Fate.OUT_OF_SCOPE
    )


@pytest.mark.parametrize("text", ["0", "1", "0.0", "1.0", "Mass|1"])
def test_a_number_tells_of_pneumonia_alone(text: str) -> None:
    assert usable_findings(text, "a.png", "findings") == LeftOut(
        "a.png", "label that tells of pneumonia alone", Fate.OUT_OF_SCOPE
    )


@pytest.mark.parametrize(
    "text",
    [
        "no effusion",
        "Mass|possible nodule",
        "Pneumonia|r/o effusion",
        "no effusion, consolidation",
        "effusion, none",
        "Mass|?",
        "Effusion|negative",
        "large pleural effusion",
        "pleural_thickening?",
        "no pneumonia",
    ],
)
def test_what_denies_or_doubts_any_finding_is_not_read(text: str) -> None:
    assert usable_findings(text, "a.png", "findings") == LeftOut(
        "a.png", "findings that cannot be read", Fate.BAD_ROW
    )


@given(st.lists(st.sampled_from(PATHOLOGIES), min_size=1, max_size=14, unique=True))
def test_any_findings_of_the_vocabulary_are_read(names: list[str]) -> None:
    found = usable_findings("|".join(names), "a.png", "findings")
    assert isinstance(found, Findings)
    assert found.names == tuple(names)


@given(st.text())
def test_no_text_means_other_than_with_pneumonia_alone(text: str) -> None:
    """Asked for more, it may be left out, but never be read as the contrary."""
    alone, among = (usable_findings(text, "", labels) for labels in ("pneumonia", "findings"))
    if isinstance(alone, Findings) and isinstance(among, Findings):
        assert alone.label == among.label
