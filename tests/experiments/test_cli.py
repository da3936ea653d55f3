import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from jaxcl.core import processes
from jaxcl.core.errors import UsageError
from jaxcl.experiments.command_line import cli
from jaxcl.experiments.command_line.cli import ranges
from jaxcl.experiments.command_line.words import run_tyro


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--seeds", "0..3"], ["--seeds", "0", "1", "2", "3"]),
        (["--seeds=4..5", "9"], ["--seeds", "4", "5", "9"]),
        (["--seeds", "7", "1..1", "--grid", "lr=1..2"], None),
        (["--out", "0..3"], ["--out", "0..3"]),
        (["--seeds", "0...3", "x..y", "1.."], ["--seeds", "0...3", "x..y", "1.."]),
    ],
)
def test_ranges_stand_for_seeds_alone(args, expected):
    assert ranges(args) == (expected or ["--seeds", "7", "1", "--grid", "lr=1..2"])


@pytest.mark.parametrize("text", ["3..1", "0..4000000000"])
def test_ranges_of_none_or_too_many(text):
    with pytest.raises(UsageError, match="none, or too many"):
        ranges(["--seeds", text])


@dataclasses.dataclass(frozen=True)
class Command:
    """A command."""

    method: str = "a"
    """What to do."""


def say(command: Command) -> None:
    print(f"seed 0 · {command.method} ± Fréchet ☃")


def read(args):
    return run_tyro(Command, "say", "A command.", args, ["method"])


SCRIPT = (
    "import test_cli as t; from jaxcl.experiments.command_line import cli; cli.main(t.read, t.say)"
)


def started(*args: str | bytes, **env: str) -> subprocess.CompletedProcess:
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, *args],
        capture_output=True,
        env={**os.environ, **env},
        cwd=Path(__file__).parent,
        check=False,
    )


def test_where_there_is_no_more_than_ascii_signs_have_stand_ins():
    done = started("--method", "b", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout) == (0, b"seed 0 - b +/- Frechet ?\n")
    assert "± Fréchet ☃" in started(PYTHONIOENCODING="utf-8").stdout.decode()


def test_a_name_that_is_no_text_is_refused_before_anything_is_done():
    done = started("--method", b"x\xff")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == b"error: 'x\\udcff': this name is not text in UTF-8; give another\n"


@pytest.mark.parametrize("args", [["--metod=b"], ["--metod", "b"], ["--meth=b"]])
def test_an_unknown_option_names_the_nearest(args):
    done = started(*args)
    assert done.returncode == 2
    assert b"Perhaps you meant: --method; see --help" in done.stderr


DEAF = """
import time
from jaxcl.experiments.command_line import cli

def read(args):
    print("begun", flush=True)
    while True:
        try:
            time.sleep(60)
        except BaseException:  # as in a callback of C that lets nothing through
            pass

cli.main(read, print)
"""


def test_a_run_that_is_stopped_before_it_begins_can_be_put_back():
    """75 is the code on which the schedulers in launch/ start the same command again."""
    process = subprocess.Popen(
        [sys.executable, "-c", DEAF], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 75
    assert err.startswith("error: stopped; what was written is kept")


def test_a_signal_while_jax_is_imported_asks_it_nothing(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", ModuleType("jax"))
    assert processes.is_primary()


def test_the_handler_of_signals_is_put_back(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["scenario"])
    before = signal.getsignal(signal.SIGTERM)
    cli.main(lambda args: None, lambda parsed: None)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_home_folder_behind_an_equals_sign_is_found(monkeypatch):
    """A shell expands it in ``--out ~/mine`` alone."""
    monkeypatch.setenv("HOME", "/home/me")
    given = ["--out=~/mine", "--resume=~/a=b", "--lr=~", "--out", "~"]
    assert cli.at_home(given) == [
        "--out=/home/me/mine",
        "--resume=/home/me/a=b",
        "--lr=~",
        "--out",
        "~",
    ]
