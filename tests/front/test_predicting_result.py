"""A result predicts as its run was tested, also where something else than logits predicts."""

import json

import numpy as np
import pytest
from rich.console import Console

import jaxcl
from jaxcl.checkpointing import run_folder
from jaxcl.checkpointing.storage import load_params
from jaxcl.learner.settings.configuration import configure
from jaxcl.transforms import LossTransform

TRAINING = jaxcl.Training(epochs=2, batch_size=20, l2=0.0)
NETWORK = jaxcl.networks.MLP((16,))
SETTINGS = [("task", None), ("domain", None), ("class", None), ("class", "full")]


@pytest.fixture
def tasks(make_task):
    return [make_task(f"bars{i}", n=60, seed=i, upright=i % 2 == 0) for i in range(3)]


def fitted(tasks, out, setting, heads=None, method="ncm", **settings):
    settings |= {} if heads is None else {"heads": heads}
    return jaxcl.fit(
        tasks, method, NETWORK, setting=setting, training=TRAINING, seeds=(0, 1), out=out,
        console=Console(quiet=True), **settings,
    )  # fmt: skip


def accuracies(found, tasks, setting, seed):
    row, first = [], 0
    for task in tasks:
        named = {"task": task.name} if setting == "task" else {}
        guessed = found.predict(task.test_inputs, seed=seed, **named)
        row.append(100 * np.mean(guessed == task.test_labels + first))
        first += task.classes if setting == "class" else 0
    return row


@pytest.mark.parametrize(
    ("method", "setting", "heads"),
    [
        *[("ncm", *each) for each in SETTINGS],
        ("shrink_perturb", "task", None),
        ("icarl", "task", None),
        ("icarl", "class", None),
        ("bic", "class", None),
        ("lucir", "class", "full"),
        ("slda", "class", "full"),
        ("ranpac", "domain", None),
    ],
)
@pytest.mark.slow
def test_it_has_the_accuracy_of_the_matrix(method, setting, heads, tasks, tmp_path):
    few = {"units": 30} if method == "ranpac" else {}  # of 10,000, which take long
    found = fitted(tasks, tmp_path / "run", setting, heads, method, **few)
    for result in (found, jaxcl.load(tmp_path / "run")):
        for place, seed in enumerate((0, 1)):
            row = accuracies(result, tasks, setting, seed)
            np.testing.assert_allclose(row, result.accuracy[place, -1], atol=1e-4)


@pytest.mark.slow
def test_the_state_that_predicts_lies_in_a_folder_of_its_own(tasks, tmp_path):
    found = fitted(tasks, tmp_path / "run", "class", unit_length=True)
    kept = load_params(tmp_path / "run" / run_folder.PREDICTOR / "seed1")
    assert list(kept) == ["ncm"]
    assert kept["ncm"]["counts"].tolist() == [[20] * 9]
    assert run_folder.PREDICTOR in run_folder.FILES
    assert found.summary["classes"] == [3, 3, 3]
    one = found.logits(tasks[0].test_inputs, seed=1)
    assert one.shape == (30, 9)
    assert np.all(one <= 0)  # minus a distance
    found.save(tmp_path / "copy")
    again = jaxcl.load(tmp_path / "copy").logits(tasks[0].test_inputs, seed=1)
    np.testing.assert_array_equal(again, one)
    assert np.any(found.logits(tasks[0].test_inputs, seed=0) != one)


@pytest.mark.slow
def test_nothing_is_kept_where_the_logits_predict(tasks, tmp_path):
    found = fitted(tasks[:1], tmp_path / "run", "task", method="finetune")
    assert not (tmp_path / "run" / run_folder.PREDICTOR).exists()
    assert found.logits(tasks[0].test_inputs, "bars0").max() > 0
    summary = tmp_path / "run" / run_folder.SUMMARY
    older = json.loads(summary.read_text())
    del older["classes"]  # which runs of before do not have
    summary.write_text(json.dumps(older))
    again = jaxcl.load(tmp_path / "run").logits(tasks[0].test_inputs, "bars0")
    np.testing.assert_array_equal(again, found.logits(tasks[0].test_inputs, "bars0"))


@pytest.mark.slow
def test_a_run_that_is_replaced_leaves_no_state_behind(tasks, tmp_path):
    fitted(tasks[:1], tmp_path / "run", "task")
    fitted(tasks[:1], tmp_path / "run", "task", method="finetune", overwrite=True)
    assert not (tmp_path / "run" / run_folder.PREDICTOR).exists()


def test_a_state_without_arrays_predicts_too(tasks, tmp_path, monkeypatch):
    """The last class of all, whatever the example."""
    last = LossTransform(
        lambda params: (), lambda loss, s, c: (loss, {}),
        predict=lambda s, c: -c.logits(c.outputs, c.batch) * 0 + np.arange(3, dtype=np.float32),
    )  # fmt: skip
    method = type(configure("ncm").method)
    monkeypatch.setattr(method, "losses", lambda self, stream: {"last": last})
    found = fitted(tasks[:1], tmp_path / "run", "task")
    assert set(found.predict(tasks[0].test_inputs, "bars0").tolist()) == {2}
    np.testing.assert_allclose(found.accuracy[:, -1, 0], 100 / 3, rtol=1e-5)
