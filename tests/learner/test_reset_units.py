"""ReDo in the loop that everybody runs: weights, heads that are frozen, the optimiser."""

import chex
import jax
import numpy as np
import pytest
from given import configured

from jaxcl.core.errors import UsageError
from jaxcl.learner.build import check_config, set_up
from jaxcl.learner.seed_loop import run
from jaxcl.runner.grouping import set_up_like
from jaxcl.training.events import SeedEnded, StepsDone

PLAIN = {"batch_size": 20, "epochs": 2, "lr": 2e-3, "l2": 0.0, "net": "mlp", "hidden": (8, 5)}
NEVER = {"period": 10**6}
ONCE = {"period": 12, "tau": 1e6}
pytestmark = pytest.mark.usefixtures("compiled_once")


@pytest.fixture
def tasks(make_task):
    return [make_task(f"bars{i}", n=60, seed=i, upright=i % 2 == 0) for i in range(2)]


def finish(tasks, method="redo", **settings) -> list:
    return list(run(configured(method=method, **PLAIN | settings), tasks))


@pytest.mark.parametrize(
    "setting", ["domain", *(pytest.param(s, marks=pytest.mark.slow) for s in ("task", "class"))]
)
def test_until_a_unit_is_reset_it_is_fine_tuning(setting, tasks):
    """Up to rounding: it is another program."""
    given = {"optimizer": "sgd", "lr": 2e-2, "setting": setting}
    plain, found = (finish(tasks, *m, **given | n) for m, n in ((("finetune",), {}), ((), NEVER)))
    chex.assert_trees_all_close(found[-1].params, plain[-1].params, rtol=0, atol=1e-6)


def test_a_reset_reaches_weights_frozen_heads_and_moments(tasks):
    """All units, in the last of twelve steps over two tasks."""
    seen = []
    for event in run(configured(method="redo", setting="task", **PLAIN | ONCE), tasks):
        if isinstance(event, StepsDone) and event.step == 3 and event.epoch == 1:
            state = event.learner.phase.train
            seen.append(jax.tree.map(np.asarray, (state.opt, event.learner.model.params)))
    (_, before), (opt, params) = seen
    for moments in (opt.inner_state[0].mu, opt.inner_state[0].nu):
        assert all(not x.any() for name in ("fc1", "fc2") for x in moments[name].values())
    assert before["heads"]["t00"]["w"].all()
    assert not any(head["w"].any() for head in params["heads"].values())  # the old one too
    np.testing.assert_array_equal(params["heads"]["t00"]["b"], before["heads"]["t00"]["b"])
    assert not params["fc2"]["w"].any()  # outgoing of fc1, whose units are reset as well
    assert not params["fc1"]["b"].any()
    w, old = (each["fc1"]["w"] for each in (params, before))
    assert np.std(w) == pytest.approx((2 / len(w)) ** 0.5, rel=0.05)  # He et al.
    assert abs(np.corrcoef(w.ravel(), old.ravel())[0, 1]) < 0.05


def test_seeds_that_run_together_end_as_they_do_alone(tasks):
    given = {"optimizer": "sgd", "lr": 2e-2, "setting": "domain", "seeds": (3, 0)}
    given |= {"period": 4, "tau": 0.5}
    found = [
        [e for e in finish(tasks, together=n, **given) if isinstance(e, SeedEnded)] for n in (1, 2)
    ]
    for alone, beside in zip(*found, strict=True):
        chex.assert_trees_all_close(alone.params, beside.params, rtol=0, atol=1e-5)


def test_settings_that_differ_in_numbers_have_the_same_units(tasks):
    config = check_config(configured(method="redo", **PLAIN))
    setup = set_up(config, tasks)
    other = set_up_like(setup, config.changed(tau=0.5))
    params = setup.net.init(jax.random.key(0)).params
    states = [each.transform.init(params)["redo"] for each in (setup, other)]
    assert [float(state.tau) for state in states] == [pytest.approx(0.025), 0.5]
    chex.assert_trees_all_equal(states[0].activity, states[1].activity)


@pytest.mark.parametrize(
    ("net", "message"),
    [
        ("cnn", "net: hidden units are reset in dense layers, and conv1 branches; give --net mlp"),
        ("linear", "net: redo: hidden units are known of no layer, and parameters are heads; give"),
    ],
)
def test_networks_without_known_units_are_refused(net, message, tasks):
    with pytest.raises(UsageError, match=message):
        set_up(configured(method="redo", net=net, batch_size=20), tasks)
