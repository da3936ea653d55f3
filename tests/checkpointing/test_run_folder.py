"""The folder that a run has where none is named."""

import re
import time
from pathlib import Path

from jaxcl.checkpointing import run_folder


def test_runs_of_one_second_have_folders_of_their_own():
    made = set()
    for _ in range(5):
        made.add(run_folder.new("builtin", "ewc"))
        time.sleep(0.002)
    assert len(made) == 5
    assert {each.parent for each in made} == {Path("runs/builtin/ewc")}
    assert all(re.fullmatch(r"\d{8}-\d{6}-\d{3}", each.name) for each in made)
