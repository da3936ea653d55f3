"""Whole programs beside jaxcl's: how a program of others is given its data, asked, and tabled."""

import argparse
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxcl.scenarios.datasets import sources
from jaxcl.scenarios.task import Task

FOLDER = Path(__file__).parents[2] / "experiments/benchmarks"
SAYS = "import sys; print('=> average accuracy over all 5 contexts: 0.5'); sys.stderr.write('0.7')"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in ("report", "cases", "turns", "end_to_end"):  # of this folder, of no other test
        monkeypatch.delitem(sys.modules, name, raising=False)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 28, 28, 1), np.uint8)
    task = Task("mnist", images, np.arange(5), images[:2], np.arange(2), 10)
    monkeypatch.setattr(sources, "load", lambda name, data_dir, said: task)
    import references

    return references


def test_mnist_is_written_as_its_files_are(script, tmp_path):
    script.write_mnist(tmp_path, None)
    raw, task = tmp_path / "MNIST/MNIST/raw", sources.load("mnist", None, print)
    images = (raw / "train-images-idx3-ubyte").read_bytes()
    assert images[:16].hex() == "00000803" + "00000005" + "0000001c" * 2
    assert images[16:] == task.train_inputs.tobytes()
    assert (raw / "t10k-labels-idx1-ubyte").read_bytes() == bytes([0, 0, 8, 1, 0, 0, 0, 2, 0, 1])


def test_both_programs_take_turns_and_the_table_says_what_each_reached(
    script, monkeypatch, tmp_path
):
    (tmp_path / "theirs.py").write_text(SAYS)
    ours = "import json, pathlib, sys; out = pathlib.Path(sys.argv[-1]); out.mkdir();"
    ours += "(out / 'summary.json').write_text(json.dumps({'average_accuracy': {'mean': 60.0}}))"
    (tmp_path / "ours.py").write_text(ours)
    real = script.timed

    def timed(command):
        mine = "jaxcl.experiments.scenario" in command
        return real([sys.executable, str(tmp_path / "ours.py"), *command] if mine else command)

    monkeypatch.setattr(script, "timed", timed)
    monkeypatch.setenv("XDG_CACHE_HOME", "set by the command")
    options = argparse.Namespace(
        van_de_ven=f"{sys.executable} {tmp_path / 'theirs.py'}", data_dir=None, rounds=2
    )
    said = []
    taken = script.take(script.CASES["van-de-ven-er"], options, said.append)
    assert [len(taken[side]) for side in ("first", "jaxcl", "reference")] == [1, 2, 2]
    assert [line.split(", ")[1] for line in said] == ["jaxcl", *["jaxcl", "the reference"] * 2]
    assert taken["reference"][0]["accuracy"] == 50
    lines = script.page({"van-de-ven-er": taken}).splitlines()
    cells = next(line for line in lines if "ER: van de Ven" in line).split(" | ")
    assert cells[-3:-1] == ["60.0 %", "50.0 %"]
    assert "--method=er`" in cells[-1]
    assert sum("not measured" in line for line in lines) == len(script.CASES) - 1


def test_turns_are_added_to_those_of_the_same_machine_and_options(script):
    def turns(machine, wall):
        return {"machine": machine, "options": [], "date": machine} | {
            side: [{"wall": wall}] for side in script.SIDES
        }

    both = script.added(turns("here", 1.0), turns("here", 2.0))
    assert all(both[side] == [{"wall": 1.0}, {"wall": 2.0}] for side in script.SIDES)
    assert script.added(turns("there", 1.0), turns("here", 2.0)) == turns("here", 2.0)
