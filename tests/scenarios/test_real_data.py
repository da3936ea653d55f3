"""Real images, where ``JAXCL_TEST_DATA`` names a TFDS folder that holds them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxcl.scenarios.datasets.sources import load

WHERE = os.environ.get("JAXCL_TEST_DATA")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(WHERE is None, reason="JAXCL_TEST_DATA does not name a TFDS folder"),
]


def real(name):
    return load(name, Path(WHERE), lambda text: None)


def test_mnist_is_whole():
    task = real("mnist")
    assert task.train_inputs.shape == (60_000, 28, 28, 1)
    assert task.test_inputs.shape == (10_000, 28, 28, 1)
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(task.train_labels).tolist() == counts


def test_cifar10_is_whole():
    task = real("cifar10")
    assert task.train_inputs.shape == (50_000, 32, 32, 3)
    mean = task.train_inputs.mean((0, 1, 2)) / 255
    np.testing.assert_allclose(mean, [0.49139968, 0.48215841, 0.44653091], atol=1e-7)
    assert np.bincount(task.test_labels).tolist() == [1000] * 10


def test_cifar100_is_whole():
    task = real("cifar100")
    assert task.train_inputs.shape == (50_000, 32, 32, 3)
    mean = task.train_inputs.mean((0, 1, 2)) / 255
    np.testing.assert_allclose(mean, [0.50707516, 0.48654887, 0.44091784], atol=1e-7)
    assert np.bincount(task.train_labels).tolist() == [500] * 100
    assert np.bincount(task.test_labels).tolist() == [100] * 100


COMMAND = """
import sys
from jaxcl.experiments import scenario

scenario.run()
assert "tensorflow" not in sys.modules
"""


def test_scenario_3_at_a_small_size(tmp_path):
    """As a user has it: with programs that XLA has made fast."""
    options = ["--scenario", "3", "--method", "lwf", "--limit", "3000", "--epochs", "3"]
    command = [sys.executable, "-c", COMMAND, *options, "--data-dir", WHERE, "--out", "here"]
    env = {**os.environ, "XLA_FLAGS": ""}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    accuracy = json.loads((tmp_path / "here/summary.json").read_text())["accuracy"][0]
    assert accuracy[0][0] >= 90  # MNIST, after 90 steps
    assert accuracy[1][0] >= 80
    assert accuracy[1][1] >= 30  # CIFAR-10
