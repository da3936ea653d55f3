"""A class learner that is told the task: its accuracy among the task's own classes."""

import numpy as np
import pytest
from given import configured

from jaxcl.learner.seed_loop import run

PLAIN = {"batch_size": 20, "epochs": 1, "lr": 2e-3, "l2": 0.0, "net": "mlp", "hidden": (8,)}
pytestmark = pytest.mark.usefixtures("compiled_once")


@pytest.fixture
def tasks(make_task):
    return [make_task(f"bars{i}", n=40, seed=i, upright=i % 2 == 0) for i in range(3)]


def finish(tasks, method="finetune", **settings):
    return list(run(configured(method=method, **PLAIN | settings), tasks))[-1]


@pytest.mark.parametrize("heads", ["growing", "full"])
def test_other_classes_are_left_out(heads, tasks):
    ended = finish(tasks, setting="class", heads=heads)
    w = ended.params["heads"]
    last = [np.concatenate([np.asarray(w[name][part]) for name in sorted(w)], -1) for part in "wb"]
    first, by_hand, of_all = 0, {}, []
    for task in tasks:
        x = task.test_inputs.reshape(len(task.test_labels), -1).astype(np.float32) / 255
        fc1 = ended.params["fc1"]
        logits = np.maximum(x @ np.asarray(fc1["w"]) + np.asarray(fc1["b"]), 0) @ last[0] + last[1]
        own = logits[:, first : first + task.classes].argmax(-1)
        by_hand[task.name] = 100 * np.mean(own == task.test_labels)
        of_all.append(100 * np.mean(logits.argmax(-1) == task.test_labels + first))
        first += task.classes
    assert ended.within_task_accuracy == pytest.approx(by_hand)
    assert ended.matrix[-1] == pytest.approx(of_all)
    assert sum(by_hand.values()) > sum(of_all)  # it is another figure


@pytest.mark.slow
def test_what_predicts_is_asked_too(tasks):
    ended = finish(tasks, "ncm", setting="class")
    assert all(
        ended.within_task_accuracy[t.name] >= ended.matrix[-1][i] for i, t in enumerate(tasks)
    )


@pytest.mark.parametrize("setting", ["task", "domain"])
def test_other_settings_have_no_such_figure(setting, tasks):
    assert finish(tasks[:2], setting=setting).within_task_accuracy is None
