"""The growing head of the class setting: one array from the start, or an array for each task."""

import jax
import numpy as np
import pytest
from given import configured
from rich.console import Console

import jaxcl
from jaxcl.core.errors import UsageError
from jaxcl.growth.heads import NEVER
from jaxcl.learner.seed_loop import run
from jaxcl.learner.testing import evaluate
from jaxcl.methods import METHODS
from jaxcl.training.evaluation import judged
from jaxcl.training.events import EpochEnded, SeedEnded
from jaxcl.training.train_step import run_steps

PLAIN = {"setting": "class", "net": "mlp", "hidden": (8,), "epochs": 2, "batch_size": 20}
GENERATOR = {"generator_steps": 3, "generated": 40, "generator_batch": 8}
ONE = sorted(name for name, method in METHODS.items() if vars(method).get("one_head"))
# Rounding stays as small as it is with a plain step and with units enough that no class lives on
# one alone: Adam makes a step of any slope, however small, as large as the others, and herding has
# to choose between examples whose features are the same.
STEADY = {"hidden": (32,), "optimizer": "sgd", "lr": 0.01, "l2": 1e-3}
MILD = {"ewc": {"strength": 10.0}, "online_ewc": {"strength": 10.0}}  # or the step leaps over it
QUICK = {"ewc", "si", "lwf", "er", "der_pp"}
# These classify by features that stay.  As a later task trains, its logits push those of earlier
# classes down in one array, and cannot in several; nothing is classified by them any more.
BY_FEATURES = {"ncm", "ranpac", "slda"}
pytestmark = pytest.mark.usefixtures("compiled_once")


@pytest.fixture
def tasks(make_task):
    return [make_task(f"bars{i}", n=60, seed=i, upright=i % 2 == 0) for i in range(3)]


def finished(tasks, method, **settings) -> list:
    more = GENERATOR if METHODS[method].generates else {}
    given = {"lr": 5e-3, "warmup_epochs": 0, **PLAIN, **more, **settings}
    return list(run(configured(method=method, **given), tasks))


def heads(event: SeedEnded) -> list[np.ndarray]:
    found = event.params["heads"]
    return [np.concatenate([found[name][part] for name in sorted(found)], -1) for part in "wb"]


@pytest.mark.parametrize(
    "method",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in ONE],
)
def test_one_array_learns_what_an_array_for_each_task_does(method, tasks, monkeypatch):
    *_, one = events = finished(tasks, method, **STEADY, **MILD.get(method, {}))
    monkeypatch.setattr(METHODS[method], "one_head", False)
    *_, several = apart = finished(tasks, method, **STEADY, **MILD.get(method, {}))
    assert list(one.params["heads"]) == ["t00"]
    assert list(several.params["heads"]) == ["t00", "t01", "t02"]
    of_head = (lambda each: []) if method in BY_FEATURES else heads
    weights = ([*of_head(each), each.params["fc1"]["w"]] for each in (one, several))
    for own, other in zip(*weights, strict=True):
        np.testing.assert_allclose(own, other, rtol=0, atol=1e-5)
    np.testing.assert_allclose(
        np.array(one.matrix, float), np.array(several.matrix, float), atol=1e-4
    )
    if method in BY_FEATURES:
        return
    assert one.zero_shot_accuracy == pytest.approx(several.zero_shot_accuracy)
    metrics = [[e.metrics for e in part if isinstance(e, EpochEnded)] for part in (events, apart)]
    for own, other in zip(*metrics, strict=True):
        assert own == pytest.approx(other, rel=1e-4, abs=1e-5, nan_ok=True)


@pytest.mark.slow
def test_one_array_serves_features_that_go_on_training(tasks, monkeypatch):
    *_, one = finished(tasks, "ncm", fixed=False, **STEADY)
    monkeypatch.setattr(METHODS["ncm"], "one_head", False)
    *_, several = finished(tasks, "ncm", fixed=False, **STEADY)
    weights = ([*heads(each), each.params["fc1"]["w"]] for each in (one, several))
    for own, other in zip(*weights, strict=True):
        np.testing.assert_allclose(own, other, rtol=0, atol=1e-5)


# Tests are by all classes, and at the end of the run by those of each task alone.  A step without
# exemplars is another than one with them, and so is a test before, with and between old responses.
@pytest.mark.parametrize(
    ("method", "steps", "tests", "given"),
    [
        ("finetune", 1, 2, {}),
        ("er_ace", 1, 2, {}),
        ("icarl", 2, 4, {}),
        ("bic", 2, 4, {}),
        ("lucir", 2, 4, {"heads": "full"}),
    ],
)
def test_a_later_task_compiles_nothing_that_earlier_ones_have_not(
    method, steps, tests, given, tasks
):
    run_steps.clear_cache()
    judged.clear_cache()
    finished(tasks, method, **given)
    assert (run_steps._cache_size(), judged._cache_size()) == (steps, tests)


def test_classes_that_are_still_to_come_do_not_move_and_are_not_predicted(tasks, monkeypatch):
    seen = []

    def look(view, task_index, variables, data, *given):
        head = variables.params["heads"]["t00"]
        seen.append((task_index, np.asarray(head["w"]), np.asarray(head["b"])))
        return evaluate(view, task_index, variables, data, *given)

    monkeypatch.setattr("jaxcl.learner.testing.evaluate", look)
    finished(tasks, "finetune", l2=0.1)
    classes = len(seen[0][2]) // 3
    newest = 0
    for task_index, w, b in seen:
        newest = max(newest, task_index)
        first = classes * (newest + 1)
        assert (w[:, first:] == 0).all()
        assert (b[first:] == NEVER).all()
        assert (np.abs(w[:, :first]) > 0).any(0).all()
        assert (b[:first] > -10).all()
    assert newest == 2


def test_who_wants_an_array_for_each_task_has_it(tasks):
    assert {"lucir", "gdumb", "pnn", "select", "shrink_perturb", "split"}.isdisjoint(ONE)
    assert list(finished(tasks, "finetune", warmup_epochs=1)[-1].params["heads"])[1:]
    for method in ("lucir", "shrink_perturb"):  # the second is a kind of fine-tuning
        assert list(finished(tasks, method)[-1].params["heads"])[1:]


def test_a_run_of_an_earlier_version_predicts_as_it_did_and_is_not_gone_on_with(
    tasks, monkeypatch, stopping_after, tmp_path
):
    given = {"setting": "class", "hidden": (4,), "epochs": 1, "batch_size": 20}
    given |= {"console": Console(quiet=True), "out": tmp_path / "run"}
    monkeypatch.setattr(METHODS["ewc"], "one_head", False)
    run = jaxcl.fit(tasks, "ewc", **given)
    before = run.logits(tasks[0].test_inputs)
    monkeypatch.setattr(METHODS["ewc"], "one_head", True)
    np.testing.assert_array_equal(jaxcl.load(run.folder).logits(tasks[0].test_inputs), before)
    monkeypatch.setattr(METHODS["ewc"], "one_head", False)
    given["out"] = tmp_path / "stopped"
    with stopping_after(2), pytest.raises(jaxcl.Interrupted):  # within the second task
        jaxcl.fit(tasks, "ewc", **given)
    monkeypatch.setattr(METHODS["ewc"], "one_head", True)
    with pytest.raises(UsageError, match="had a head for each task; begin anew"):
        jaxcl.fit(tasks, "ewc", **given)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "kept"), [("ewc", {}), ("er", {"per_class": 2})])
def test_more_tasks_are_not_more_programs(method, kept, make_task, tmp_path):
    """Of the same length; the third has all programs but what the end of a run needs."""
    found = []
    for n in (3, 6):
        some = [make_task(f"bars{i}", n=60, seed=i) for i in range(n)]
        jax.clear_caches()
        given = {"setting": "class", "hidden": (8,), "epochs": 1, "batch_size": 20}
        given |= {"console": Console(quiet=True), "out": tmp_path / str(n)}
        found.append(jaxcl.fit(some, method, **given, **kept).summary["compilations"])
    assert 10 < found[0] == found[1]
