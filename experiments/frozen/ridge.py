"""Ridge regression on the features of all tasks at once, in float64, without the learner.

    python experiments/frozen/ridge.py RUNS [--data-dir DATA]

RUNS holds the runs of ``ranpac`` that run.sh makes: theirs are the random features and lambda.
Writes ``ridge.json`` beside this file: for the features, and for the random ones of each kind of
run, lambda, accuracy in percent on the test images, and how far the weights of each run are from
the solution here, relative to its norm.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import scipy.linalg
from numpy import ndarray

from jaxcl.checkpointing.storage import load_params
from jaxcl.learner.tasks import loaded
from jaxcl.scenarios.derive import shuffled_classes
from jaxcl.scenarios.task import Task

HERE = Path(__file__).parent
CLASSES, ROWS = 100, 5000
RIDGE = 1e2  # of the features themselves; random features have that of the runs
RUNS = ("ranpac", "ranpac-fixed")  # lambda is chosen by the run, or given


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


def at_once(task: Task, projection: ndarray | None, ridge: float) -> tuple[ndarray, dict[str, Any]]:
    """Weights from all training examples, and what is written of them."""
    weights = solution(task, projection, ridge)
    return weights, {"ridge": ridge, "accuracy": accuracy(task, projection, weights)}


def beside(task: Task, runs: Path, name: str) -> dict[str, Any]:
    """The solution with the random features and lambda of runs, and how far they are from it."""
    folders = sorted(runs.glob(f"order-*/{name}/predictor/seed0"))
    if not folders:
        raise SystemExit(f"error: {runs}: no run of {name}; make them with run.sh")
    states = {run.parts[-4]: load_params(run)["ranpac"] for run in folders}
    first = next(iter(states.values()))
    (ridge,) = {float(state["ridge"]) for state in states.values()}  # whatever the order
    weights, found = at_once(task, np.asarray(first["projection"], np.float64), ridge)
    found["apart"] = {}
    for order, state in states.items():
        assert np.array_equal(state["projection"], first["projection"])
        own = np.asarray(state["weights"], np.float64)[0][_places(task, order)]
        found["apart"][order] = float(np.linalg.norm(own - weights) / np.linalg.norm(weights))
    return found


def _places(task: Task, order: str) -> ndarray:
    """Where the classes of the data set stand in a run's order of them."""
    place, number = np.arange(CLASSES, dtype=np.int32), int(order.removeprefix("order-"))
    if not number:
        return place
    return np.asarray(shuffled_classes(task._replace(train_labels=place), number).train_labels)


def main() -> None:
    """Writes ``ridge.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--data-dir", type=Path)
    options = parser.parse_args()
    task = loaded("cifar100_lite0", options.data_dir, print)
    found = {"features": at_once(task, None, RIDGE)[1]}
    found |= {name: beside(task, options.runs, name) for name in RUNS}
    (HERE / "ridge.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
