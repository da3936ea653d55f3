import multiprocessing
import os
import pwd
import tempfile
from pathlib import Path
from unittest import mock

import pytest

from jaxcl.checkpointing import lock, run_folder, unfinished
from jaxcl.core import cache


@pytest.fixture
def begun(tmp_path):
    """Makes the folder of a run that was begun, and notes it."""

    def make(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / run_folder.CONFIG).write_text("")
        unfinished.note(folder)
        return folder

    return make


def test_what_is_gone_or_finished_is_dropped_and_what_is_in_use_is_passed_over(begun, tmp_path):
    one, gone, done, used = (begun(name) for name in ("one", "gone", "done", "with\nsigns ü"))
    (gone / run_folder.CONFIG).unlink()
    (done / run_folder.SUMMARY).write_text("{}")
    with lock.locked(used):
        assert unfinished.noted() == [one]
        assert len(list(unfinished.place().iterdir())) == 2  # that in use stays in the list
    assert sorted(unfinished.noted()) == sorted([one, used])
    unfinished.forget(one)
    unfinished.forget(one)
    assert unfinished.noted() == [used]


def test_it_lies_in_the_users_folder_of_states(monkeypatch, tmp_path):
    assert unfinished.place() == tmp_path / "state/jaxcl/runs"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert unfinished.place() == tmp_path / "home/.local/state/jaxcl/runs"
    assert unfinished.noted() == []
    assert not (tmp_path / "home").exists()


def test_a_folder_noted_twice_or_by_another_way_is_one(begun, monkeypatch, tmp_path):
    folder = begun("one")
    monkeypatch.chdir(tmp_path)
    unfinished.note(Path("one"))
    assert unfinished.noted() == [folder]


def test_a_list_that_cannot_be_written_does_not_stop_a_run(tmp_path):
    (tmp_path / "state").write_text("a file")
    unfinished.note(tmp_path)
    unfinished.forget(tmp_path)
    assert unfinished.noted() == []


def test_a_user_without_a_home_has_no_list_and_a_temporary_cache(monkeypatch, tmp_path):
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", mock.Mock(side_effect=KeyError("uid not found")))
    unfinished.note(tmp_path)
    unfinished.forget(tmp_path)
    assert cache.folder().parent == Path(tempfile.gettempdir())


def note_all(folders: list[Path]) -> None:
    for folder in folders:
        unfinished.note(folder)


def test_processes_that_note_runs_at_once_lose_none(tmp_path):
    folders = [tmp_path / str(i) for i in range(40)]
    for folder in folders:
        folder.mkdir()
        (folder / run_folder.CONFIG).write_text("")
    fork = multiprocessing.get_context("forkserver")
    parts = [fork.Process(target=note_all, args=(folders[i::2],)) for i in range(2)]
    for part in parts:
        part.start()
    while any(part.is_alive() for part in parts):
        unfinished.noted()  # a reader drops nothing that is not finished
    assert [part.exitcode for part in parts] == [0, 0]
    assert sorted(unfinished.noted()) == sorted(folders)
    assert len(os.listdir(unfinished.place())) == len(folders)
