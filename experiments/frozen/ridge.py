"""Ridge regression on the features of all tasks at once, in float64, without the learner.

    python experiments/frozen/ridge.py RUNS [--data-dir DATA]

RUNS holds the runs of ``ranpac`` that run.sh makes: theirs are the random features.  Writes
``ridge.json`` beside this file: accuracies in percent on the test images, and how far
the weights of each run are from the solution here, relative to its norm.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import scipy.linalg
from numpy import ndarray

from jaxcl.checkpointing.checkpoint import load_params
from jaxcl.learner.tasks import loaded
from jaxcl.scenarios.derive import shuffled_classes
from jaxcl.scenarios.task import Task

HERE = Path(__file__).parent
CLASSES, ROWS = 100, 5000
RIDGE = 1e2  # of the features themselves; random features have that of the runs


def random_features(rows: ndarray, projection: ndarray | None) -> ndarray:
    """Features, or random features of them, in float64."""
    rows = np.asarray(rows, np.float64)
    return rows if projection is None else np.maximum(rows @ projection, 0)


def solution(task: Task, projection: ndarray | None, ridge: float) -> ndarray:
    """Weights ``[classes, units]`` on all training examples at once."""
    gram: Any = 0
    sums: Any = 0
    for first in range(0, len(task.train_labels), ROWS):
        part = slice(first, first + ROWS)
        hidden = random_features(task.train_inputs[part], projection)
        gram = gram + hidden.T @ hidden
        sums = sums + np.eye(CLASSES)[task.train_labels[part]].T @ hidden
    factor = scipy.linalg.cho_factor(gram + ridge * np.eye(len(gram)), lower=True)
    return scipy.linalg.cho_solve(factor, sums.T).T


def accuracy(task: Task, projection: ndarray | None, weights: ndarray) -> float:
    """Percent of the test examples."""
    found = (random_features(task.test_inputs, projection) @ weights.T).argmax(-1)
    return float(100 * np.mean(found == task.test_labels))


def main() -> None:
    """Writes ``ridge.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--data-dir", type=Path)
    options = parser.parse_args()
    task = loaded("cifar100_lite0", options.data_dir, print)
    found: dict[str, Any] = {"features": accuracy(task, None, solution(task, None, RIDGE))}
    runs = sorted(options.runs.glob("order-*/ranpac/predictor/seed0"))
    states = {run.parts[-4]: load_params(run)["ranpac"] for run in runs}
    projection = np.asarray(states["order-0"]["projection"], np.float64)
    (ridge,) = {float(state["ridge"]) for state in states.values()}  # whatever the order
    found["ridges"] = RIDGE, ridge
    weights = solution(task, projection, ridge)
    found["random_features"] = accuracy(task, projection, weights)
    found["apart"] = {}
    for name, state in states.items():
        assert np.array_equal(state["projection"], states["order-0"]["projection"])
        order = int(name.removeprefix("order-"))
        place = np.arange(CLASSES, dtype=np.int32)
        if order:
            place = shuffled_classes(task._replace(train_labels=place), order).train_labels
        own = np.asarray(state["weights"], np.float64)[0][place]
        found["apart"][name] = float(np.linalg.norm(own - weights) / np.linalg.norm(weights))
    (HERE / "summaries").mkdir(exist_ok=True)
    (HERE / "ridge.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
