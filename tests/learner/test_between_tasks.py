"""Methods that change gradients, weights or predictions, in the loop that everybody runs."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from given import configured
from scipy.spatial.distance import cdist

from jaxcl.core.errors import UsageError
from jaxcl.growth.heads import FULL_HEAD, SETTINGS, view_of
from jaxcl.growth.parameters import add_head
from jaxcl.learner.build import set_up
from jaxcl.learner.seed_loop import run
from jaxcl.methods import METHODS
from jaxcl.networks import Pathway, mlp
from jaxcl.networks.base import TEST, Variables
from jaxcl.scenarios.images import to_float
from jaxcl.training.evaluation import Predictor, evaluate
from jaxcl.training.events import EpochEnded, SeedEnded
from jaxcl.transforms import PredictedLogits

PLAIN = {"epochs": 2, "batch_size": 20, "lr": 2e-3, "l2": 0.0, "net": "mlp", "hidden": (16,)}
pytestmark = pytest.mark.usefixtures("compiled_once")
EVERY = ["task", "domain", "class", "full"]
EITHER = list(zip(EVERY, (False, True, True, False), strict=True))
"""Each setting with one of two values, each value in two settings."""


@pytest.fixture
def tasks(make_task):
    return [make_task(f"bars{i}", n=60, seed=i, upright=i % 2 == 0) for i in range(3)]


def settings_of(setting):
    return {"setting": "class", "heads": "full"} if setting == "full" else {"setting": setting}


def finish(tasks, method, setting="task", **settings) -> list:
    chosen = PLAIN | settings_of(setting) | settings
    return list(run(configured(method=method, **chosen), tasks))


def result(*given, **settings) -> SeedEnded:
    return finish(*given, **settings)[-1]


def features(setup, params, images):
    found, _ = setup.net.features(Variables(params, {}), to_float(jnp.asarray(images)), [()], TEST)
    return np.asarray(found[()], float)


def nearest_by_hand(setup, params, tasks, setting, unit=lambda x: x):
    """Accuracies of the last row: a mean for each class that an example may belong to."""
    train, test, first = [], [], 0
    for k, task in enumerate(tasks):
        group = k if setting == "task" else 0
        offset = first if setting in ("class", "full") else 0
        for rows, images, labels in (
            (train, task.train_inputs, task.train_labels),
            (test, task.test_inputs, task.test_labels),
        ):
            rows.append((group, unit(features(setup, params, images)), np.asarray(labels) + offset))
        first += task.classes
    found = []
    for group, rows, labels in test:
        own = [(x, y) for g, x, y in train if g == group]
        x, y = np.concatenate([a for a, _ in own]), np.concatenate([b for _, b in own])
        means = np.stack([unit(x[y == c].mean(0)) for c in range(y.max() + 1)])
        found.append(100 * np.mean(cdist(rows, means).argmin(1) == labels))
    return found


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@pytest.mark.parametrize(("setting", "normalise"), EITHER)
@pytest.mark.slow
def test_tasks_are_tested_by_the_nearest_mean(setting, normalise, tasks):
    if setting != "domain":
        tasks[1] = tasks[1]._replace(classes=4)  # one that never occurs, and has no mean
        rows = tasks[1].train_labels.copy()
        rows[:5] = 3
        tasks[1] = tasks[1]._replace(train_labels=rows)
    given = {"unit_length": normalise, "lr": 1e-3, "epochs": 1}
    ended = result(tasks, "ncm", setting, **given)
    setup = set_up(configured(method="ncm", **PLAIN | settings_of(setting) | given), tasks)
    expected = nearest_by_hand(
        setup, ended.params, tasks, setting, unit if normalise else lambda x: x
    )
    np.testing.assert_allclose(ended.matrix[-1], expected, atol=1e-4)
    # Features stay, so the first task's row is that of a run of it alone.
    alone = nearest_by_hand(
        setup, ended.params, tasks[:1], setting, unit if normalise else lambda x: x
    )
    np.testing.assert_allclose(ended.matrix[0][0], alone[0], atol=1e-4)


def test_until_a_task_ends_its_classes_are_unknown(tasks):
    """In the class setting; the first task is tested by its logits until then."""
    events = [e for e in finish(tasks[:2], "ncm", "class") if isinstance(e, EpochEnded)]
    first, last = events[1], events[-1]
    plain = [e for e in finish(tasks[:1], "finetune", "class") if isinstance(e, EpochEnded)]
    assert first.accuracy == plain[-1].accuracy
    assert last.accuracy["bars1"] == 0
    assert last.accuracy["bars0"] > 50


@pytest.mark.slow
def test_features_stay_or_train_as_is_said(tasks):
    alone = result(tasks[:1], "ncm").params
    fixed, trained = (result(tasks[:2], "ncm", fixed=fixed).params for fixed in (True, False))
    plain = result(tasks[:2], "finetune").params
    chex.assert_trees_all_equal(fixed["fc1"], alone["fc1"])
    chex.assert_trees_all_equal(trained, plain)
    assert np.any(trained["fc1"]["w"] != alone["fc1"]["w"])


@pytest.mark.parametrize("setting", EVERY)
@pytest.mark.slow
def test_without_shrinking_and_noise_it_is_fine_tuning_to_the_bit(setting, tasks, monkeypatch):
    monkeypatch.setattr(METHODS["finetune"], "one_head", False)  # an array for each task, too
    given = {"shrink": 1.0, "noise": 0.0}
    same, plain = (
        result(tasks[:2], *each, **more)
        for each, more in ((("shrink_perturb", setting), given), (("finetune", setting), {}))
    )
    chex.assert_trees_all_equal(same.params, plain.params)
    assert same.matrix == plain.matrix


@pytest.mark.parametrize(("setting", "keep"), EITHER)
@pytest.mark.slow
def test_the_matrix_is_that_of_the_changed_weights(setting, keep, tasks):
    given = {"shrink": 0.3, "noise": 0.3, "keep_optimizer": keep}
    events = finish(tasks[:2], "shrink_perturb", setting, **given)
    ended, last = events[-1], [e for e in events if isinstance(e, EpochEnded)][-1]
    setup = set_up(
        configured(method="shrink_perturb", **PLAIN | settings_of(setting) | given), tasks[:2]
    )
    chosen = FULL_HEAD if setting == "full" else SETTINGS[setting]
    names = ["t00", "t00" if chosen.shared_head else "t01"]
    routes = tuple(Pathway(f"t0{i}", (), head) for i, head in enumerate(names))
    view = view_of(setup.net, routes, chosen, setup.tasks.inputs)
    variables = ended.learned.variables
    found = [evaluate(view, p, variables, setup.tasks.test[p]).accuracy for p in range(2)]
    np.testing.assert_allclose(ended.matrix[-1], found, rtol=1e-6)
    assert list(last.accuracy.values()) != ended.matrix[-1]
    # A head of its own stays as training left it.
    plain = result(tasks[:1], "finetune", setting).params["heads"]["t00"]["w"]
    after_one = result(tasks[:1], "shrink_perturb", setting, **given).params["heads"]["t00"]["w"]
    assert np.all(plain == after_one) == (setting == "task")
    if setting == "task":
        np.testing.assert_array_equal(ended.params["heads"]["t00"]["w"], plain)


def test_the_next_task_begins_with_the_changed_weights(tasks):
    def after(n, lr):
        given = {"shrink": 0.5, "noise": 0.0, "later_lr": lr}
        return result(tasks[:n], "shrink_perturb", "domain", **given).params["fc1"]["w"]

    np.testing.assert_allclose(after(2, 1e-9), 0.5 * after(1, 1e-9), atol=1e-6)


@pytest.mark.parametrize("setting", EVERY)
@pytest.mark.slow
def test_a_projected_gradient_leaves_the_first_task_as_it_is(setting, tasks):
    alone = [result(tasks[:1], method, setting).params for method in ("agem", "finetune")]
    chex.assert_trees_all_equal(*alone)
    two = [result(tasks[:2], method, setting).params for method in ("agem", "finetune")]
    assert np.any(two[0]["fc1"]["w"] != two[1]["fc1"]["w"])


@pytest.mark.slow
def test_a_projected_gradient_forgets_less(tasks):
    given = {"epochs": 12, "lr": 0.05, "optimizer": "sgd", "seeds": (0, 1)}

    def first_task(method):
        ended = finish(tasks[:2], method, "class", **given)
        return np.mean([e.matrix[-1][0] for e in ended if isinstance(e, SeedEnded)])

    assert first_task("agem") > first_task("finetune") + 15


@pytest.mark.parametrize("kept", [{"per_class": 3}, {"buffer": 9}, {"buffer": 9, "drawn": 4}])
def test_what_is_kept_is_what_is_said(kept, tasks):
    image = 32 * 32 * 3 + 8  # with its label and its task
    memory = result(tasks[:2], "agem", **kept).bytes["bars1"]
    assert memory // image == (18 if "per_class" in kept else 9)


GIVEN = {
    "agem": {"buffer": 9},
    "shrink_perturb": {},
    "ncm": {"setting": "task"},
    "slda": {"setting": "class"},
    "ranpac": {"setting": "class", "units": 20},
}


@pytest.mark.parametrize("method", GIVEN)
@pytest.mark.slow
def test_seeds_that_run_together_end_as_they_do_alone(method, tasks):
    given = {"optimizer": "sgd", "lr": 2e-2, "epochs": 1, "seeds": (3, 0), **GIVEN[method]}
    found = []
    for together in (1, 2):
        events = finish(tasks[:2], method, together=together, **given)
        found.append([event for event in events if isinstance(event, SeedEnded)])
    for alone, beside in zip(*found, strict=True):
        chex.assert_trees_all_close(alone.params, beside.params, rtol=0, atol=1e-5)
        assert (alone.seed, alone.matrix, alone.bytes) == (beside.seed, beside.matrix, beside.bytes)
        chex.assert_trees_all_close(
            alone.learned.predictor, beside.learned.predictor, rtol=1e-4, atol=1e-3
        )


def test_a_run_leaves_the_state_that_predicts_and_no_other(tasks):
    assert result(tasks[:1], "finetune").learned.predictor is None
    assert result(tasks[:1], "agem").learned.predictor is None
    found = result(tasks[:2], "ncm", "class").learned.predictor
    assert list(found) == ["ncm"]
    assert found["ncm"].counts.tolist() == [[20] * 6]


@pytest.mark.parametrize("setting", ["task", "class"])
def test_a_task_is_judged_by_what_is_kept_of_it(setting, key):
    """The index of the task comes through, although it is tested by its pathway alone."""
    net, variables, routes = mlp(4, (5,)), None, ()
    variables = net.init(key)
    for task in ("t00", "t01"):
        variables = add_head(net, variables, task, 3, key)
        routes = (*routes, Pathway(task, (), task))
    data = {"input": jnp.zeros((4, 2, 2, 1), jnp.uint8), "label": jnp.zeros(4, jnp.int32)}
    seen = []

    def predict(state, context):
        seen.append(context.features.shape)
        return jax.nn.one_hot(state + context.batch["task"], 6)

    logits = PredictedLogits(predict)
    for index, right in ((0, True), (1, False)):
        own = {**data, "task": jnp.full(4, index, jnp.int32)}
        given = view_of(net, routes, SETTINGS[setting]), index, Variables(*variables), own
        found = evaluate(*given, Predictor(predict, jnp.int32(0)))
        assert float(found.accuracy) == 100 * right
        assert found.loss is None  # of what the scores are, nobody knows
        loss = evaluate(*given, Predictor(logits, jnp.int32(0))).loss
        assert float(loss) == pytest.approx(np.log(np.e + 5) - right)
    assert set(seen) == {(64, 5)}  # filled up to a length that other tasks share


@pytest.mark.parametrize("method", ["ncm", "bic"])
def test_a_test_loss_is_that_of_what_predicts(method, tasks):
    """Distances from means have none; the loss of other logits would not be that of the method."""
    *_, epoch, ended = finish(tasks[:2], method, "class", hidden=(4,), epochs=1)
    assert list(epoch.accuracy) == ["bars0", "bars1"]
    assert ("test_loss" in epoch.metrics) == (method == "bic")
    assert isinstance(ended, SeedEnded)


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        ("agem", {"ratio": 0.0}, "ratio: 0 keeps nothing; give 0.1, say"),
        ("agem", {"drawn": 0}, "drawn: 0 is not positive"),
        ("agem", {"storage": "ring"}, "storage: without --buffer it means nothing"),
        ("agem", {"per_class": 1, "buffer": 2}, "not together with --per-class"),
        ("agem", {"replay": "buffer"}, "replay: agem has its own earlier images"),
        ("shrink_perturb", {"shrink": 1.5}, r"shrink: 1.5 is outside \[0, 1\]"),
        ("shrink_perturb", {"noise": -1.0}, "noise: -1.0 is negative"),
    ],
)
def test_bad_settings_are_refused(method, settings, message, tasks):
    with pytest.raises(UsageError, match=message):
        finish(tasks, method, **settings)


@pytest.mark.slow
def test_images_of_a_generator_are_labelled_by_logits_whatever_predicts(tasks):
    given = {"generator_steps": 3, "generator_batch": 8, "generated": 40, "replay": "generative"}
    ended = result(tasks[:2], "ncm", "class", fixed=False, **given)
    assert ended.generator is not None
    assert ended.learned.predictor["ncm"].counts.tolist() == [[20] * 6]
