"""Methods that keep examples, in the loop that everybody runs."""

import json

import chex
import jax.numpy as jnp
import numpy as np
import pytest
from given import configured
from scipy.spatial.distance import cdist

from jaxcl.core.errors import UsageError
from jaxcl.learner import snapshot
from jaxcl.learner.build import set_up
from jaxcl.learner.seed_loop import go_on, run
from jaxcl.networks.base import TEST, Variables
from jaxcl.scenarios.images import to_float
from jaxcl.training.events import EpochEnded, SeedEnded, StepsDone
from jaxcl.transforms.rehearsal.herding import in_use

PLAIN = {"epochs": 2, "batch_size": 20, "lr": 2e-3, "l2": 0.0, "net": "mlp", "hidden": (16,)}
pytestmark = pytest.mark.usefixtures("compiled_once")
slow = pytest.mark.slow
EVERY = ["task", "domain", "class", "full"]
ONLINE = {"buffer": 9, "fill": "online", "drawn": 5}


@pytest.fixture
def tasks(make_task):
    return [make_task(f"bars{i}", n=60, seed=i, upright=i % 2 == 0) for i in range(3)]


def config(method, setting="task", **settings):
    chosen = {"setting": "class", "heads": "full"} if setting == "full" else {"setting": setting}
    return configured(method=method, **PLAIN | chosen | settings)


def finish(tasks, method, setting="task", **settings) -> list:
    return list(run(config(method, setting, **settings), tasks))


def result(*given, **settings) -> SeedEnded:
    return finish(*given, **settings)[-1]


@pytest.mark.parametrize("setting", EVERY)
@pytest.mark.parametrize(
    ("method", "weights"), [("der", {"alpha": 0.0}), ("der_pp", {"alpha": 0.0, "beta": 0.0})]
)
def test_weights_of_zero_are_fine_tuning_to_the_bit(method, weights, setting, tasks):
    plain = result(tasks[:2], "finetune", setting)
    same = result(tasks[:2], method, setting, **weights)
    chex.assert_trees_all_equal(same.params, plain.params)
    assert same.matrix == plain.matrix
    other = result(tasks[:2], method, setting).params
    assert np.any(other["fc1"]["w"] != plain.params["fc1"]["w"])


@pytest.mark.parametrize("setting", ["task", "full"])
@pytest.mark.parametrize("kept", [{"per_class": 2}, ONLINE])
def test_new_and_kept_images_in_one_batch_learn_what_they_do_in_two(setting, kept, tasks):
    """Of a network without batch normalisation."""
    two, one = (result(tasks[:2], "er", setting, joined=j, **kept).params for j in (False, True))
    chex.assert_trees_all_close(one, two, atol=1e-4)


def test_labels_that_weigh_nothing_are_logits_alone_to_the_bit(tasks):
    alone, both = (
        result(tasks[:2], "der", "class"),
        result(tasks[:2], "der_pp", "class", beta=0.0),
    )
    chex.assert_trees_all_equal(alone.params, both.params)


@pytest.mark.parametrize("setting", EVERY)
@pytest.mark.slow
def test_a_buffer_that_fills_in_every_step_leaves_the_first_task_as_it_is(setting, tasks):
    """With the usual weight 1 / k; the second task differs from that of a buffer filled since."""
    plain, online = (
        result(tasks[:1], *each, **more)
        for each, more in ((("finetune", setting), {}), (("er", setting), ONLINE))
    )
    chex.assert_trees_all_equal(plain.params, online.params)
    end, online = (
        result(tasks[:2], "er", setting, **ONLINE | {"fill": f}) for f in ("end", "online")
    )
    assert np.any(end.params["fc1"]["w"] != online.params["fc1"]["w"])
    assert end.bytes["bars1"] == online.bytes["bars1"]


@pytest.mark.parametrize("given", [{"fill": "end", "ratio": 0.1}, ONLINE])
@pytest.mark.slow
def test_old_classes_keep_their_logits_with_asymmetric_losses(given, tasks):
    """New images do not push them down, and so far fewer are taken for new classes."""
    given = {"epochs": 12, "lr": 0.05, "optimizer": "sgd", "seeds": (0, 1), **given}

    def first_task(method):
        ended = finish(tasks[:2], method, "class", **given)
        return np.mean([e.matrix[-1][0] for e in ended if isinstance(e, SeedEnded)])

    assert first_task("er_ace") > first_task("finetune") + 30


def in_another_order(task, seed):
    rows = np.random.default_rng(seed).permutation(len(task.train_labels))
    return task._replace(train_inputs=task.train_inputs[rows], train_labels=task.train_labels[rows])


@pytest.mark.slow
def test_fresh_weights_know_the_buffer_alone(tasks):
    """Tasks and images in another order, a network that learned more before: the same bits."""
    given = {"buffer": 1000, "per_class": None}
    first = result(tasks, "gdumb", "domain", **given)
    a, b, c = (in_another_order(task, i) for i, task in enumerate(tasks))
    again = result([b, a, c], "gdumb", "domain", **given)
    chex.assert_trees_all_equal(first.params, again.params)
    assert first.matrix[2] == [again.matrix[2][i] for i in (1, 0, 2)]
    assert first.bytes["bars2"] == again.bytes["bars2"]
    # Fewer epochs of earlier tasks would change them as well; without a fresh start they do.
    kept = [
        result(each, "gdumb", "domain", **given, scratch=False).params["fc1"]["w"]
        for each in (tasks, [b, a, c])
    ]
    assert np.any(kept[0] != kept[1])


@pytest.mark.slow
def test_a_buffer_with_room_for_all_is_joint_training_from_scratch(tasks):
    """But for the order of the rows: as many steps, and nearly the same accuracies."""
    given = {"setting": "class", "epochs": 20, "lr": 1e-2}
    events = finish(tasks[:2], "gdumb", buffer=1000, per_class=None, **given)
    joint = finish(tasks[:2], "joint", scratch=True, **given)
    steps = [[e.steps for e in each if hasattr(e, "steps")] for each in (events, joint)]
    assert steps[0] == steps[1]
    np.testing.assert_allclose(events[-1].matrix[1], joint[-1].matrix[1], atol=10)


@pytest.mark.parametrize("setting", EVERY)
@pytest.mark.slow
def test_a_task_is_trained_on_as_many_images_as_there_is_room_for(setting, tasks):
    """Every task has its share, also where tasks have the same labels."""
    events = finish(tasks, "gdumb", setting, buffer=70, per_class=None, epochs=1)
    steps = [event.steps for event in events if hasattr(event, "steps")]
    assert steps == [[60 // 20], [70 // 20], [70 // 20]]
    learner = [event.learner for event in events if isinstance(event, EpochEnded)][-1]
    memory = learner.transform_state["gdumb"].memory
    assert int(memory.filled) == 70
    counts = np.unique(
        np.stack([memory.data[n] for n in ("task", "label")]), axis=1, return_counts=True
    )
    assert counts[1].tolist() == pytest.approx([70 / 9] * 9, abs=1)
    alone = finish(tasks, "gdumb", setting, buffer=70, per_class=None, epochs=1, seeds=(1,))[-1]
    assert np.any(alone.params["fc1"]["w"] != events[-1].params["fc1"]["w"])


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@pytest.mark.parametrize("setting", EVERY)
@pytest.mark.slow
def test_exemplars_of_all_classes_and_the_nearest_mean_of_them(setting, tasks):
    """The last row of the matrix follows from the exemplars that the run leaves."""
    ended = result(tasks, "icarl", setting, buffer=27, per_class=None)
    setup = set_up(config("icarl", setting, buffer=27, per_class=None), tasks)
    exemplars = in_use(ended.learned.predictor["icarl"].exemplars, "")
    assert set(exemplars) == {"input", "label", "task"}
    labels, groups = (np.asarray(exemplars[n]) for n in ("label", "task"))
    if setting != "task":
        groups = np.zeros_like(groups)
    _, counts = np.unique(np.stack([groups, labels]), axis=1, return_counts=True)
    assert counts.tolist() == ([9] * 3 if setting == "domain" else [3] * 9)

    def features(images):
        found, _ = setup.net.features(
            Variables(ended.params, {}), to_float(jnp.asarray(images)), [()], TEST
        )
        return unit(np.asarray(found[()], float))

    rows, expected = features(exemplars["input"]), []
    for k, task in enumerate(tasks):
        own, first = groups == (k if setting == "task" else 0), 3 * k
        names = np.unique(labels[own])
        means = unit(np.stack([rows[own & (labels == c)].mean(0) for c in names]))
        found = names[cdist(features(task.test_inputs), means).argmin(1)]
        right = task.test_labels + (first if setting in ("class", "full") else 0)
        expected.append(100 * np.mean(found == right))
    np.testing.assert_allclose(ended.matrix[-1], expected, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "setting"),
    [
        ("icarl", "class"),
        pytest.param("bic", "full", marks=slow),
        pytest.param("lucir", "full", marks=slow),
    ],
)
def test_exemplars_keep_what_fine_tuning_forgets(method, setting, tasks):
    given = {"epochs": 12, "lr": 1e-2}
    naive = result(tasks[:2], "finetune", setting, **given).matrix[-1][0]
    kept = result(tasks[:2], method, setting, buffer=60, per_class=None, **given)
    assert kept.matrix[-1][0] > naive + 30


GIVEN = {
    "der": ("der", {}),
    "der_pp": ("der_pp", {}),
    "er": ("er", ONLINE),
    "er_ace": ("er_ace", {"per_class": 2, "fill": "end"}),
    "er_ace.online": ("er_ace", ONLINE),
    "gdumb": ("gdumb", {"buffer": 30, "per_class": None}),
    "icarl": ("icarl", {"buffer": 18, "per_class": None}),
    "icarl.augmented": ("icarl", {"buffer": 18, "per_class": None, "augment": ("flip",)}),
}
SLOW = {
    "bic": ("bic", {"buffer": 36, "per_class": None}),
    "lucir": ("lucir", {"buffer": 18, "per_class": None}),
    "bic.augmented": ("bic", {"buffer": 36, "per_class": None, "augment": ("flip",)}),
    "lucir.augmented": ("lucir", {"buffer": 18, "per_class": None, "augment": ("flip",)}),
}


@pytest.mark.parametrize("name", [*GIVEN, *(pytest.param(name, marks=slow) for name in SLOW)])
@pytest.mark.slow
def test_seeds_that_run_together_end_as_they_do_alone(name, tasks):
    method, given = (GIVEN | SLOW)[name]
    given = {"optimizer": "sgd", "lr": 2e-2, "epochs": 1, "seeds": (3, 0), **given}
    found = []
    for together in (1, 2):
        events = finish(tasks[:2], method, "class", together=together, **given)
        found.append([event for event in events if isinstance(event, SeedEnded)])
    for alone, beside in zip(*found, strict=True):
        chex.assert_trees_all_close(alone.params, beside.params, rtol=0, atol=1e-5)
        assert (alone.seed, alone.matrix, alone.bytes) == (beside.seed, beside.matrix, beside.bytes)


@pytest.mark.parametrize("name", GIVEN)
def test_going_on_from_any_moment_gives_the_same_bits(name, tasks):
    method, given = GIVEN[name]
    setup = set_up(config(method, "class", **given), tasks[:2])
    events, taken = [], []
    for event in go_on(setup):
        events.append(event)
        if isinstance(event, StepsDone | EpochEnded):
            taken.append(snapshot.take(event.learner))
    for snap in (taken[0], taken[len(taken) // 2], taken[-1]):
        stored = snap._replace(meta=json.loads(json.dumps(snap.meta)))
        again = list(go_on(setup, [snapshot.restore(setup, stored)]))[-1]
        chex.assert_trees_all_equal(again.params, events[-1].params)
        chex.assert_trees_all_equal(again.learned.predictor, events[-1].learned.predictor)
        assert (again.matrix, again.bytes) == (events[-1].matrix, events[-1].bytes)


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        (
            "er",
            {"fill": "online"},
            "fill: online fills room for all images together; give --buffer",
        ),
        ("er_ace", {"fill": "online", "per_class": 3}, "fill: online fills room for all images"),
        ("er_ace", {"drawn": 0}, "drawn: 0 is not positive"),
        ("er_ace", {"fill": "end", "ratio": 0.0}, "ratio: 0 keeps nothing; give 0.1, say"),
        ("er_ace", {"replay": "exact"}, "replay: er_ace has its own earlier images"),
        ("er_ace", {"loss": "binary"}, "er_ace: binary has no classes to tell apart"),
        ("gdumb", {"buffer": 19}, "batch_size: 20 examples, and gdumb trains on 19 of them"),
        ("gdumb", {"replay": "noise"}, "replay: gdumb has its own earlier images"),
        ("gdumb", {"per_class": 9, "buffer": 20}, "buffer: not together with --per-class"),
        ("gdumb", {"loss": "binary"}, "loss: binary has no classes to balance by"),
        ("icarl", {"buffer": 8}, "buffer: 8 images for 9 classes; give more"),
        ("icarl", {"replay": "noise"}, "replay: icarl has its own earlier images"),
        ("icarl", {"loss": "binary"}, "loss: binary has no classes, and icarl means of them"),
        ("der", {"replay": "buffer"}, "replay: der has its own earlier images"),
        ("bic", {"setting": "class", "buffer": 17}, "buffer: 17 images for 9 classes; give two"),
        ("lucir", {"setting": "class", "buffer": 8}, "buffer: 8 images for 9 classes; give more"),
        ("bic", {"setting": "class", "replay": "noise"}, "replay: bic has its own earlier images"),
    ],
)
def test_bad_settings_are_refused(method, settings, message, tasks):
    if "loss" in settings:
        tasks = [
            t._replace(train_labels=np.eye(3)[t.train_labels], test_labels=np.eye(3)[t.test_labels])
            for t in tasks
        ]
    with pytest.raises(UsageError, match=message) as error:
        finish(tasks, method, **settings)
    assert "\n" not in str(error.value)
