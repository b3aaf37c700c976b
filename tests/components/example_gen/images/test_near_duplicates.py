"""Near-duplicates: copies are found, other films are not, and the cost stays linear."""

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.example_gen.images.near_duplicates import (
    Found,
    NearDuplicate,
    Thresholds,
    Work,
    find_near_duplicates,
    similarity,
)
from components.example_gen.images.perceptual_hash import (
    distances,
    local_contrast,
    orientation,
    perceptual_hash,
    to_words,
)
from components.example_gen.synthetic.anatomy import sample_anatomy
from components.example_gen.synthetic.phantom import draw_film
from tests.components.example_gen.samples import Pixels

Change = Callable[[Pixels], Pixels]


@functools.cache
def phantom(seed: int) -> Pixels:
    """A drawn adult chest of 256 pixels; another seed is another patient."""
    rng = np.random.default_rng(seed)
    return draw_film(sample_anatomy("nih", rng), rng, side_length=256).pixels


def jpeg(quality: int) -> Change:
    def change(grey: Pixels) -> Pixels:
        encoded = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        return cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE).astype(np.uint8)

    return change


def resized(factor: float) -> Change:
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return lambda grey: cv2.resize(grey, None, fx=factor, fy=factor, interpolation=how).astype(
        np.uint8
    )


def exposed(gain: float, offset: float = 0, gamma: float = 1) -> Change:
    return lambda grey: np.clip(255 * (grey / 255) ** gamma * gain + offset, 0, 255).astype(
        np.uint8
    )


def cropped(share: float) -> Change:
    def change(grey: Pixels) -> Pixels:
        rows, columns = (round(length * share) for length in grey.shape)
        return grey[rows:-rows, columns:-columns]

    return change


def rotated(degrees: float) -> Change:
    def change(grey: Pixels) -> Pixels:
        height, width = grey.shape
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
        return cv2.warpAffine(grey, turn, (width, height)).astype(np.uint8)

    return change


def marked(grey: Pixels) -> Pixels:
    other = grey.copy()
    other[10:40, 10:50] = 0
    cv2.putText(other, "R", (205, 45), cv2.FONT_HERSHEY_SIMPLEX, 1.5, 255, 4)
    return other


CHANGES: dict[str, Change] = {
    "jpeg 40": jpeg(40),
    "a third of the size": resized(0.3),
    "twice the size": resized(2),
    "brighter": exposed(1, 25),
    "flatter": exposed(0.7, 20),
    "gamma": exposed(1, 0, 0.7),
    "cropped": cropped(0.02),
    "rotated": rotated(1.5),
    "another marker": marked,
}


def find(
    films: Sequence[Pixels], thresholds: Thresholds | None = None, work: Work | None = None
) -> Found:
    hashes = [perceptual_hash(film) for film in films]
    return find_near_duplicates(hashes, films.__getitem__, thresholds, work=work)


@pytest.mark.parametrize("name", CHANGES)
def test_changed_copies_are_found(name: str) -> None:
    originals = [phantom(seed) for seed in range(6)]
    found = find(originals + [CHANGES[name](film) for film in originals])
    assert found.groups() == [(k, k + 6) for k in range(6)]
    assert not any(link.mirrored or link.inverted for link in found.links)


def test_mirrored_and_inverted_copies_are_found_and_named() -> None:
    original = phantom(1)
    copies = [original[:, ::-1].copy(), 255 - original, 255 - original[:, ::-1]]
    found = find([original, *map(jpeg(80), copies)])
    turned = [(link.first, link.mirrored, link.inverted) for link in found.links]
    assert turned == [(0, True, False), (0, False, True), (0, True, True)]


def test_other_films_are_none() -> None:
    found = find([phantom(seed) for seed in range(40)])
    assert found.links == ()
    assert found.groups() == []


def test_close_hashes_alone_are_not_enough() -> None:
    films = [phantom(1), phantom(2)]
    hashes = [perceptual_hash(films[0])] * 2
    found = find_near_duplicates(hashes, films.__getitem__)
    assert (found.candidates, found.compared, found.rejected) == (1, 1, 1)
    assert found.links == ()


def test_groups_hold_all_copies_of_a_film() -> None:
    a, b = phantom(1), phantom(2)
    found = find([jpeg(60)(b), a, jpeg(50)(a), b, phantom(3), cropped(0.01)(a)])
    assert found.groups() == [(0, 3), (1, 2, 5)]
    assert [(link.first, link.second) for link in found.links] == [(0, 3), (1, 2), (1, 5)]
    assert all(0.88 <= link.correlation <= 1 for link in found.links)


@pytest.mark.parametrize("films", [[], [phantom(1)]])
def test_fewer_than_two_images(films: list[Pixels]) -> None:
    assert find(films) == Found((), 0, 0, 0, 0)


def test_blank_images_match_nothing() -> None:
    blank = np.zeros((50, 60), np.uint8)
    found = find([blank, phantom(1), blank + 200, phantom(1), blank])
    assert found.groups() == [(1, 3)]
    assert found.candidates == 1


def test_progress_ends_at_the_total() -> None:
    told: list[tuple[int, int]] = []
    films = [phantom(seed % 3) for seed in range(10)]
    hashes = [perceptual_hash(film) for film in films]
    find_near_duplicates(
        hashes, films.__getitem__, progress=lambda *step: told.append(step), work=Work(rows=4)
    )
    assert told == [(4, 10), (8, 10), (10, 10)]


def test_an_error_of_the_loader_reaches_the_caller() -> None:
    def load(index: int) -> Pixels:
        raise FileNotFoundError(index)

    with pytest.raises(FileNotFoundError):
        find_near_duplicates([perceptual_hash(phantom(1))] * 2, load)


# --- Cost ------------------------------------------------------------------------------------


def test_thousands_of_copies_cost_a_load_and_a_comparison_each() -> None:
    copies = [exposed(1 - k / 20, k)(phantom(7)) for k in range(8)]
    kinds = [perceptual_hash(copy) for copy in copies]
    loads: list[int] = []

    def load(index: int) -> Pixels:
        loads.append(index)
        return copies[index % 8]

    found = find_near_duplicates([kinds[k % 8] for k in range(2000)], load)
    assert found.groups() == [tuple(range(2000))]
    assert len(found.links) == 1999
    assert found.candidates == 2000 * 1999 // 2
    assert found.compared < 2200
    assert len(loads) < 2200


def test_thousands_of_films_with_one_hash_are_given_up() -> None:
    films = [phantom(seed) for seed in range(12)]
    count = 400
    hashes = [perceptual_hash(films[0])] * count
    # Every film is unlike every other, up to a few, and nothing may make that quadratic.
    found = find_near_duplicates(
        hashes, lambda k: np.roll(films[k % 12], 17 * k, (0, 1)), Thresholds(max_rejections=3)
    )
    assert found.abandoned > 0
    assert found.rejected <= 2 * 3 * count
    assert found.compared + found.abandoned <= found.candidates == count * (count - 1) // 2


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 3), (5, 5), (7, 64), (64, 4096)])
def test_pieces_and_threads_do_not_change_the_result(rows: int, columns: int, threads: int) -> None:
    films = [jpeg(30 + 5 * k)(phantom(k % 4)) for k in range(11)] + [phantom(9)]
    assert find(films, work=Work(rows, columns, threads)) == find(films)


# --- Against all pairs -----------------------------------------------------------------------


def naive_groups(films: Sequence[Pixels], thresholds: Thresholds) -> list[tuple[int, ...]]:
    """All pairs, one by one."""
    group = {k: {k} for k in range(len(films))}
    words = to_words(b"".join(map(perceptual_hash, films)))
    small = [local_contrast(film, 96) for film in films]
    for a in range(len(films)):
        for b in range(a + 1, len(films)):
            mirrored, inverted = orientation(words[:, a], words[:, b])
            other = small[b][:, ::-1] if mirrored else small[b]
            distance = distances(words[:, a : a + 1], words[:, b : b + 1])[0, 0]
            likeness = similarity(small[a], -other if inverted else other)
            if distance <= thresholds.radius and likeness >= thresholds.correlation:
                group[a] |= group[b]
                for member in group[a]:
                    group[member] = group[a]
    return sorted({tuple(sorted(one)) for one in group.values() if len(one) > 1})


varied = st.tuples(
    st.integers(0, 4),
    st.sampled_from([jpeg(60), rotated(2), cropped(0.03), exposed(0.8, 9, 1.2), lambda x: 255 - x]),
)


@settings(max_examples=25)
@given(
    drawn=st.lists(varied, min_size=1, max_size=9),
    radius=st.sampled_from([0, 20, 54, 100]),
    correlation=st.sampled_from([0.4, 0.88, 0.97]),
)
def test_equals_all_pairs(drawn: list[tuple[int, Change]], radius: int, correlation: float) -> None:
    films = [change(phantom(seed)) for seed, change in drawn]
    thresholds = Thresholds(radius, correlation)
    found = find(films, thresholds, Work(rows=3, columns=4))
    assert found.groups() == naive_groups(films, thresholds)
    members = sum(map(len, found.groups()))
    assert len(found.links) == members - len(found.groups())
    assert all(isinstance(link, NearDuplicate) and link.first < link.second for link in found.links)


@pytest.mark.skipif("CXR_DATA" not in os.environ, reason="CXR_DATA names no folder of real X-rays")
def test_real_films_and_their_copies() -> None:
    paths = sorted(Path(os.environ["CXR_DATA"]).glob("chest_xray/test/*/*.jpeg"))[::10]
    if len(paths) < 20:
        pytest.skip("CXR_DATA holds no pediatric test folder")
    films = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).astype(np.uint8) for path in paths]
    among_themselves = find(films).groups()
    change = [jpeg(60), resized(0.5), exposed(0.9, 15), cropped(0.01), rotated(1)]
    copies = [change[k % len(change)](film) for k, film in enumerate(films)]
    groups = find(films + copies).groups()
    assert all(
        any({k, k + len(films)} <= set(group) for group in groups) for k in range(len(films))
    )
    assert len(groups) == len(films) - sum(len(group) - 1 for group in among_themselves)
