"""What a user can hand in, at random: an error is one line that says what to do.

680 cases in all: the command line, configurations, checkpoints, data folders.
"""

import contextlib
import io
import os
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jaxcl.checkpointing import checkpoint, run_folder
from jaxcl.core import cache
from jaxcl.core.errors import DataError, UsageError
from jaxcl.experiments import scenario
from jaxcl.learner.settings.config import known_settings
from jaxcl.learner.settings.configuration import CHOICES
from jaxcl.scenarios.datasets import tfds

NAMES = sorted(known_settings() | set(CHOICES))
OPTIONS = [f"--{name.replace('_', '-')}" for name in NAMES]
OPTIONS += ["--out", "--resume", "--checkpoint-every", "--keep", "--overwrite", "--nothing"]
WORDS = ["0", "-1", "1e400", "nan", "inf", "", " ", "--", "-", "select", "copy", "../..", "é", "\\"]
WORDS += ["\N{SNOWMAN}", "1 2", "None", "True", "99999999999999999999", "0x10", "1_0", "$HOME", "*"]
VALUES = st.sampled_from(WORDS) | st.integers().map(str) | st.floats().map(str)
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
ARGUMENTS = st.lists(st.tuples(st.sampled_from(OPTIONS), VALUES | TEXT), max_size=3)
fuzz = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    derandomize=True,
    deadline=None,
)


def call(args) -> tuple[object, str]:
    """Exit code and standard error of the command; a traceback would come through."""
    err = io.StringIO()
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(err),
        mock.patch.object(sys, "argv", ["scenario", *args]),
    ):
        try:
            scenario.run()
        except SystemExit as stop:
            return stop.code, err.getvalue()
    return 0, err.getvalue()


def one_line(code, err):
    assert code in (0, 2)
    if code == 2:
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert len(err) > 15
    else:
        assert err == ""


@pytest.mark.slow
@settings(fuzz, max_examples=300)
@given(arguments=ARGUMENTS)
def test_command_line(arguments, tmp_path):
    with contextlib.chdir(tmp_path):
        one_line(*call(["--dry-run", *(part for pair in arguments for part in pair)]))
    assert not list(tmp_path.glob("*"))


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in files(folder)}


@pytest.mark.slow
@settings(fuzz, max_examples=200)
@given(arguments=ARGUMENTS)
def test_command_line_up_to_the_first_step(arguments, tmp_path):
    """All but the data and the training: output folder, lock, what is there already."""
    here, held = tmp_path / "a" / "b", tmp_path / "a" / "b" / "select"
    held.mkdir(parents=True, exist_ok=True)
    for name in ("config.toml", "metrics.jsonl", "summary.json"):
        (held / name).write_bytes(b"precious")
    before = tree(held)
    stop = UsageError("set_up: this is where the test ends")
    with (
        contextlib.chdir(here),
        mock.patch("jaxcl.runner.execute.load_tasks", return_value=[]),
        mock.patch("jaxcl.runner.execute.set_up", side_effect=stop),
    ):
        one_line(*call([part for pair in arguments for part in pair]))
    if not any(option == "--overwrite" for option, _ in arguments):
        assert tree(held) == before


LINES = st.tuples(st.sampled_from([*NAMES, "x"]), VALUES | TEXT)
TOML = st.lists(LINES.map(" = ".join), max_size=4).map("\n".join).map(str.encode)


@settings(fuzz, max_examples=180)
@given(content=TOML | st.binary(max_size=40))
@pytest.mark.slow
def test_configuration(content, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir(exist_ok=True)
    (folder / run_folder.CONFIG).write_bytes(content)
    code, err = call(["--resume", str(folder), "--dry-run"])
    one_line(code, err)
    assert [p.name for p in folder.iterdir()] == [run_folder.CONFIG]
    assert (folder / run_folder.CONFIG).read_bytes() == content


@pytest.fixture
def saved(tmp_path):
    checkpoint.write(tmp_path, 1, {"w": np.arange(100.0)}, {"epoch": 1})
    return tmp_path


def files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file())


CHANGES = st.tuples(st.integers(0, 99), st.floats(0, 1), st.binary(max_size=6), st.booleans())


@settings(fuzz, max_examples=100)
@given(change=CHANGES)
def test_checkpoint(change, saved):
    """A change anywhere is noticed; nothing but the arrays that were saved is ever read."""
    which, where, content, cut = change
    file = files(saved)[which % len(files(saved))]
    before = file.read_bytes()
    place = int(where * len(before))
    after = before[:place] + content + (b"" if cut else before[place + len(content) :])
    file.write_bytes(after)
    said = []
    found = checkpoint.newest(saved, lambda meta: None, said.append)
    if after == before:
        assert found is not None
        np.testing.assert_array_equal(found.arrays["w"], np.arange(100.0))
    else:
        assert found is None
        assert len(said) == 1
    file.write_bytes(before)


@settings(fuzz, max_examples=100)
@given(content=st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
@pytest.mark.slow
def test_data_folder(content, tmp_path):
    folder = tmp_path / "mnist" / "3.0.1"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("dataset_info.json", "features.json"):
        (folder / name).write_bytes(content)
    os.environ.pop("TFDS_DATA_DIR", None)
    with pytest.raises(DataError, match=r"mnist is damaged .*run: python -m jaxcl"):
        tfds.read("mnist", tmp_path, lambda text: None)
    cache.store(tmp_path / "c.npz", {"x": np.arange(3)})
    (tmp_path / "c.npz").write_bytes(content)
    found = cache.cached(tmp_path / "c.npz", lambda: {"x": np.arange(3)})
    np.testing.assert_array_equal(found["x"], np.arange(3))


def test_usage_errors_are_value_errors():
    """So that a caller in a notebook can catch them by a common name."""
    assert issubclass(UsageError, ValueError)
    assert issubclass(DataError, UsageError)
