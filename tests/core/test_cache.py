import os

import numpy as np
import pytest

from jaxcl.core import cache
from jaxcl.core.cache import cached, store

ARRAYS = {"x": np.arange(10_000, dtype=np.uint8).reshape(10, -1), "y": np.arange(3)}


def never():
    pytest.fail("made again")


def same(found):
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)


def test_made_once(tmp_path):
    path = tmp_path / "sub" / "a.npz"
    same(cached(path, lambda: ARRAYS))
    same(cached(path, never))
    assert [p.name for p in path.parent.iterdir()] == ["a.npz"]


@pytest.mark.parametrize("position", [10, 2000, 9000, -30])
def test_a_changed_byte_is_noticed(tmp_path, position):
    path = tmp_path / "a.npz"
    store(path, ARRAYS)
    content = bytearray(path.read_bytes())
    content[position] ^= 0xFF
    path.write_bytes(content)
    calls = []
    same(cached(path, lambda: calls.append(1) or ARRAYS))
    assert len(calls) <= 1  # some bytes of the archive's headers carry nothing
    same(cached(path, never))
    if position in (2000, 9000):
        assert calls


def test_a_truncated_or_foreign_file_is_made_again(tmp_path):
    path = tmp_path / "a.npz"
    store(path, ARRAYS)
    for content in (path.read_bytes()[:5000], b"", b"not an archive"):
        path.write_bytes(content)
        same(cached(path, lambda: ARRAYS))
        same(cached(path, never))


def test_objects_are_never_loaded(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.array([{"a": 1}], dtype=object), allow_pickle=True)
    same(cached(path, lambda: ARRAYS))


def test_a_crash_while_writing_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    store(path, ARRAYS)

    def crash(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        store(path, {"z": np.zeros(3)})
    same(cached(path, never))
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["a.npz"]


def test_a_cache_that_cannot_be_written_warns_and_is_not_needed(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.warns(UserWarning, match="is not written"):
        same(cached(blocked / "a.npz", lambda: ARRAYS))


def test_a_folder_in_the_place_of_the_cache_warns_and_is_kept(tmp_path):
    (tmp_path / "a.npz").mkdir()
    with pytest.warns(UserWarning, match=r"a\.npz is not written .*; remove it"):
        same(cached(tmp_path / "a.npz", lambda: ARRAYS))
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def test_a_changed_bit_anywhere_never_gives_other_arrays(tmp_path, monkeypatch):
    """Also in the headers of the archive and of the arrays, which have no checksum."""
    path, small = tmp_path / "a.npz", {"x": np.arange(11, dtype=np.uint8), "y": np.ones((2, 1))}
    store(path, small)
    content = path.read_bytes()
    monkeypatch.setattr(cache, "store", lambda path, arrays: None)
    made = []
    for place in range(len(content)):
        for bit in range(8 * (content[place] != ord(" "))):  # which fill up headers of arrays
            damaged = bytearray(content)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            found = cached(path, lambda: made.append(1) or small)
            assert found.keys() == small.keys(), (place, bit)
            for name, array in small.items():
                assert found[name].dtype == array.dtype, (place, bit)
                np.testing.assert_array_equal(found[name], array, strict=True)
    assert len(made) > len(content)
