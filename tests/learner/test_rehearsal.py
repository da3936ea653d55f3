"""Methods that keep examples, in the loop that everybody runs."""

import json

import chex
import numpy as np
import pytest
from given import configured

from jaxcl.core.errors import UsageError
from jaxcl.learner import snapshot
from jaxcl.learner.build import set_up
from jaxcl.learner.seed_loop import go_on, run
from jaxcl.training.events import EpochEnded, SeedEnded, StepsDone

PLAIN = {"epochs": 2, "batch_size": 20, "lr": 2e-3, "l2": 0.0, "net": "mlp", "hidden": (16,)}
pytestmark = pytest.mark.usefixtures("compiled_once")
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


def test_labels_that_weigh_nothing_are_logits_alone_to_the_bit(tasks):
    alone, both = (
        result(tasks[:2], "der", "class"),
        result(tasks[:2], "der_pp", "class", beta=0.0),
    )
    chex.assert_trees_all_equal(alone.params, both.params)


@pytest.mark.parametrize("setting", EVERY)
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


@pytest.mark.parametrize("given", [{}, ONLINE])
def test_old_classes_keep_their_logits_with_asymmetric_losses(given, tasks):
    """New images do not push them down, and so far fewer are taken for new classes."""
    given = {"epochs": 12, "lr": 0.05, "optimizer": "sgd", "seeds": (0, 1), **given}

    def first_task(method):
        ended = finish(tasks[:2], method, "class", **given)
        return np.mean([e.matrix[-1][0] for e in ended if isinstance(e, SeedEnded)])

    assert first_task("er_ace") > first_task("finetune") + 30


GIVEN = {
    "der": ("der", {}),
    "der_pp": ("der_pp", {}),
    "er": ("er", ONLINE),
    "er_ace": ("er_ace", {"per_class": 2}),
    "er_ace.online": ("er_ace", ONLINE),
}


@pytest.mark.parametrize("name", GIVEN)
def test_seeds_that_run_together_end_as_they_do_alone(name, tasks):
    method, given = GIVEN[name]
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
        ("er", {"fill": "online"}, "fill: online needs room for so many images; give --buffer"),
        ("er_ace", {"fill": "online", "per_class": 3}, "fill: online needs room for so many"),
        ("er_ace", {"drawn": 0}, "drawn: 0 is not positive"),
        ("er_ace", {"ratio": 0.0}, "ratio: 0 keeps nothing; give 0.1, say"),
        ("er_ace", {"replay": "exact"}, "replay: er_ace has its own earlier images"),
        ("er_ace", {"loss": "binary"}, "er_ace: binary has no classes to tell apart"),
        ("der", {"replay": "buffer"}, "replay: der has its own earlier images"),
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
