"""Benchmarks of the literature at a tiny size: real images, a few steps, the whole command."""

import json
import os
import sys

import pytest

from jaxcl.experiments import scenario
from jaxcl.learner.settings.protocols import SCENARIOS

WHERE = os.environ.get("JAXCL_TEST_DATA")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(WHERE is None, reason="JAXCL_TEST_DATA does not name a TFDS folder"),
]
SMALL = {"--limit": 20, "--tasks": 2, "--epochs": 1, "--batch-size": 5, "--width": 2}
MLP = {"--limit": 20, "--tasks": 3, "--epochs": 1, "--batch-size": 10, "--hidden": 8}
KEPT = {**SMALL, "--buffer": 20}
RUNS = [
    ("split-cifar10", "der_pp", KEPT),
    ("split-cifar10", "icarl", KEPT),
    ("online-cifar10", "er_ace", KEPT),
    ("online-cifar100", "finetune", {**SMALL, "--tasks": 1}),
    ("plasticity-mnist", "l2_init", MLP),
    ("permuted-mnist", "ewc", MLP),
    ("split-mnist", "ncm", {**MLP, "--tasks": 2, "--iterations": 2, "--epochs": None}),
]


@pytest.mark.parametrize(("name", "method", "options"), RUNS)
def test_a_benchmark_runs(name, method, options, monkeypatch, capsys, tmp_path):
    given = [f"{part}" for k, v in options.items() if v is not None for part in (k, v)]
    command = ["--scenario", name, "--method", method, *given, "--data-dir", WHERE]
    monkeypatch.setattr(sys, "argv", ["scenario", *command, "--out", str(tmp_path / "run")])
    scenario.run()
    capsys.readouterr()
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    tasks, classes = options["--tasks"], SCENARIOS[name].protocol.data.setting == "class"
    assert [len(row) for row in summary["accuracy"][0]] == [tasks] * tasks
    assert all(0 <= value <= 100 for value in summary["accuracy"][0][-1])
    assert (summary["within_task_accuracy"]["mean"] is not None) == classes
