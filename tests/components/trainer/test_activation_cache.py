"""The cache on disk: what it keeps, what a crash leaves, and what is evicted."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import InputError
from components.trainer import activation_cache
from components.trainer.activation_cache import ActivationCache, evict

SHAPE = (2, 3)
DTYPES = ["float32", "float16", "bfloat16"]


def make(count: int, start: int = 0) -> tuple[list[str], np.ndarray]:
    """Small whole numbers, which every dtype holds exactly."""
    numbers = np.arange(start, start + count, dtype=np.float32)
    return [f"{n:064.0f}" for n in numbers], np.broadcast_to(
        numbers[:, None, None], (count, *SHAPE)
    ).copy()


def open_cache(root: Path, part: str = "part", dtype: str = "float32") -> ActivationCache:
    return ActivationCache(root, part, SHAPE, dtype)


def saved(root: Path, count: int = 4, start: int = 0, part: str = "part") -> ActivationCache:
    cache = open_cache(root, part)
    cache.add(*make(count, start))
    cache.save()
    return cache


def names_in(cache: ActivationCache, count: int = 20) -> list[int]:
    return [n for n, name in enumerate(make(count)[0]) if name in cache]


def set_age(cache: ActivationCache, seconds: float) -> None:
    for file in cache.files:
        then = file.stat().st_mtime - seconds
        os.utime(file, (then, then))


# --- Rows ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_come_in_the_order_asked_for_saved_or_not(tmp_path: Path, dtype: str) -> None:
    cache = open_cache(tmp_path, dtype=dtype)
    names, values = make(6)
    cache.add(names[:3], values[:3])
    cache.save()
    cache.add(names[3:], values[3:])

    rows = cache.rows([names[4], names[0], names[4]])

    np.testing.assert_array_equal(rows, values[[4, 0, 4]])
    assert rows.dtype == np.float32
    assert cache.rows([]).shape == (0, *SHAPE)
    with pytest.raises(KeyError):
        cache.rows(["unknown"])


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=20)
@given(shape=st.lists(st.integers(1, 4), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_rows_of_any_shape_outlive_the_process(
    tmp_path_factory: pytest.TempPathFactory, dtype: str, shape: list[int], seed: int
) -> None:
    root = tmp_path_factory.mktemp("cache")
    values = np.random.default_rng(seed).normal(size=(5, *shape)).astype(np.float32)
    names = [str(n) for n in range(5)]
    cache = ActivationCache(root, "part", shape, dtype)
    cache.add(names, values)
    before = cache.rows(names)
    cache.save()

    again = ActivationCache(root, "part", shape, dtype).rows(names)

    np.testing.assert_array_equal(again, before)
    np.testing.assert_array_equal(cache.rows(names), before)
    exactness = {"float32": 0.0, "float16": 2**-11, "bfloat16": 2**-8}[dtype]
    np.testing.assert_allclose(again, values, rtol=exactness, atol=1e-6 if exactness else 0)


def test_a_number_too_large_for_float16_is_named_with_its_remedy(tmp_path: Path) -> None:
    names, values = make(3)
    values[1, 0, 2] = 7e4

    with pytest.raises(InputError, match=rf"{names[1]}.*7e\+04.*trainer\.cache\.dtype=bfloat16"):
        open_cache(tmp_path, dtype="float16").add(names, values)

    roomy = open_cache(tmp_path, dtype="bfloat16")
    roomy.add(names, values)
    assert roomy.rows(names)[1, 0, 2] == pytest.approx(7e4, rel=1e-2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_no_number_is_named(tmp_path: Path, dtype: str, value: float) -> None:
    names, values = make(3)
    values[2, 1, 1] = value
    cache = open_cache(tmp_path, dtype=dtype)

    with pytest.raises(InputError, match=rf"{names[2]}.*no numbers.*weights"):
        cache.add(names, values)

    assert not names_in(cache)


# --- Shards ----------------------------------------------------------------------------------


def test_a_long_pass_is_saved_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activation_cache, "_SHARD", 8)
    cache = open_cache(tmp_path)
    cache.add(*make(7))
    assert not names_in(open_cache(tmp_path))

    cache.add(*make(2, start=7))
    cache.add(*make(2, start=9))

    assert names_in(open_cache(tmp_path)) == list(range(9))


def test_saved_rows_are_memory_mapped(tmp_path: Path) -> None:
    saved(tmp_path)

    for cache in (open_cache(tmp_path), saved(tmp_path, start=4)):
        array, _ = cache._rows[make(1)[0][0]]
        assert isinstance(array.base, np.memmap)


def test_nothing_new_is_nothing_written(tmp_path: Path) -> None:
    cache = saved(tmp_path)
    files = set(tmp_path.rglob("*.*"))
    cache.save()

    assert len(files) == 2
    assert set(tmp_path.rglob("*.*")) == files == cache.files


@pytest.mark.parametrize("finished", [0, 1], ids=["before the rows", "between rows and names"])
def test_a_crash_while_writing_leaves_no_half_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished: int
) -> None:
    cache = saved(tmp_path)
    cache.add(*make(4, start=4))
    done = []

    rename = Path.rename

    def crash(source: Path, target: Path) -> None:
        if len(done) == finished:
            raise KeyboardInterrupt
        done.append(rename(source, target))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", crash)
        with pytest.raises(KeyboardInterrupt):
            cache.save()

    assert names_in(open_cache(tmp_path)) == [0, 1, 2, 3]
    cache.save()
    assert names_in(open_cache(tmp_path)) == list(range(8))


def test_names_without_rows_are_ignored(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = saved(tmp_path)
    second = saved(tmp_path, start=4)
    (rows,) = (file for file in second.files - first.files if file.suffix == ".npy")
    rows.unlink()

    assert names_in(open_cache(tmp_path)) == [0, 1, 2, 3]
    assert "not readable, ignored" in caplog.text


def test_two_writers_do_not_disturb_each_other(tmp_path: Path) -> None:
    one, two = open_cache(tmp_path), open_cache(tmp_path)
    one.add(*make(6))
    two.add(*make(6, start=3))
    one.save()
    two.save()

    names, values = make(9)
    np.testing.assert_array_equal(open_cache(tmp_path).rows(names), values)


def test_parts_do_not_mix(tmp_path: Path) -> None:
    saved(tmp_path, part="one")

    assert not names_in(open_cache(tmp_path, "two"))


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


SOUND = npy(make(4)[1])


@pytest.mark.parametrize(
    ("data", "index"),
    [
        pytest.param(b"", b"[]", id="empty"),
        pytest.param(b"not an array", None, id="text"),
        pytest.param(SOUND[:100], None, id="cut in its head"),
        pytest.param(SOUND[:-8], None, id="cut in its rows"),
        pytest.param(SOUND, b'["one"', id="names cut"),
        pytest.param(SOUND, b'["one", "two"]', id="too few names"),
        pytest.param(npy(np.zeros((4, 3, 2), np.float32)), None, id="another shape"),
        pytest.param(npy(np.zeros((4, 2, 3), np.float16)), None, id="another dtype"),
        pytest.param(npy(np.array([{}], object)), None, id="pickled objects"),
    ],
)
def test_a_corrupt_shard_is_ignored_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, data: bytes, index: bytes | None
) -> None:
    folder = next(iter(saved(tmp_path).files)).parent
    (folder / "broken.npy").write_bytes(data)
    (folder / "broken.json").write_bytes(index or b'["a", "b", "c", "d"]')

    with caplog.at_level(logging.WARNING):
        cache = open_cache(tmp_path)

    assert names_in(cache) == [0, 1, 2, 3]
    assert "a" not in cache
    assert "one" not in cache
    assert "broken.json is not readable" in caplog.text


# --- Eviction --------------------------------------------------------------------------------


def size(cache: ActivationCache) -> int:
    return sum(file.stat().st_size for file in cache.files)


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    caches = {part: saved(tmp_path, part=part) for part in "abc"}
    for part, age in (("a", 10), ("b", 30), ("c", 20)):
        set_age(caches[part], age)

    evict(tmp_path, size(caches["a"]) + size(caches["c"]))
    assert [bool(names_in(open_cache(tmp_path, part))) for part in "abc"] == [True, False, True]


def test_to_open_a_cache_is_to_use_it(tmp_path: Path) -> None:
    caches = {part: saved(tmp_path, part=part) for part in "ab"}
    set_age(caches["a"], 30)
    set_age(caches["b"], 20)
    open_cache(tmp_path, "a")

    evict(tmp_path, size(caches["a"]))

    assert names_in(open_cache(tmp_path, "a"))
    assert not names_in(open_cache(tmp_path, "b"))


@settings(max_examples=25)
@given(share=st.floats(0, 1.2))
def test_no_more_stays_than_may_and_no_half_shard_warns(
    tmp_path_factory: pytest.TempPathFactory, share: float
) -> None:
    root = tmp_path_factory.mktemp("cache")
    everything = sum(size(saved(root, part=part)) for part in "abc")
    found: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: found.append(record.getMessage())  # type: ignore[method-assign]

    evict(root, share * everything)
    logging.getLogger().addHandler(handler)
    try:
        for part in "abc":
            open_cache(root, part)
    finally:
        logging.getLogger().removeHandler(handler)

    left = sum(file.stat().st_size for file in root.rglob("*") if file.is_file())
    assert left <= share * everything
    assert everything - left < everything * (1 - share) + everything / 3 + 1
    assert not found


def test_what_is_in_use_stays_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    used, other = saved(tmp_path, part="used"), saved(tmp_path, part="other")
    set_age(used, 30)

    evict(tmp_path, 0, used.files)

    assert names_in(open_cache(tmp_path, "used"))
    assert not any(file.exists() for file in other.files)
    assert "all of it in use" in caplog.text
    assert "trainer.cache.max_gib" in caplog.text


def test_a_shard_that_another_process_evicts_is_read_on(tmp_path: Path) -> None:
    saved(tmp_path)
    cache = open_cache(tmp_path)
    program = (
        "import sys, pathlib\n"
        "for file in pathlib.Path(sys.argv[1]).rglob('*'):\n"
        "    file.is_file() and file.unlink()\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)

    names, values = make(4)
    np.testing.assert_array_equal(cache.rows(names), values)
    assert not names_in(open_cache(tmp_path))


def test_what_another_process_deletes_meanwhile_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path)
    listed = Path.rglob

    def rglob(self: Path, pattern: str) -> list[Path]:
        files = list(listed(self, pattern))
        next(file for file in files if file.is_file()).unlink()
        return files

    monkeypatch.setattr(Path, "rglob", rglob)

    evict(tmp_path, 0)

    assert not [path for path in listed(tmp_path, "*") if path.is_file()]
