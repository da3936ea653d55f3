import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.transforms import Context, Step, TaskData, diagonal_fisher, gradients, rwalk
from jaxcl.transforms.penalties.rwalk import check_numbers

TASK = TaskData({}, lambda params, batch: {})
KEY = jax.random.key(0)


def vector(*values):
    return jnp.array(values, jnp.float32)


def begun(transform, params):
    return transform.begin_task(transform.init(params), params, TASK, KEY)


def moved(transform, state, places, slopes, examples=1):
    """The state after steps from place to place."""
    for before, after, g in zip(places, places[1:], slopes, strict=False):
        here = Context(before, None, {"x": jnp.zeros((examples, 2))})
        state = transform.update(state, Step(before, after, -g, g, here))
    return state


PLACES = [vector(0, 1, 2), vector(1, 1, 1), vector(0.5, 1, 3), vector(0.5, 1, 1), vector(0, 1, 1)]
SLOPES = [vector(-2, 3, 1), vector(1, 3, 1), vector(2, 1, 4), vector(4, 1, 1)]


def test_two_segments_by_hand():
    transform = rwalk(2.0, alpha=0.75, epsilon=0.5, segment=2)
    state = moved(transform, begun(transform, PLACES[0]), PLACES, SLOPES, examples=3)
    # Mean of b g^2 over two steps each: of the first segment, and 3/4 of the second's.
    one, two = np.array([7.5, 27, 3]), np.array([30, 3, 25.5])
    fisher = 0.75 * two + 0.25 * one
    np.testing.assert_allclose(state.fisher, fisher, rtol=1e-6)
    # Drops: 2 + 0.5, 0, 1 - 2 (up, so it did the loss no good); then 0 + 2, 0, 8 - 0.
    # Both divide by the first segment's Fisher: a half of it times the change's square, + 0.5.
    score = [2.5 / (7.5 / 2 * 0.25 + 0.5) + 2 / (7.5 / 2 * 0.25 + 0.5), 0, 8 / (3 / 2 * 4 + 0.5)]
    np.testing.assert_allclose(state.walk.score, score, rtol=1e-6)
    end = PLACES[-1]
    state, same = transform.end_task(state, end, TASK, KEY)
    assert same is end
    importance = fisher / fisher.max() + np.array(score) / max(score)
    np.testing.assert_allclose(state.importance, importance, rtol=1e-6)
    loss, metrics = transform.apply(jnp.float32(1.5), state, Context(end + 3, {}, {}))
    np.testing.assert_allclose(metrics["penalty"], 9 * importance.sum(), rtol=1e-6)
    np.testing.assert_allclose(loss, 1.5 + 2 * 9 * importance.sum(), rtol=1e-6)


def test_the_score_of_later_tasks_is_a_mean_and_the_fisher_runs_on():
    transform, w = rwalk(1.0, alpha=0.75, epsilon=1.0), vector(0, 0)
    state, found = transform.init(w), []
    for g in (vector(-2, 0), vector(0, -4), vector(0, 0)):
        state = transform.begin_task(state, w, TASK, KEY)
        state = moved(transform, state, [w, w + 1], [g])
        w = w + 1
        state, _ = transform.end_task(state, w, TASK, KEY)
        found.append((state.fisher, state.score))
    first, second, third = found
    np.testing.assert_allclose(first, [[4, 0], [2 / (2 + 1), 0]], rtol=1e-6)
    np.testing.assert_allclose(second, [[1, 16], [1 / 3, 4 / (8 + 1) / 2]], rtol=1e-6)
    np.testing.assert_allclose(third, [[0.25, 4], [1 / 6, 1 / 9]], rtol=1e-6)
    np.testing.assert_array_equal(state.anchor, w)


def test_the_last_segment_may_be_a_short_one():
    """Three steps in segments of two are those two, and a segment of one."""
    whole, short = rwalk(1.0, segment=2), rwalk(1.0, segment=1)
    three = moved(whole, begun(whole, PLACES[0]), PLACES[:4], SLOPES)
    two = moved(whole, begun(whole, PLACES[0]), PLACES[:3], SLOPES)
    one = two._replace(walk=two.walk._replace(updates=jnp.zeros((), jnp.int32)))
    one = moved(short, one, PLACES[2:4], SLOPES[2:])
    (ended, _), (by_one, _) = (
        t.end_task(s, PLACES[3], TASK, KEY) for t, s in ((whole, three), (short, one))
    )
    chex.assert_trees_all_close(ended, by_one, rtol=1e-6)
    assert float(ended.importance[2]) > 0


def test_drops_of_the_loss_on_a_quadratic():
    """Along one weight of a quadratic: drop / (F / 2 change^2 + epsilon), segment by segment."""
    curvature, rate, steps, epsilon = 2.0, 0.01, 60, 0.05
    transform, w = rwalk(1.0, alpha=1.0, epsilon=epsilon, segment=20), jnp.float32(1.0)
    state = begun(transform, w)

    def loss(w):
        return curvature * w**2 / 2

    places = [w]
    for _ in range(steps):
        places.append(places[-1] - rate * jax.grad(loss)(places[-1]))
    state = moved(transform, state, places, [jax.grad(loss)(w) for w in places])
    expected, fisher = 0.0, None
    for first in range(0, steps, 20):
        own = np.mean([float(curvature * w) ** 2 for w in places[first : first + 20]])
        a, b = float(places[first]), float(places[first + 20])
        drop = (loss(a) - loss(b)) / (1 - rate * curvature / 2)  # finite steps pay so much more
        expected += drop / ((fisher or own) / 2 * (b - a) ** 2 + epsilon)
        fisher = own
    np.testing.assert_allclose(state.walk.score, expected, rtol=1e-4)


def test_the_fisher_of_linear_softmax_regression():
    """With batches of one example, at a place that stays, it is the empirical Fisher."""
    rng = np.random.default_rng(0)
    data = {"x": jnp.asarray(rng.normal(size=(8, 3)), jnp.float32)}
    data["label"] = jnp.asarray(rng.integers(0, 4, 8), jnp.int32)
    w = jnp.asarray(rng.normal(size=(3, 4)), jnp.float32)
    transform = rwalk(1.0, segment=8)
    state = begun(transform, w)

    def forward(w, batch):
        return batch["x"] @ w

    def loss_of(outputs, batch):
        log = jax.nn.log_softmax(outputs)
        return -jnp.take_along_axis(log, batch["label"][:, None], 1).mean()

    for row in range(8):
        batch = jax.tree.map(lambda x, row=row: x[row : row + 1], data)
        found = gradients(transform, state, loss_of, Context(w, None, batch, KEY, forward))
        state = transform.update(state, found.step(w))
    exact = diagonal_fisher(w, TaskData(data, forward), KEY, labels="empirical")
    np.testing.assert_allclose(state.fisher, exact, rtol=1e-5)
    np.testing.assert_array_equal(state.walk.score, np.zeros((3, 4)))  # nothing has moved
    x, y = np.asarray(data["x"]), np.eye(4)[np.asarray(data["label"])]
    p = np.asarray(jax.nn.softmax(data["x"] @ w))
    np.testing.assert_allclose(state.fisher, (x.T**2) @ (p - y) ** 2 / 8, rtol=1e-4)


def test_a_weight_that_does_not_train_has_no_score_and_keeps_its_fisher():
    """Also in the short segment at the end; one that trains without a slope loses some of it."""
    transform, tree = rwalk(1.0, alpha=0.25, segment=2), {"a": vector(0, 0), "b": vector(0)}
    state = begun(transform, tree)
    state = state._replace(fisher={"a": vector(1, 8), "b": vector(8)})
    here = Context(tree, None, {"x": jnp.zeros((1, 2))})
    before, after = {"a": tree["a"], "b": None}, {"a": vector(1, 0), "b": None}
    resting = Step(before, after, *2 * [{"a": vector(-1, 0), "b": None}], here)
    for _ in range(2):
        state = transform.update(state, resting)
    np.testing.assert_array_equal(state.fisher["a"], [1, 6])
    np.testing.assert_array_equal(state.fisher["b"], [8])
    ended, _ = transform.end_task(transform.update(state, resting), tree, TASK, KEY)
    np.testing.assert_array_equal(ended.fisher["a"], [1, 4.5])
    np.testing.assert_array_equal(ended.fisher["b"], [8])
    assert float(ended.score["a"][0]) > 0
    np.testing.assert_array_equal(ended.score["b"], [0])
    # A step in which it trains is enough: its squares are those of a segment of two.
    whole = Step(tree, tree, *2 * [{"a": vector(0, 0), "b": vector(4)}], here)
    state = transform.update(transform.update(state, resting), whole)
    np.testing.assert_array_equal(state.fisher["b"], [0.25 * 16 / 2 + 0.75 * 8])


def test_a_mask_may_be_the_upper_part_of_the_parameters():
    """What does not train is then one None, where the parameters have a tree."""
    transform, w = rwalk(1.0, segment=1), vector(1, 2)
    params = {"a": w, "heads": {"old": {"w": w, "b": w}, "new": w}}
    state = begun(transform, params)
    mask = {"a": True, "heads": {"old": False, "new": True}}
    context = Context(params, None, {"x": jnp.ones((1, 2))})

    def forward(params, batch):
        return sum(jnp.vdot(leaf, batch["x"][0]) for leaf in jax.tree.leaves(params))

    found = gradients(transform, state, lambda y, _: y, context, forward, mask=mask)
    assert found.gradient["heads"]["old"] is None
    after = {"a": w - 1, "heads": {"old": None, "new": w - 1}}
    state = transform.update(state, found.step(after))
    one, none = jnp.ones(2), {"w": jnp.zeros(2), "b": jnp.zeros(2)}
    chex.assert_trees_all_equal(state.fisher, {"a": one, "heads": {"old": none, "new": one}})
    start = {"a": w - 1, "heads": {"old": {"w": w, "b": w}, "new": w - 1}}
    chex.assert_trees_all_equal(state.walk.start, start)


def test_new_weights_are_free_and_old_ones_stay_held():
    transform, w = rwalk(1.0), {"a": vector(0)}
    state = begun(transform, w)
    here = Context(w, None, {"x": jnp.zeros((1, 2))})
    after = {"a": vector(1)}
    g = {"a": vector(-2)}
    state, _ = transform.end_task(
        transform.update(state, Step(w, after, g, g, here)), after, TASK, KEY
    )
    grown = {"a": vector(2), "b": vector(7)}
    state = transform.begin_task(state, grown, TASK, KEY)
    loss, _ = transform.apply(jnp.float32(0), state, Context(grown, {}, {}))
    np.testing.assert_allclose(loss, 2.0)  # the one old weight: F and s are the largest, 1 each


def two_tasks(strength, alpha=0.9, epsilon=1e-3):
    """What two tasks leave, where each step goes down the loss with its penalty."""
    transform, w = rwalk(1.0, segment=2), vector(0, 0)
    state = transform.init(w)
    numbers = (jnp.asarray(x, jnp.float32) for x in (strength, alpha, epsilon))
    state = state._replace(**dict(zip(("strength", "alpha", "epsilon"), numbers, strict=True)))
    for goal in (vector(1, 3), vector(-2, 2)):
        state = transform.begin_task(state, w, TASK, KEY)
        for _ in range(3):
            here = Context(w, None, {"x": jnp.zeros((1, 2))})

            def loss(w, state=state, goal=goal):
                plain = ((w - goal) ** 2).sum() / 2
                return transform.apply(plain, state, Context(w, None, {}))[0]

            g, plain = jax.grad(loss)(w), w - goal
            state = transform.update(state, Step(w, w - 0.1 * g, g, plain, here))
            w = w - 0.1 * g
        state, w = transform.end_task(state, w, TASK, KEY)
    return state, w


def test_several_strengths_at_once_are_as_one_by_one():
    """Also several of the other numbers that its state has."""
    strengths, alphas, epsilons = vector(0.5, 2), vector(0.75, 1), vector(1e-3, 0.5)
    for numbers in ((strengths,), (strengths, alphas, epsilons)):
        found = jax.vmap(two_tasks)(*numbers)
        alone = [two_tasks(*(float(x) for x in own)) for own in zip(*numbers, strict=True)]
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *alone)
        chex.assert_trees_all_close(found, stacked, rtol=1e-5)
        assert np.any(found[1][0] != found[1][1])


def test_numbers_within_a_vmap_have_no_value_yet():
    def twice(alpha, epsilon):
        check_numbers(alpha, epsilon)
        return 2 * alpha

    assert jax.vmap(twice)(vector(0.5, 7), vector(-1, 1)).tolist() == [1, 14]


def test_what_it_keeps_is_its_own():
    transform, w = rwalk(1.0, segment=1), vector(0)
    state = begun(transform, w)
    after = vector(1)
    state = moved(transform, state, [w, after], [vector(-1)])
    ended, _ = transform.end_task(state, after, TASK, KEY)
    mine = {id(leaf) for tree in (state, ended) for leaf in jax.tree.leaves(tree)}
    assert not {id(w), id(after)} & mine


def test_what_it_refuses():
    for settings, match in (
        ({"strength": -1.0}, "strength: -1.0 is negative"),
        ({"alpha": 1.5}, r"alpha: 1.5 is outside \[0, 1\]"),
        ({"epsilon": 0.0}, "epsilon: 0.0 is not positive"),
        ({"segment": 0}, "segment: 0 steps"),
    ):
        with pytest.raises(ValueError, match=match):
            rwalk(**{"strength": 1.0, **settings})
    transform, w = rwalk(1.0), vector(1)
    here = Context(w, None, {"x": jnp.zeros((1, 2))})
    for step in (Step(w, w, w, None, here), Step(w, w, w, w)):
        with pytest.raises(ValueError, match="the plain loss or the context is missing"):
            transform.update(begun(transform, w), step)
    with pytest.raises(ValueError, match="update was not called in this task"):
        transform.end_task(begun(transform, w), w, TASK, KEY)
