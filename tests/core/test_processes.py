"""Real processes on this machine, joined over 127.0.0.1."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import chex
import numpy as np
import pytest

from jaxcl.checkpointing import storage
from jaxcl.core import processes
from jaxcl.core.errors import UsageError

COMMAND = ["--method", "ewc", "--scenario", "split-digits", "--tasks", "2", "--optimizer", "sgd"]
COMMAND += ["--lr", "0.01", "--strength", "10", "--fisher-examples", "64", "--iterations"]
pytestmark = pytest.mark.slow


def start(n: int, folder: Path, *args: str) -> list[subprocess.Popen]:
    """``n`` processes of one command, which write to a folder."""
    command = ["-m", "jaxcl.experiments.scenario", *COMMAND, *args, "--out", str(folder)]
    folder.parent.mkdir(parents=True, exist_ok=True)
    return joined(n, folder.parent, *command)


def joined(n: int, where: Path, *args: str) -> list[subprocess.Popen]:
    """``n`` processes of Python that find each other."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{found.getsockname()[1]}"
    env = {k: v for k, v in os.environ.items() if not k.startswith("SLURM")}
    env |= {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": str(n)}
    return [
        subprocess.Popen(
            [sys.executable, *args],
            env={**env, "JAX_PROCESS_ID": str(i)},
            cwd=where,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(n)
    ]


def ended(started: list[subprocess.Popen], seconds: float = 600) -> list[tuple[int, str, str]]:
    """Exit code, output and errors of each."""
    try:
        said = [each.communicate(timeout=seconds) for each in started]
    finally:
        for each in started:
            each.kill()
    return [(each.returncode, *texts) for each, texts in zip(started, said, strict=True)]


def result(folder: Path):
    summary = json.loads((folder / "summary.json").read_text())
    return summary["accuracy"], storage.load_params(folder / "params" / "seed0")


def assert_same(one: Path, other: Path, tolerance: float = 1e-5) -> None:
    (accuracy, params), (others_accuracy, others_params) = result(one), result(other)
    np.testing.assert_allclose(np.array(accuracy, float), np.array(others_accuracy, float))
    chex.assert_trees_all_close(params, others_params, rtol=0, atol=tolerance)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one process makes of 60 iterations."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    ((code, _, errors),) = ended(start(1, folder, "60"))
    assert code == 0, errors
    return folder


LONG = "400", "--checkpoint-every", "1s"


@pytest.fixture(scope="module")
def alone_for_long(tmp_path_factory):
    """What one process makes of 400 iterations."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    ((code, _, errors),) = ended(start(1, folder, *LONG))
    assert code == 0, errors
    return folder


READING = """
import sys
import numpy, jaxcl
from jaxcl.core import processes
processes.join()
for file, params in zip(sys.argv[2:], jaxcl.load(sys.argv[1]).params):
    numpy.save(file + str(processes.number()), params["fc1"]["w"])
"""


def test_processes_that_share_batches_make_what_one_makes(alone, tmp_path):
    found = ended(start(4, tmp_path / "run", "60"))
    assert [code for code, _, _ in found] == [0] * 4, found
    assert "written to" in found[0][1]
    assert all("written to" not in out for _, out, _ in found[1:])  # the first one speaks
    assert_same(alone, tmp_path / "run")
    found = ended(joined(2, tmp_path, "-c", READING, str(alone), "w"), 60)
    assert [code for code, _, _ in found] == [0, 0], found
    whole = result(alone)[1]["fc1"]["w"]
    for number in (0, 1):  # each reads what the run wrote
        np.testing.assert_array_equal(np.load(tmp_path / f"w{number}.npy"), whole)


def test_each_process_streams_its_part_of_the_batches(alone, tmp_path):
    found = ended(start(2, tmp_path / "run", "60", "--stream"))
    assert [code for code, _, _ in found] == [0, 0], found
    assert_same(alone, tmp_path / "run")


def saved(folder: Path, seconds: float = 600) -> None:
    """Waits for a checkpoint."""
    until = time.monotonic() + seconds
    while not list((folder / "checkpoints").glob("*.json")):
        assert time.monotonic() < until, "no checkpoint"
        time.sleep(0.1)


@pytest.mark.parametrize("killed", [0, 1])
def test_when_one_is_killed_the_others_end_and_another_number_goes_on(
    killed, alone_for_long, tmp_path
):
    folder = tmp_path / "run"
    started = start(2, folder, *LONG)
    saved(folder)
    started[killed].kill()
    codes = ended(started)
    code, _, errors = codes[1 - killed]
    assert code != 0
    assert "another process has ended, or cannot be reached" in errors
    assert not (folder / "summary.json").exists()
    left = {0: 1, 1: 2}[killed]  # processes that go on
    found = ended(start(left, folder, *LONG, "--resume", str(folder)))
    assert [code for code, _, _ in found] == [0] * left, found
    assert "resumed from checkpoint" in found[0][1]
    assert_same(alone_for_long, folder, 1e-4)  # rounding grows with the steps


def test_a_signal_to_one_stops_all_when_everything_is_saved(tmp_path):
    folder = tmp_path / "run"
    started = start(2, folder, "20000", "--checkpoint-every", "1s")
    saved(folder)
    started[1].send_signal(signal.SIGTERM)  # not the one that writes
    found = ended(started)
    assert [code for code, _, _ in found] == [75, 75], found
    assert "interrupted and saved" in found[0][2]


def test_an_error_that_the_first_one_finds_ends_all(alone):
    """Its folder is not free; nothing of it is touched."""
    before = (alone / "metrics.jsonl").read_bytes()
    (first, _, error), (second, _, _) = ended(start(2, alone, "60"))
    assert (first, second) == (2, 1)
    assert "already holds a run" in error
    assert (alone / "metrics.jsonl").read_bytes() == before


def test_an_environment_that_says_half_of_it_is_refused(monkeypatch):
    monkeypatch.setenv("JAX_NUM_PROCESSES", "2")
    monkeypatch.delenv("JAX_PROCESS_ID", raising=False)
    with pytest.raises(UsageError, match="give JAX_PROCESS_ID"):
        processes.join()
    monkeypatch.setenv("JAX_NUM_PROCESSES", "two")
    with pytest.raises(UsageError, match="JAX_NUM_PROCESSES: two, but"):
        processes.join()


def test_one_process_agrees_with_itself():
    assert processes.is_primary()
    assert not processes.is_multiprocess()
    assert processes.on_primary(lambda: ("anything", 1)) == ("anything", 1)
    assert processes.any_of([True, False]) == [True, False]
    assert processes.broadcast(0.1) == 0.1
