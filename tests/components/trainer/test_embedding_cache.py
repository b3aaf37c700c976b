"""The cache on disk: what it keeps, and what a crash leaves."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from components.trainer.embedding_cache import EmbeddingCache

FEATURES = 3


def rows(count: int, start: int = 0) -> tuple[list[str], np.ndarray]:
    numbers = np.arange(start, start + count, dtype=np.float32)
    return [f"{number:064.0f}" for number in numbers], np.repeat(numbers[:, None], FEATURES, axis=1)


def open_cache(root: Path, key: str = "embedder", features: int = FEATURES) -> EmbeddingCache:
    return EmbeddingCache(root, key, features)


def shards(root: Path) -> list[Path]:
    return sorted(root.rglob("*.npz"))


def test_rows_come_in_the_order_asked_for(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    keys, values = rows(4)
    cache.add(keys, values)

    np.testing.assert_array_equal(cache.get([keys[2], keys[0], keys[2]]), values[[2, 0, 2]])
    assert cache.keys() == set(keys)
    assert cache.get([]).shape == (0, FEATURES)
    with pytest.raises(KeyError):
        cache.get(["unknown"])


def test_rows_outlive_the_process(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    keys, values = rows(4)
    cache.add(keys, values)
    cache.save()
    cache.save()

    np.testing.assert_array_equal(open_cache(tmp_path).get(keys), values)
    assert open_cache(tmp_path).get(keys).dtype == np.float32
    assert len(shards(tmp_path)) == 1


def test_a_long_pass_is_saved_on_the_way(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    cache.add(*rows(511))
    assert not shards(tmp_path)

    cache.add(*rows(1, start=511))
    cache.add(*rows(32, start=512))

    assert len(open_cache(tmp_path).keys()) == 512


def test_a_kill_while_writing_leaves_no_half_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = open_cache(tmp_path)
    cache.add(*rows(4))
    cache.save()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
        cache.add(*rows(4, start=4))
        with pytest.raises(KeyboardInterrupt):
            cache.save()

    assert list(tmp_path.rglob("*.tmp"))
    assert open_cache(tmp_path).keys() == set(rows(4)[0])


@pytest.mark.parametrize("fault", ["empty", "text", "cut", "flipped", "width"])
def test_a_corrupt_shard_is_ignored_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    sound = open_cache(tmp_path)
    sound.add(*rows(4))
    sound.save()
    (first,) = shards(tmp_path)
    broken = first.with_name("broken.npz")
    other = open_cache(tmp_path / "other", features=2 if fault == "width" else FEATURES)
    other.add(rows(4, start=4)[0], rows(4, start=4)[1][:, : 2 if fault == "width" else FEATURES])
    other.save()
    content = shards(tmp_path / "other")[0].read_bytes()
    shards(tmp_path / "other")[0].unlink()
    middle = len(content) // 2
    broken.write_bytes(
        {
            "empty": b"",
            "text": b"not a zip file",
            "cut": content[:middle],
            "flipped": content[:200] + bytes([content[200] ^ 255]) + content[201:],
            "width": content,
        }[fault]
    )

    with caplog.at_level(logging.WARNING):
        cache = open_cache(tmp_path)

    assert cache.keys() == set(rows(4)[0])
    assert "broken.npz is not readable" in caplog.text


def test_two_writers_do_not_disturb_each_other(tmp_path: Path) -> None:
    one, two = open_cache(tmp_path), open_cache(tmp_path)
    one.add(*rows(6))
    two.add(*rows(6, start=3))
    one.save()
    two.save()

    keys, values = rows(9)
    np.testing.assert_array_equal(open_cache(tmp_path).get(keys), values)


def test_embedders_do_not_mix(tmp_path: Path) -> None:
    cache = open_cache(tmp_path, "one")
    cache.add(*rows(4))
    cache.save()

    assert not open_cache(tmp_path, "two").keys()
