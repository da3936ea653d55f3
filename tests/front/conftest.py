import io

import numpy as np
import pytest
from rich.console import Console

import jaxcl


@pytest.fixture
def quiet():
    """A console that nobody sees."""
    return Console(file=io.StringIO())


@pytest.fixture
def pair():
    """Two tasks of points that a small network can tell apart; names, 3 and 2 classes."""

    def points(seed: int, classes: int):
        rng, y = np.random.default_rng(seed), np.arange(60) % classes
        x = rng.normal(size=(60, 5)).astype(np.float32)
        x[np.arange(60), y] += 4
        return x, y

    made = [("first", 3), ("second", 2)]
    return [jaxcl.Task(name, *points(c, c), *points(9 + c, c)) for name, c in made]


@pytest.fixture
def small(tmp_path, quiet):
    """Settings of a run that takes a moment."""
    how = {"network": jaxcl.networks.MLP((4,)), "epochs": 2, "batch_size": 20, "lr": 0.01}
    return {**how, "console": quiet, "out": tmp_path / "run"}
