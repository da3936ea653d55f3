import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

from jaxcl.transforms import Context, TaskData, agem, chain, er_ace, replay
from jaxcl.transforms.rehearsal.buffers import class_balanced, greedy, reservoir
from jaxcl.transforms.rehearsal.made_examples import noise
from jaxcl.transforms.rehearsal.memory import fraction, per_class, stored

RNG = np.random.default_rng(0)
W = jnp.asarray(RNG.normal(size=(3, 4)), jnp.float32)


def forward(w, batch):
    return batch["x"] @ w


def examples(n, seed=0):
    """Examples that are numbered, so that it shows which ones are kept."""
    rng = np.random.default_rng(seed)
    return {
        "x": jnp.asarray(rng.normal(size=(n, 3)), jnp.float32),
        "label": jnp.asarray(rng.integers(0, 4, n), jnp.int32),
        "number": jnp.arange(n, dtype=jnp.int32),
    }


ONE, NEW = examples(1, seed=1), examples(5, seed=2)


def after(transform, tasks, key, w=W, new=NEW):
    """The state in the task that follows after these data."""
    state = transform.init(w)
    for k, data in enumerate(tasks):
        task, key_k = TaskData(data, forward), jax.random.fold_in(key, k)
        state = transform.begin_task(state, w, task, key_k)
        state, _ = transform.end_task(state, w, task, key_k)
    return transform.begin_task(state, w, TaskData(new, forward), key)


def context(w, key, batch=NEW):
    return Context(w, forward(w, batch), batch, key, forward)


def cross_entropy(w, data):
    logits = np.asarray(data["x"], np.float64) @ np.asarray(w, np.float64)
    return -log_softmax(logits, axis=1)[np.arange(len(logits)), np.asarray(data["label"])]


@pytest.mark.parametrize(("k", "weight", "r"), [(2, None, 1 / 2), (3, None, 1 / 3), (3, 0.9, 0.9)])
def test_the_loss_by_hand_with_a_single_example(k, weight, r, key):
    transform = replay(fraction(1.0), weight=weight)
    state = after(transform, (k - 1) * [ONE], key)
    loss, metrics = transform.apply(jnp.float32(1.5), state, context(W, key))
    (old,) = cross_entropy(W, ONE)
    np.testing.assert_allclose(metrics["replayed"], old, rtol=1e-5)
    np.testing.assert_allclose(loss, r * 1.5 + (1 - r) * old, rtol=1e-5)


def test_the_gradient_weighs_old_and_new(key):
    transform = replay(fraction(1.0), weight=0.25)
    state = after(transform, [ONE], key)

    def loss(w, data):
        return -jnp.mean(jax.nn.log_softmax(forward(w, data))[jnp.arange(1), data["label"]])

    def replayed(w):
        return transform.apply(3 * w.sum(), state, context(w, key))[0]

    expected = 0.25 * 3 + 0.75 * jax.grad(loss)(W, ONE)
    np.testing.assert_allclose(jax.grad(replayed)(W), expected, rtol=1e-5)


MEMORIES = {
    "per_class": per_class(2),
    "fraction": fraction(0.5),
    "stored": stored(reservoir(3)),
}


@pytest.mark.parametrize("name", MEMORIES)
@pytest.mark.parametrize("weight", [None, 0.3])
def test_the_first_task_stays_as_it_is(name, weight, key):
    transform = replay(MEMORIES[name], weight=weight)
    for state in (transform.init(W), after(transform, [], key)):
        loss, metrics = transform.apply(jnp.float32(0.7), state, Context(W, {}, NEW))
        assert float(loss) == np.float32(0.7)
        assert float(metrics["replayed"]) == 0


@pytest.mark.parametrize("name", MEMORIES)
def test_as_many_are_replayed_as_are_new_and_evenly(name, key):
    """With pairs of a class and inputs of its own, the mean over draws is known."""
    data = {**examples(4), "x": jnp.eye(4, 3), "label": jnp.arange(4)}
    transform = replay(MEMORIES[name])
    state = after(transform, [data], key)
    kept = state.memory.data
    seen = []

    def counting(w, batch):
        seen.append(len(batch["x"]))
        return forward(w, batch)

    def one(key):
        return transform.apply(jnp.float32(0), state, context(W, key)._replace(forward=counting))[1]

    replayed = np.asarray(jax.vmap(one)(jax.random.split(key, 1500))["replayed"], np.float64)
    assert set(seen) == {len(NEW["x"])}
    each = cross_entropy(W, kept)
    # The mean of five draws with replacement has a fifth of the variance of one.
    spread = np.sqrt(each.var() / 5 / 1500)
    assert abs(replayed.mean() - each.mean()) < 4 * spread
    np.testing.assert_allclose(replayed.var(), each.var() / 5, rtol=0.2)


def test_so_many_of_each_class_of_each_task_are_kept(key):
    labels = np.repeat([0, 1, 3], [6, 1, 4])
    data = {"x": jnp.ones((11, 3)), "label": jnp.asarray(labels), "number": jnp.arange(11)}
    transform = replay(per_class(3))
    memory = after(transform, [data], key).memory.data
    numbers = np.asarray(memory["number"])
    assert len(set(numbers)) == len(numbers) == 7
    np.testing.assert_array_equal(np.bincount(memory["label"]), [3, 1, 0, 3])
    np.testing.assert_array_equal(memory["label"], labels[numbers])
    twice = after(transform, [data, data], key).memory.data
    np.testing.assert_array_equal(np.bincount(twice["label"]), [6, 2, 0, 6])
    other = after(transform, [data], jax.random.key(1)).memory.data["number"]
    assert set(other.tolist()) != set(numbers.tolist())


def test_with_room_from_the_start_shapes_stay_and_the_same_is_kept_and_drawn(key):
    plain, roomy = (replay(per_class(2, room=room), name="r") for room in (0, 10))
    sizes, states = [], []
    for transform in (plain, roomy):
        after_each = [after(transform, n * [examples(8)], key) for n in (1, 2, 3)]
        sizes.append([len(state.memory.data["label"]) for state in after_each])
        states.append(after_each[1])
    each = int(states[0].memory.filled) // 2
    assert sizes == [[each, 2 * each, 3 * each], [10, 10, 3 * each]]
    assert each == 5
    found, other = (state.memory.data["number"][: 2 * each] for state in states)
    np.testing.assert_array_equal(found, other)
    one, two = (
        transform.apply(jnp.float32(0), state, context(W, key))[0]
        for transform, state in zip((plain, roomy), states, strict=True)
    )
    assert float(one) == float(two)


@pytest.mark.parametrize(("ratio", "kept"), [(0.25, 2), (0.5, 4), (0.01, 1)])
def test_a_part_of_each_task_is_kept(ratio, kept, key):
    transform = replay(fraction(ratio))
    numbers = after(transform, 2 * [examples(8)], key).memory.data["number"]
    assert len(numbers) == 2 * kept
    for part in (numbers[:kept], numbers[kept:]):
        assert len(set(part.tolist())) == kept
    drawn = [
        after(transform, [examples(8)], jax.random.key(i)).memory.data["number"] for i in range(9)
    ]
    assert len(set(np.concatenate(drawn).tolist())) > kept


def test_exact_replay_keeps_all_data_in_order(key):
    tasks = [examples(4, seed=1), examples(3, seed=2)]
    memory = after(replay(fraction(1.0)), tasks, key).memory.data
    chex.assert_trees_all_equal(memory, jax.tree.map(lambda a, b: jnp.concatenate([a, b]), *tasks))


@pytest.mark.parametrize(
    ("make", "memory"),
    [
        (replay, per_class(2)),
        (replay, stored(class_balanced(2, 2))),
        (er_ace, stored(class_balanced(2, 2), online=True)),
        (agem, stored(greedy(2, 2))),
    ],
)
def test_a_memory_that_keeps_by_other_labels_is_refused_as_a_task_begins(make, memory, key):
    task = TaskData({"x": jnp.eye(2), "y": jnp.arange(2)}, lambda w, batch: batch["x"] @ w)
    transform, w = make(memory, label="y"), jnp.zeros((2, 2))
    with pytest.raises(ValueError, match=r"keeps by 'label', .* has x, y; make it with label='y'"):
        transform.begin_task(transform.init(w), w, task, key)


@pytest.mark.parametrize("rule", [class_balanced, greedy])
@pytest.mark.parametrize(
    ("make", "online"), [(replay, False), (replay, True), (er_ace, True), (agem, False)]
)
def test_a_memory_for_fewer_classes_than_a_task_has_is_refused_as_it_begins(
    make, online, rule, key
):
    task = TaskData({"x": jnp.eye(2), "label": jnp.arange(2)}, lambda w, batch: batch["x"] @ w)
    w = jnp.zeros((2, 2))
    transform = make(stored(rule(4, 2), online=online))
    transform.begin_task(transform.init(w), w, task, key)
    transform = make(stored(rule(4, 1), online=online))
    with pytest.raises(ValueError, match=r"classes: 1, a label is 1; give the classes of all"):
        transform.begin_task(transform.init(w), w, task, key)


@pytest.mark.parametrize("storage", [reservoir(6), class_balanced(6, 4)])
def test_a_buffer_keeps_its_shapes_from_task_to_task(storage, key):
    transform = replay(stored(storage))
    states = [after(transform, k * [examples(9)], key) for k in (1, 2, 3)]
    for k, state in enumerate(states, 1):
        chex.assert_trees_all_equal_shapes_and_dtypes(state, states[0])
        assert int(state.memory.filled) == 6
        assert int(state.memory.seen.sum()) == 9 * k


def test_a_reservoir_is_offered_a_task_in_random_order(key):
    """It would keep the order of the classes otherwise, as long as there is room."""
    transform = replay(stored(reservoir(9)))
    buffers = [after(transform, [examples(9)], jax.random.key(i)).memory for i in range(2)]
    orders = [buffer.data["number"].tolist() for buffer in buffers]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(9))


def picture_task(dtype, with_task=True):
    shape = (2, 4, 4, 1)
    data = {"input": jnp.zeros(shape, dtype), "label": jnp.zeros(2, jnp.int32)}
    if with_task:
        data["task"] = jnp.zeros(2, jnp.int32)

    def forward(w, batch):
        return batch["input"].astype(jnp.float32).reshape(-1, 16) @ w

    return TaskData(data, forward)


@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.float32])
def test_noise_is_labelled_by_the_network_as_it_stood(dtype, key):
    n, task = 600, picture_task(dtype)
    transform = replay(noise(n))
    rng = np.random.default_rng(0)
    w, later = (jnp.asarray(rng.normal(size=(16, 3)), jnp.float32) for _ in range(2))
    state = transform.begin_task(transform.init(w), w, task, key)
    assert state.memory == {}
    assert transform.end_task(state, w, task, key)[0].memory == {}
    state, _ = transform.end_task(state, w, task, key)
    state = transform.begin_task(state, w, task, key)
    drawn = state.memory
    image = np.asarray(drawn["input"])
    assert image.shape == (n, 4, 4, 1)
    assert image.dtype == dtype
    top = 255 if dtype == jnp.uint8 else 1
    assert image.min() == 0
    assert image.max() == top
    # A normal distribution cut at two standard deviations: 2.3 % at each end.
    values = image.astype(np.float64) / top
    assert values.mean() == pytest.approx(0.5, abs=0.02)
    assert np.mean(values == 0) == pytest.approx(0.0228, abs=0.006)
    assert values.std() == pytest.approx(0.24, abs=0.01)
    np.testing.assert_array_equal(drawn["task"], 0)
    logits = image.reshape(n, 16).astype(np.float64) @ np.asarray(w, np.float64)
    np.testing.assert_array_equal(drawn["label"], logits.argmax(1))
    assert drawn["label"].dtype == jnp.int32
    state, _ = transform.end_task(state, later, task, key)
    state = transform.begin_task(state, later, task, key)
    image = np.asarray(state.memory["input"])
    assert len(image) == n  # drawn anew, not added
    logits = image.reshape(n, 16).astype(np.float64) @ np.asarray(later, np.float64)
    np.testing.assert_array_equal(state.memory["label"], logits.argmax(1))
    assert set(np.unique(state.memory["task"])) == {0, 1}
    assert abs(np.mean(state.memory["task"]) - 0.5) < 4 * 0.5 / np.sqrt(n)


def test_noise_for_data_that_names_no_task(key):
    task, w = picture_task(jnp.float32, with_task=False), jnp.ones((16, 3))
    transform = replay(noise(5))
    state, _ = transform.end_task(transform.init(w), w, task, key)
    memory = transform.begin_task(state, w, task, key).memory
    assert {name: len(leaf) for name, leaf in memory.items()} == {"input": 5, "label": 5}
    batch = {**task.data, "index": jnp.arange(2)}
    here = Context(w, task.forward(w, batch), batch, key, task.forward)
    loss, _ = transform.apply(jnp.float32(3), state._replace(memory=memory), here)
    np.testing.assert_allclose(loss, (3 + np.log(3)) / 2, rtol=1e-6)


def test_two_replays_with_two_names_draw_other_rows(key):
    data = examples(50)
    both = chain(
        a=replay(fraction(1.0), name="a"),
        b=replay(fraction(1.0), name="b"),
        c=replay(fraction(1.0), name="a"),
    )
    state = after(both, [data], key)
    _, metrics = both.apply(jnp.float32(0), state, context(W, key))
    a, b, c = (float(metrics[name]["replayed"]) for name in "abc")
    assert a == c != b
    kept = [
        after(replay(per_class(1), name=name), [data], key).memory.data["number"].tolist()
        for name in "ab"
    ]
    assert kept[0] != kept[1]


def test_other_rows_are_drawn_in_every_step(key):
    transform = replay(fraction(1.0))
    state = after(transform, [examples(50)], key)
    drawn = {
        float(transform.apply(jnp.float32(0), state, context(W, k))[1]["replayed"])
        for k in jax.random.split(key, 4)
    }
    assert len(drawn) == 4


def test_logits_are_those_that_an_example_is_judged_by(key):
    """The remembered example's own head, not that of the new batch."""
    transform = replay(fraction(1.0), weight=0.0)
    batch = {**NEW, "task": jnp.zeros(5, jnp.int32)}
    state = after(transform, [{**ONE, "task": jnp.array([1])}], key, new=batch)

    def heads(w, batch):
        return {"old": batch["x"] @ w, "new": batch["x"] @ (2 * w)}

    def judged(outputs, batch):
        return jnp.where(batch["task"][:, None] == 1, outputs["old"], outputs["new"])

    here = Context(W, heads(W, batch), batch, key, heads, judged)
    loss, _ = transform.apply(jnp.float32(9), state, here)
    np.testing.assert_allclose(loss, cross_entropy(W, ONE)[0], rtol=1e-5)


@pytest.mark.parametrize("name", MEMORIES)
def test_the_jitted_loss_follows_the_memory(name, key):
    transform, traces = replay(MEMORIES[name]), 0

    @jax.jit
    def loss(state):
        nonlocal traces
        traces += 1
        return transform.apply(jnp.float32(1.5), state, context(W, key))[0]

    state = after(transform, [examples(8)], key)
    plain, _ = transform.apply(jnp.float32(1.5), state, context(W, key))
    np.testing.assert_allclose(loss(state), plain, rtol=1e-6)
    other = jax.tree.map(lambda x: x, state)._replace(
        memory=after(transform, [{**examples(8), "x": 3 * examples(8)["x"]}], key).memory
    )
    assert abs(float(loss(other)) - float(plain)) > 1e-3
    third = loss(state._replace(tasks=jnp.int32(2)))
    # Loss 1.5 and replayed r: with k = 2 their mean, with k = 3 a third and two thirds.
    replayed = 2 * float(plain) - 1.5
    np.testing.assert_allclose(third, 1.5 / 3 + 2 / 3 * replayed, rtol=1e-5)
    assert traces == 1


@pytest.mark.parametrize("missing", ["key", "forward"])
def test_a_context_without_key_or_forward_is_refused(missing, key):
    transform = replay(fraction(1.0))
    state = after(transform, [ONE], key)
    here = context(W, key)._replace(**{missing: None})
    with pytest.raises(ValueError, match="key and forward"):
        transform.apply(jnp.float32(0), state, here)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: replay(fraction(1.0), weight=-0.1), "weight: -0.1"),
        (lambda: replay(fraction(1.0), weight=1.1), "weight: 1.1"),
        (lambda: fraction(0.0), "ratio: 0.0"),
        (lambda: fraction(1.5), "ratio: 1.5"),
        (lambda: per_class(0), "n: 0"),
        (lambda: noise(0), "n: 0"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
