"""The folder of a run: how it is named, and what cannot be one."""

import re
import time
from pathlib import Path

import pytest

from jaxcl.checkpointing import run_folder
from jaxcl.core.errors import OutputError


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
