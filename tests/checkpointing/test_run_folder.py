"""The folder of a run: how it is named, and what cannot be one."""

import re
import time
from pathlib import Path

import pytest

from jaxcl.checkpointing import run_folder
from jaxcl.core.errors import OutputError
from jaxcl.learner.settings.configuration import configure


def test_runs_of_one_second_have_folders_of_their_own():
    made = set()
    for _ in range(5):
        made.add(run_folder.new("builtin", "ewc"))
        time.sleep(0.002)
    assert len(made) == 5
    assert {each.parent for each in made} == {Path("runs/builtin/ewc")}
    assert all(re.fullmatch(r"\d{8}-\d{6}-\d{3}", each.name) for each in made)


def test_a_name_that_no_folder_can_have_is_refused(tmp_path):
    with pytest.raises(
        OutputError, match=r"^out: .* cannot be a folder \(File name too long\); name"
    ):
        run_folder.check_free(tmp_path / ("n" * 256), overwrite=False)


@pytest.mark.parametrize("config", ['scenario = "own"\nmethod = "er"\n', "scenario = "])
def test_a_run_can_be_replaced_after_it_was_stopped_while_its_folder_was_emptied(
    config, tmp_path, monkeypatch
):
    """Wherever it was stopped, and also where its settings are damaged."""
    files = [run_folder.CONFIG, run_folder.METRICS, run_folder.SUMMARY, run_folder.PLOT]
    unlink = Path.unlink

    def emptied(at_most: int) -> None:
        removed = []

        def stopped(path, **how):
            if len(removed) == at_most:
                raise KeyboardInterrupt
            removed.append(path)
            unlink(path, **how)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", stopped)
            run_folder.create(tmp_path, configure("finetune", "builtin"))

    for name in files:
        (tmp_path / name).write_text(config)
    for at_most in range(1, len(run_folder.FILES) - 1):
        with pytest.raises(KeyboardInterrupt):
            emptied(at_most)
        run_folder.check_free(tmp_path, overwrite=True)
        assert not run_folder.finished(tmp_path)
        assert (tmp_path / run_folder.CONFIG).read_text() == config
    emptied(len(run_folder.FILES))
    assert [path.name for path in tmp_path.iterdir()] == [run_folder.CONFIG]
    assert (tmp_path / run_folder.CONFIG).read_text() != config
