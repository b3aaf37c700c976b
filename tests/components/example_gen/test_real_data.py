"""The published figures of both sets, counted on real files.

The folder that CXR_DATA names may hold a part of either set: then a figure is a bound.
"""

import collections
import concurrent.futures
import hashlib
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from components.example_gen.datasets import registry, table
from components.example_gen.datasets.findings import parse_findings
from components.example_gen.datasets.listing import Fate, Listing
from components.example_gen.images import imaging
from components.example_gen.leakage import leakage
from components.example_gen.quality import faults
from components.example_gen.record import NO_FINDING, ImageFacts, XrayFile
from components.example_gen.settings import Quality
from components.example_gen.split import SplitPlan, Surveyed, divide
from tests.examples import image_facts

pytestmark = pytest.mark.skipif(
    "CXR_DATA" not in os.environ, reason="CXR_DATA names no folder of real X-rays"
)

DATA = Path(os.environ.get("CXR_DATA", "."))
PLAN = SplitPlan({"train": 0.7, "val": 0.15, "test": 0.15}, salt="cxr")

# Of the whole sets.
PEDIATRIC_IMAGES = 5_856
NUMBERS, NUMBERS_UNDER_BOTH = 1_674, 979
DUPLICATE_GROUPS, DUPLICATE_FILES = 30, 62
NIH_ROWS, NIH_PATIENTS, NIH_PNEUMONIA, NIH_NO_FINDING = 112_120, 30_805, 1_431, 60_361


@pytest.fixture(scope="module")
def pediatric() -> Listing:
    return registry.list_files("pediatric", DATA)


@pytest.fixture(scope="module")
def nih() -> Listing:
    return registry.list_files("nih", DATA)


def survey(files: Sequence[XrayFile]) -> list[Surveyed]:
    def facts(file: XrayFile) -> ImageFacts:
        return imaging.read_image(Path(file.path).read_bytes())[1]

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return list(map(Surveyed, files, pool.map(facts, files)))


@pytest.fixture(scope="module")
def digests(pediatric: Listing) -> list[Surveyed]:
    """The images with their digests alone: nothing is decoded."""
    return [
        Surveyed(file, image_facts(sha256=hashlib.sha256(Path(file.path).read_bytes()).hexdigest()))
        for file in pediatric.files
    ]


# --- Pediatric -------------------------------------------------------------------------------


def test_every_pediatric_name_is_of_a_known_form(pediatric: Listing) -> None:
    known = re.compile(r"pediatric:((bacteria|virus|normal)-\d+|(NORMAL2-)?IM-\d+)")
    assert [f.filename for f in pediatric.files if not known.fullmatch(f.patient_id)] == []
    assert {f.etiology for f in pediatric.files if f.label} == {"bacteria", "virus"}
    assert not pediatric.left_out


def test_the_published_split_shares_no_patient_under_the_key(pediatric: Listing) -> None:
    patients = collections.defaultdict(set)
    for file in pediatric.files:
        patients[file.source_split].add(file.patient_id)
    assert patients["train"]
    assert patients["test"]
    assert not patients["train"] & patients["test"]


def test_the_bare_number_is_no_key(pediatric: Listing) -> None:
    kinds = collections.defaultdict(set)
    for file in pediatric.files:
        if match := re.match(r"person(\d+)_(bacteria|virus)_", file.filename):
            kinds[match[1]].add(match[2])
    under_both = sum(len(found) == 2 for found in kinds.values())
    if len(pediatric.files) == PEDIATRIC_IMAGES:
        assert (len(kinds), under_both) == (NUMBERS, NUMBERS_UNDER_BOTH)
    # A part of the set loses a number only with all its films, and one of both kinds sooner.
    assert len(kinds) <= NUMBERS
    assert len(kinds) / 3 < under_both <= NUMBERS_UNDER_BOTH


def test_exact_duplicates_are_found_as_published(digests: list[Surveyed]) -> None:
    groups = collections.Counter(one.facts.sha256 for one in digests)
    several = [count for count in groups.values() if count > 1]
    if len(digests) == PEDIATRIC_IMAGES:
        assert (len(several), sum(several)) == (DUPLICATE_GROUPS, DUPLICATE_FILES)
    assert DUPLICATE_GROUPS / 2 < len(several) <= DUPLICATE_GROUPS
    assert 2 * len(several) <= sum(several) <= DUPLICATE_FILES

    division = divide(digests, PLAN)
    fates = collections.Counter(one.fate for one in division.left_out)
    assert fates == {Fate.DUPLICATE: sum(several) - len(several)}


def test_neither_split_of_the_pediatric_set_leaks_patients(digests: list[Surveyed]) -> None:
    by_patient = divide(digests, PLAN)
    published = divide(digests, SplitPlan(PLAN.fractions, PLAN.salt, as_published=True))
    assert leakage(by_patient.splits, []).patients == 0
    assert leakage(by_patient.splits, []).exact_duplicates == 0
    assert leakage(published.splits, []).patients == 0
    assert sum(map(len, published.splits.values())) == len(digests)


def test_an_image_level_split_leaks_a_third_of_the_test_patients(pediatric: Listing) -> None:
    # What the split by patient is for. Published: 38 % of the test images.
    files = sorted(pediatric.files, key=lambda f: hashlib.sha256(f.filename.encode()).digest())
    cut = len(files) * 15 // 100
    test, train = files[:cut], {file.patient_id for file in files[cut:]}
    assert sum(file.patient_id in train for file in test) / len(test) == pytest.approx(
        0.38, abs=0.06
    )


# --- NIH -------------------------------------------------------------------------------------


def test_the_nih_table_has_the_published_figures(nih: Listing) -> None:
    rows, malformed = table.read_table(nih.tables[0], {}, required=("image", "findings"))
    findings = [parse_findings(row.findings) for row in rows]
    assert not malformed
    assert not any(found.unknown or found.contradictory for found in findings)
    assert len(rows) == NIH_ROWS
    assert len({row.patient for row in rows}) == NIH_PATIENTS
    assert sum("Pneumonia" in found.names for found in findings) == NIH_PNEUMONIA
    assert sum(found.names == (NO_FINDING,) for found in findings) == NIH_NO_FINDING


def test_the_nih_names_carry_the_patient_of_the_table(nih: Listing) -> None:
    rows, _ = table.read_table(nih.tables[0], {}, required=("image", "findings"))
    assert all(int(row.image[:8]) == int(row.patient) for row in rows)


def test_a_part_of_nih_is_listed_in_seconds_and_adds_up() -> None:
    start = time.perf_counter()
    found = registry.list_files("nih", DATA)
    assert time.perf_counter() - start < 30
    fates = collections.Counter(one.fate for one in found.left_out)
    assert found.read == len(found.files) + fates.total() == NIH_ROWS
    assert set(fates) <= {Fate.NOT_ON_DISK, Fate.OUT_OF_SCOPE}
    assert not [one for one in found.ignored if one.field == "boxes"]


def test_nih_without_balance_keeps_every_image_and_with_it_all_pneumonias(nih: Listing) -> None:
    surveyed = [Surveyed(file, image_facts(sha256=file.path)) for file in nih.files]
    whole = divide(surveyed, PLAN)
    balanced = divide(surveyed, SplitPlan(PLAN.fractions, PLAN.salt, {"nih": 1.0}))
    assert not whole.left_out
    assert leakage(whole.splits, []).patients == 0
    for split, members in balanced.splits.items():
        sick = sum(one.file.label for one in whole.splits[split])
        assert sum(one.file.label for one in members) == sick
        assert len(members) == min(2 * sick, len(whole.splits[split]))
    assert list(balanced.unsampled) == list(whole.splits["test"])


# --- Pixels ----------------------------------------------------------------------------------


def test_every_pediatric_film_is_sound_and_far_from_a_negative(pediatric: Listing) -> None:
    surveyed = survey(pediatric.files)
    assert min(one.facts.polarity for one in surveyed) > 0.1
    assert not [o.file.path for o in surveyed if any(faults(o.file, o.facts, Quality()))]


def test_the_nih_films_that_are_none_are_found(nih: Listing) -> None:
    surveyed = survey(nih.files)
    # Two negatives, and a pelvis.
    none = {"00018443_005.png", "00015024_003.png", "00012388_002.png"}
    there = none & {file.filename for file in nih.files}
    suspects = {o.file.filename for o in surveyed if any(faults(o.file, o.facts, Quality()))}
    assert suspects >= there
    if len(nih.files) < 2_000:
        assert suspects == there
        sound = [o.facts.polarity for o in surveyed if o.file.filename not in none]
        assert min(sound) > -0.16
