import errno
import json
from concurrent.futures import ThreadPoolExecutor

import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.checkpointing import checkpoint
from jaxcl.checkpointing.checkpoint import newest, numbers, read, write
from jaxcl.checkpointing.saver import saver
from jaxcl.core.errors import UsageError

ARRAYS = {
    "a/w": np.linspace(0, 1, 5000).reshape(50, 100),
    "a/b": np.arange(3, dtype=np.int32),
    "empty": np.zeros((0, 4), np.float32),
    "scalar": np.array(2.5, np.float32),
    "half": np.arange(4).astype(jnp.bfloat16),
}


def three(folder):
    for number in (1, 2, 3):
        write(folder, number, {**ARRAYS, "n": np.asarray(number)}, {"number": number})
    return folder


def found(folder):
    said = []
    result = newest(folder, lambda meta: None, said.append)
    return result and result.number, said


def test_round_trip_keeps_values_shapes_and_dtypes(tmp_path):
    write(tmp_path, 7, ARRAYS, {"epoch": 3, "rate": 0.1})
    again = read(tmp_path, 7)
    assert again.meta == {"epoch": 3, "rate": 0.1}
    assert again.arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert again.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(again.arrays[name], array)


def test_the_newest_is_used(tmp_path):
    assert found(three(tmp_path)) == (3, [])
    assert found(tmp_path / "nothing") == (None, [])


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9])
def test_a_changed_bit_anywhere_is_noticed(tmp_path, share):
    """One bit, in a place that depends on ``share``, of every file in turn."""
    three(tmp_path)
    files = [
        tmp_path / "000003.json",
        *(p for p in (tmp_path / "000003").rglob("*") if p.is_file()),
    ]
    for file in files:
        content = bytearray(file.read_bytes())
        if not content:
            continue
        place = int(share * len(content))
        content[place] ^= 1 << (place % 8)
        file.write_bytes(content)
        number, said = found(tmp_path)
        assert number == 2, file
        assert len(said) == 1
        assert said[0].startswith("checkpoint 3 is passed over: 000003")
        content[place] ^= 1 << (place % 8)
        file.write_bytes(content)
    assert found(tmp_path) == (3, [])


def test_truncated_and_half_deleted_checkpoints_are_passed_over(tmp_path):
    three(tmp_path)
    big = max((tmp_path / "000003").rglob("*"), key=lambda p: p.stat().st_size * p.is_file())
    big.write_bytes(big.read_bytes()[:100])
    victim = next(p for p in (tmp_path / "000002").rglob("*") if p.is_file() and p != big)
    victim.unlink()
    number, said = found(tmp_path)
    assert number == 1
    assert ["was changed" in said[0], "is missing" in said[1]] == [True, True]


def test_a_folder_without_a_manifest_does_not_count_and_is_cleaned_up(tmp_path):
    three(tmp_path)
    (tmp_path / "000003.json").unlink()
    (tmp_path / "000004.orbax-checkpoint-tmp").mkdir()
    (tmp_path / ".000004.json.tmp").write_text("{")
    assert found(tmp_path) == (2, [])
    checkpoint.clean(tmp_path, {2})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["000002", "000002.json"]


def test_another_format_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "FORMAT", 9)
    three(tmp_path)
    monkeypatch.undo()
    with pytest.raises(UsageError, match=r"has format 9, this version of jaxcl reads format \d+;"):
        found(tmp_path)


def test_nothing_in_a_manifest_is_executed(tmp_path):
    three(tmp_path)
    for content in (b"", b"[]", b"null", b'{"sha256": 1}', b"cos\nsystem\n(S'true'\ntR.", b"\xff"):
        (tmp_path / "000003.json").write_bytes(content)
        assert found(tmp_path)[0] == 2


def test_a_saver_keeps_the_last_few(tmp_path):
    said = []
    save, wait = saver(tmp_path, 4, 2, said.append, ThreadPoolExecutor(1))
    for i in range(4):
        save(ARRAYS, {"i": i})
    assert wait()
    assert numbers(tmp_path) == [7, 8]
    assert read(tmp_path, 8).meta == {"i": 3}
    assert said == []


def test_a_full_disk_is_reported_and_the_checkpoint_before_stays(tmp_path, monkeypatch):
    said = []
    save, wait = saver(tmp_path, 0, 2, said.append, ThreadPoolExecutor(1))
    save(ARRAYS, {"i": 1})
    assert wait()

    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_bytes", full)
        save(ARRAYS, {"i": 2})
        assert not wait()
    assert len(said) == 1
    assert "checkpoint 2 was not written" in said[0]
    assert "No space left" in said[0]
    assert found(tmp_path) == (1, [])
    assert not (tmp_path / "000002").exists()
    save(ARRAYS, {"i": 3})
    assert wait()
    assert json.loads((tmp_path / "000003.json").read_text())["meta"] == {"i": 3}


def test_a_manifest_that_was_rewritten_is_noticed(tmp_path):
    """It still is JSON of the right form, and every file is as it was."""
    manifest = three(tmp_path) / "000003.json"
    content = json.loads(manifest.read_bytes())
    content["meta"]["number"] = 4
    manifest.write_text(json.dumps(content))
    assert found(tmp_path) == (2, ["checkpoint 3 is passed over: 000003.json was changed"])
