"""What is in more than one split, counted."""

from components.example_gen.leakage import Leakage, leakage
from components.example_gen.split import Surveyed
from tests.examples import image_facts, xray_file


def image(name: str, patient: str, content: str | None = None) -> Surveyed:
    file = xray_file(patient, path=f"/{name}.png")
    return Surveyed(file, image_facts(sha256=content or name))


A1, A2, B1 = image("a1", "a"), image("a2", "a"), image("b1", "b")


def test_splits_that_share_nothing() -> None:
    splits = {"train": [A1, A2], "val": [], "test": [B1]}
    assert leakage(splits, []) == Leakage(patients=0, exact_duplicates=0, near_duplicates=0)


def test_a_patient_in_two_splits_counts_once_however_many_films() -> None:
    films = [image(str(number), "a") for number in range(6)]
    assert leakage({"train": films[:3], "test": films[3:]}, []).patients == 1
    assert leakage({"train": films[:2], "val": films[2:4], "test": films[4:]}, []).patients == 1


def test_patients_of_two_datasets_are_different() -> None:
    other = Surveyed(xray_file("a", path="/x.png", dataset="nih"), image_facts(sha256="x"))
    assert leakage({"train": [A1], "test": [other]}, []).patients == 0


def test_the_same_bytes_in_two_splits_count_once() -> None:
    copies = [image(f"copy{number}", f"p{number}", "same") for number in range(4)]
    found = leakage({"train": copies[:1], "val": copies[1:2], "test": copies[2:]}, [])
    assert found == Leakage(patients=0, exact_duplicates=1, near_duplicates=0)


def test_the_same_bytes_twice_in_one_split_are_no_leakage() -> None:
    copies = [image(f"copy{number}", f"p{number}", "same") for number in range(2)]
    assert leakage({"train": copies, "test": [B1]}, []).exact_duplicates == 0


def test_near_duplicates_count_where_both_are_in_a_split_and_not_in_the_same() -> None:
    left_out = image("gone", "g")
    near = [(A1, B1), (A2, B1), (A1, A2), (left_out, B1), (A1, left_out)]
    assert leakage({"train": [A1, A2], "test": [B1]}, near).near_duplicates == 2
    assert leakage({"train": [A1, A2, B1], "test": []}, near).near_duplicates == 0
