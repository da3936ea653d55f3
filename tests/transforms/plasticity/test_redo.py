"""ReDo by hand on a small network: what is reset, what stays, and when."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxcl.core.pytree import reset_moments, reset_values, state_and_reset
from jaxcl.training.program import adam, sgd
from jaxcl.transforms import Context, LossTransform, Step, Units, chain, redo

SIZES = {"fc1": (3, 4), "fc2": (4, 5)}
BATCH = {"x": jnp.asarray(np.random.default_rng(0).normal(size=(6, 3)), jnp.float32)}


def hidden(params, batch):
    h, found = batch["x"], {}
    for layer in SIZES:
        h = jax.nn.relu(h @ params[layer]["w"] + params[layer]["b"])
        found[layer] = h
    return found


def drawn(params, key):
    """Every value tells that it is a fresh one."""
    return jax.tree.map(lambda x: x + 1000, params)


UNITS = Units(hidden, drawn)


def network(heads=("t00",)):
    rng = np.random.default_rng(1)

    def layer(shape):
        w, b = rng.normal(size=shape), rng.uniform(1, 2, size=shape[-1])
        return {"w": jnp.asarray(w, jnp.float32), "b": jnp.asarray(b, jnp.float32)}

    params = {name: layer(shape) for name, shape in SIZES.items()}
    return {**params, "heads": {name: layer((5, 2)) for name in heads}}


def with_dead(params, **dead):
    """The same network, in which some units are never active."""
    own = {name: {**params[name], "b": params[name]["b"].at[jnp.array(units)].set(-100.0)}
           for name, units in dead.items()}  # fmt: skip
    return {**params, **own}


def step_of(params, key, batch=BATCH):
    context = Context(params, {}, batch, key, lambda params, batch: {})
    return Step(params, params, params, None, context)


def after(transform, params, opt, key, steps=1):
    """State, parameters and optimiser's state after some steps in which nothing else happens."""
    state = transform.init(params)
    for i in range(steps):
        state, reset = state_and_reset(transform.update(state, step_of(params, key)))
        params, opt = reset_values(params, reset), reset_moments(opt, params, reset)
        assert int(state.steps) == i + 1
    return params, opt


def moments(params):
    """Adam's state with a 7 for every first moment and an 11 for every second one."""
    opt = adam(1e-3).init(params)
    inner, *rest = opt.inner_state
    inner = inner._replace(
        mu=jax.tree.map(lambda x: jnp.full_like(x, 7), params),
        nu=jax.tree.map(lambda x: jnp.full_like(x, 11), params),
        count=jnp.int32(5),
    )
    return opt._replace(inner_state=(inner, *rest))


def masks():
    """By hand: unit 2 of the first layer and units 0 and 3 of the second are reset."""
    where = {name: {"w": np.zeros(s, bool), "b": np.zeros(s[1], bool)} for name, s in SIZES.items()}
    where["heads"] = {"t00": {"w": np.zeros((5, 2), bool), "b": np.zeros(2, bool)}}
    fresh, zero = where, jax.tree.map(np.copy, where)
    for name, units in (("fc1", [2]), ("fc2", [0, 3])):
        fresh[name]["w"][:, units] = fresh[name]["b"][units] = True
    zero["fc2"]["w"][2] = True  # also where it is a weight into units 0 and 3
    zero["heads"]["t00"]["w"][[0, 3]] = True
    return fresh, zero


def test_weights_and_moments_of_dormant_units_are_reset_and_all_others_stay(key):
    params = with_dead(network(), fc1=[2], fc2=[0, 3])
    opt = moments(params)
    new, new_opt = after(redo(UNITS, period=1, tau=0.0), params, opt, key)
    fresh, zero = masks()
    expected = jax.tree.map(
        lambda x, f, z: np.where(z, np.float32(0), np.where(f, x + 1000, x)), params, fresh, zero
    )
    chex.assert_trees_all_equal(new, expected)
    inner = new_opt.inner_state[0]
    reset = jax.tree.map(np.logical_or, fresh, zero)
    chex.assert_trees_all_equal(inner.mu, jax.tree.map(lambda r: np.where(r, 0.0, 7.0), reset))
    chex.assert_trees_all_equal(inner.nu, jax.tree.map(lambda r: np.where(r, 0.0, 11.0), reset))
    assert int(inner.count) == 5
    assert float(new_opt.hyperparams["learning_rate"]) == pytest.approx(1e-3)


def test_what_the_network_says_is_as_before(key):
    def outputs(params):
        head = params["heads"]["t00"]
        return hidden(params, BATCH)["fc2"] @ head["w"] + head["b"]

    params = with_dead(network(), fc1=[2], fc2=[0, 3])
    new, _ = after(redo(UNITS, period=1), params, adam(1e-3).init(params), key)
    assert np.any(new["fc2"]["w"] != params["fc2"]["w"])
    np.testing.assert_allclose(outputs(new), outputs(params), rtol=1e-5)


@pytest.mark.parametrize("optimizer", [adam(1e-3), sgd(1e-3), optax.sgd(1e-3, momentum=0.9)])
def test_a_network_without_dormant_units_is_untouched_to_the_bit(optimizer, key):
    params = network()
    opt = jax.tree.map(lambda x: x + jnp.ones_like(x), optimizer.init(params))
    found = after(redo(UNITS, period=1, tau=1e-3), params, opt, key, steps=2)
    chex.assert_trees_all_equal(found, (params, opt))


def test_units_are_looked_at_every_period_and_over_all_of_it(key):
    """A unit that was active in one step of three is so in their mean; then it is not."""
    params, transform = network(), redo(UNITS, period=3, tau=0.01)
    dead = with_dead(params, fc2=[1])
    state, when = transform.init(params), []
    for i in range(9):
        now = params if i in (0, 7) else dead
        state, reset = state_and_reset(transform.update(state, step_of(now, key)))
        when.append([bool(x) for x in reset.where["fc2"]["b"]])
        expected = [layer.mean(0) for layer in hidden(now, BATCH).values()]
        if i % 3 == 0:
            chex.assert_trees_all_close(state.activity, dict(zip(SIZES, expected, strict=True)))
    assert [i for i, units in enumerate(when) if any(units)] == [5]
    assert when[5] == [False, True, False, False, False]


def test_the_score_is_that_of_the_layer(key):
    """Units of 1 % of their layer's mean are dormant, however active the others make it."""
    params = network()
    small = {**params["fc2"], "w": params["fc2"]["w"].at[:, 4].multiply(1e-4)}
    small["b"] = params["fc2"]["b"].at[4].multiply(1e-4)
    params = {**params, "fc2": small}
    for tau, expected in ((1e-6, 0), (0.01, 1)):
        new, _ = after(redo(UNITS, period=1, tau=tau), params, sgd(1.0).init(params), key)
        assert int((new["fc2"]["b"] != params["fc2"]["b"]).sum()) == expected


def test_heads_that_do_not_train_lose_the_outgoing_weights_too(key):
    params = with_dead(network(("t00", "t01")), fc2=[1])
    _, reset = state_and_reset(
        redo(UNITS, period=1).update(redo(UNITS).init(params), step_of(params, key))
    )
    frozen = {"fc1": None, "fc2": None, "heads": {"t00": params["heads"]["t00"], "t01": None}}
    found = reset_values({name: x or {"w": None, "b": None} for name, x in frozen.items()}, reset)
    np.testing.assert_array_equal(found["heads"]["t00"]["w"][1], 0)
    assert np.all(np.delete(found["heads"]["t00"]["w"], 1, 0) != 0)
    assert found["fc1"] == {"w": None, "b": None}


def test_in_a_chain_the_later_value_counts_and_others_are_left_alone(key):
    params = with_dead(network(), fc2=[1])
    plain = LossTransform(lambda params: jnp.int32(0), lambda loss, s, c: (loss, {}),
                          update=lambda state, step: state + 1)  # fmt: skip
    other = redo(
        Units(hidden, lambda params, key: jax.tree.map(lambda x: x - 500, params)), period=1
    )
    for order, value in (("ab", -500), ("ba", 1000)):
        made = {"a": redo(UNITS, period=1), "b": other}
        transform = chain(plain=plain, **{name: made[name] for name in order})
        state, reset = state_and_reset(
            transform.update(transform.init(params), step_of(params, key))
        )
        assert int(state["plain"]) == 1
        new = reset_values(params, reset)
        assert float(new["fc2"]["b"][1]) == -100 + value
    alone = chain(plain=plain)
    assert state_and_reset(alone.update(alone.init(params), step_of(params, key)))[1] is None


def test_draws_differ_from_time_to_time(key):
    params = with_dead(network(), fc1=[0])
    units = Units(hidden, lambda p, key: jax.tree.map(lambda x: x + jax.random.normal(key), p))
    found = [
        after(redo(units, period=1), params, sgd(1.0).init(params), own)[0]["fc1"]["b"][0]
        for own in (key, key, jax.random.key(1))
    ]
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(
    ("params", "activations", "message"),
    [
        ({"conv": {"w": jnp.ones((3, 3, 1, 4)), "b": jnp.ones(4)}}, {}, "known of no layer"),
        ({**network(), "fc3": network()["fc2"]}, None, "parameters are fc1, fc2, heads, fc3"),
        ({**network(), "fc2": {"w": jnp.ones((3, 5)), "b": jnp.ones(5)}}, None, "fc1 has 4 units"),
    ],
)
def test_networks_without_known_units_are_refused(params, activations, message, key):
    units = UNITS if activations is None else Units(lambda p, b: activations, drawn)
    if "fc2" in params and params["fc2"]["w"].shape[0] == 3:
        units = Units(lambda p, b: {n: jnp.ones((2, s[1])) for n, s in SIZES.items()}, drawn)
    transform = redo(units, period=1)
    with pytest.raises(ValueError, match=message):
        transform.update(transform.init(params), step_of(params, key))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"Dense_0": {"kernel": jnp.ones((1, 2)), "bias": jnp.ones(2)}},
            "Dense_0 has kernel, bias",
        ),
        ({"fc1": jnp.ones(2)}, "redo: fc1 has a .*, not w and b"),
        (jnp.ones(2), "redo: parameters are a .*, not layers"),
    ],
)
def test_parameters_of_another_form_are_refused_at_once(params, message):
    with pytest.raises(ValueError, match=message + ".*; give a network of dense layers"):
        redo(UNITS).init(params)


def test_what_is_refused(key):
    with pytest.raises(ValueError, match="period: 0"):
        redo(UNITS, period=0)
    with pytest.raises(ValueError, match="tau: -1"):
        redo(UNITS, tau=-1.0)
    state = redo(UNITS).init(network())
    with pytest.raises(ValueError, match="redo: the step has no context with a key"):
        redo(UNITS).update(state, step_of(network(), key)._replace(context=None))
    with pytest.raises(ValueError, match="give both to Step"):
        redo(UNITS).update(state, step_of(network(), None))
