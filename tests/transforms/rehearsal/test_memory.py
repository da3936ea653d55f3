import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from jaxcl.transforms import Context, Step, TaskData, chain, distill, ewc, replay
from jaxcl.transforms.rehearsal.buffers import reservoir
from jaxcl.transforms.rehearsal.made_examples import drawn_images, generated, noise
from jaxcl.transforms.rehearsal.memory import LOGITS, fraction, per_class, stored

RNG = np.random.default_rng(0)
OLD, NEW = RNG.normal(size=(4, 3)), RNG.normal(size=(4, 5))  # two classes more
W = jnp.asarray(OLD, jnp.float32)
WIDER = jnp.asarray(NEW, jnp.float32)


def pictures(n, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 2, 2, 1), dtype=np.uint8)


def flat(images):
    return np.asarray(images, np.float64).reshape(-1, 4) / 255


DATA = {"input": jnp.asarray(pictures(6, 1)), "label": jnp.asarray([0, 1, 2, 0, 1, 2])}
NOW = {**DATA, "label": DATA["label"] + 2, "index": jnp.arange(6)}  # a batch of a later task
MADE = jnp.asarray(pictures(9, 2))


def forward(w, batch):
    return batch["input"].astype(jnp.float32).reshape(-1, 4) / 255 @ w


def task(images=MADE):
    return TaskData(DATA, forward, generated=images)


def second(transform, key, images=MADE, w=W):
    """The state in a second task that began at these weights."""
    state = transform.begin_task(transform.init(w), w, task(None), key)
    state, _ = transform.end_task(state, w, task(None), key)
    return transform.begin_task(state, w, task(images), key)


def context(w, key, batch=NOW, outputs=None):
    return Context(w, forward(w, batch) if outputs is None else outputs, batch, key, forward)


def softened(new, old, temperature):
    """Distillation loss of each example, with probability 0 for classes that are new."""
    p = np.pad(softmax(old / temperature, axis=1), ((0, 0), (0, new.shape[1] - old.shape[1])))
    return -(p * log_softmax(new / temperature, axis=1)).sum(1)


# What a generator makes, as a memory.


@pytest.mark.parametrize("soft", [True, False])
def test_the_first_task_leaves_the_memory_empty(soft, key):
    transform = replay(generated(soft=soft))
    for images in (None, MADE):
        state = transform.begin_task(transform.init(W), W, task(images), key)
        assert state.memory == {}
        assert transform.end_task(state, W, task(images), key)[0].memory == {}


@pytest.mark.parametrize("transform", [replay(generated()), distill(generated=True)])
def test_a_later_task_without_images_is_refused(transform, key):
    with pytest.raises(ValueError, match="no generated images"):
        second(transform, key, images=None)


def test_nothing_that_is_remembered_shares_memory(key):
    """A train step may be given the state for good, and there may be several remedies."""
    np.testing.assert_array_equal(drawn_images(task()), MADE)
    both = chain(replay=replay(generated()), distill=distill(generated=True))
    leaves = [MADE, W, *jax.tree.leaves(second(both, key))]
    assert len({leaf.unsafe_buffer_pointer() for leaf in leaves}) == len(leaves)


def test_soft_labels_are_the_logits_of_the_old_network(key):
    memory = second(replay(generated()), key).memory
    assert set(memory) == {"input", LOGITS}
    np.testing.assert_array_equal(memory["input"], MADE)
    np.testing.assert_allclose(memory[LOGITS], flat(MADE) @ OLD, rtol=1e-5, atol=1e-6)


def test_hard_labels_are_the_classes_that_the_old_network_finds_most_probable(key):
    memory = second(replay(generated(soft=False)), key).memory
    assert set(memory) == {"input", "label"}
    np.testing.assert_array_equal(memory["input"], MADE)
    assert memory["label"].dtype == jnp.int32
    expected = (flat(MADE) @ OLD).argmax(1)
    assert len(set(expected)) > 1
    np.testing.assert_array_equal(memory["label"], expected)


def test_more_images_than_are_judged_at_once(key):
    many = jnp.asarray(pictures(1203))
    memory = second(replay(generated()), key, images=many).memory
    np.testing.assert_allclose(memory[LOGITS], flat(many) @ OLD, rtol=1e-5, atol=1e-5)


def test_names_of_inputs_and_labels(key):
    data = {"x": DATA["input"], "y": DATA["label"]}
    named = TaskData(data, lambda w, b: forward(w, {"input": b["x"]}), generated=MADE)
    transform = replay(generated(soft=False, inputs="x", label="y"), label="y")
    state, _ = transform.end_task(transform.init(W), W, named, key)
    state = transform.begin_task(state, W, named, key)
    assert set(state.memory) == {"x", "y"}
    here = Context(W, {}, data, key, named.forward)
    assert np.isfinite(transform.apply(jnp.float32(1), state, here)[0])


HEADS = {f"t0{k}": jnp.asarray(RNG.normal(size=(4, 3)), jnp.float32) for k in range(4)}


def all_heads(heads, batch):
    return {name: forward(w, batch) for name, w in heads.items()}


def own_head(outputs, batch):
    """The logits of each example's own task."""
    every = jnp.stack([outputs[name] for name in sorted(outputs)], 1)
    return jnp.take_along_axis(every, batch["task"][:, None, None], axis=1)[:, 0]


@pytest.mark.parametrize("soft", [True, False])
@pytest.mark.parametrize("tasks", [1, 3])
def test_tasks_are_drawn_among_earlier_ones_and_their_heads_respond(tasks, soft, key):
    n = 900
    made = jnp.asarray(pictures(n))
    data = {**DATA, "task": jnp.full(6, tasks, jnp.int32)}
    old = {name: HEADS[name] for name in sorted(HEADS)[:tasks]}
    here = TaskData(data, all_heads, own_head, generated=made)
    transform = replay(generated(soft=soft))
    state = transform.init(old)
    for _ in range(tasks):
        state, _ = transform.end_task(state, old, here, key)
    memory = transform.begin_task(state, old, here, key).memory
    drawn = np.asarray(memory["task"])
    assert set(drawn) == set(range(tasks))
    assert np.abs(np.bincount(drawn) - n / tasks).max() < 4 * np.sqrt(n / tasks)
    heads = np.asarray([old[name] for name in sorted(old)], np.float64)
    logits = np.einsum("ni,nic->nc", flat(made), heads[drawn])
    if soft:
        np.testing.assert_allclose(memory[LOGITS], logits, rtol=1e-4, atol=1e-5)
    else:
        np.testing.assert_array_equal(memory["label"], logits.argmax(1))
    other = transform.begin_task(state, old, here, jax.random.key(1)).memory
    assert (set(drawn) == {0}) == np.array_equal(other["task"], drawn)


def test_inputs_take_the_place_of_those_before(key):
    transform = replay(generated())
    state = second(transform, key)
    later = jnp.asarray(pictures(4, 3))
    state, _ = transform.end_task(state, WIDER, task(), key)
    memory = transform.begin_task(state, WIDER, task(later), key).memory
    np.testing.assert_array_equal(memory["input"], later)
    np.testing.assert_allclose(memory[LOGITS], flat(later) @ NEW, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("soft", [True, False])
def test_the_network_that_learns_has_no_say_in_what_is_remembered(soft, key):
    """Whatever it is during the task and at its end, and whatever the task's labels are."""
    transform = replay(generated(soft=soft))
    state = second(transform, key)
    before = jax.tree.map(np.asarray, state.memory)
    nothing = jnp.full_like(WIDER, jnp.nan)
    transform.apply(jnp.float32(0), state, context(nothing, key))
    unlabelled = task()._replace(data={"input": DATA["input"]})
    state, _ = transform.end_task(state, nothing, unlabelled, key)
    chex.assert_trees_all_equal(state.memory, before)


# Replay of remembered responses.


@pytest.mark.parametrize(("weight", "r"), [(None, 1 / 2), (0.3, 0.3), (0.0, 0.0)])
@pytest.mark.parametrize("temperature", [2.0, 3.0, 0.5])
def test_soft_responses_by_hand_where_classes_are_new(weight, r, temperature, key):
    transform = replay(generated(), weight=weight, temperature=temperature)
    state = second(transform, key, images=MADE[:1])
    loss, metrics = transform.apply(jnp.float32(1.5), state, context(WIDER, key))
    x = flat(MADE[:1])
    (kd,) = temperature**2 * softened(x @ NEW, x @ OLD, temperature)
    np.testing.assert_allclose(metrics["replayed"], kd, rtol=1e-5)
    np.testing.assert_allclose(loss, r * 1.5 + (1 - r) * kd, rtol=1e-5)


def test_the_new_network_may_be_of_another_architecture(key):
    """The old one labels as a task begins, and is not asked again."""
    hidden = {"in": jnp.ones((4, 2)), "out": jnp.asarray(NEW[:2], jnp.float32)}

    def deeper(params, batch):
        return jax.nn.relu(forward(params["in"], batch)) @ params["out"]

    state = second(replay(generated()), key, images=MADE[:1])
    here = Context(hidden, deeper(hidden, NOW), NOW, key, deeper)
    _, metrics = replay(generated()).apply(jnp.float32(0), state, here)
    x = flat(MADE[:1])
    (kd,) = 4 * softened(np.maximum(x @ np.ones((4, 2)), 0) @ NEW[:2], x @ OLD, 2)
    np.testing.assert_allclose(metrics["replayed"], kd, rtol=1e-5)


def test_the_temperature_is_two_by_default(key):
    losses = [
        transform.apply(jnp.float32(1.5), second(transform, key), context(WIDER, key))[0]
        for transform in (replay(generated()), replay(generated(), temperature=2.0))
    ]
    assert float(losses[0]) == float(losses[1])


def test_the_gradient_of_soft_responses_by_hand(key):
    """T (q - p) for each logit, and p is 0 for classes that are new."""
    temperature = 3.0
    transform = replay(generated(), weight=0.25, temperature=temperature)
    state, x = second(transform, key, images=MADE[:1]), flat(MADE[:1])

    def replayed(w):
        return transform.apply(2 * w.sum(), state, context(w, key))[0]

    p = np.pad(softmax(x @ OLD / temperature, axis=1), ((0, 0), (0, 2)))
    q = softmax(x @ NEW / temperature, axis=1)
    expected = 0.25 * 2 + 0.75 * temperature * x.T @ (q - p)
    np.testing.assert_allclose(jax.grad(replayed)(WIDER), expected, rtol=1e-4)


def test_responses_are_drawn_with_their_images_and_evenly(key):
    transform = replay(generated())
    state = second(transform, key)
    seen = []

    def counting(w, batch):
        seen.append(len(batch["input"]))
        return forward(w, batch)

    def one(key):
        here = context(WIDER, key)._replace(forward=counting)
        return transform.apply(jnp.float32(0), state, here)[1]["replayed"]

    replayed = np.asarray(jax.vmap(one)(jax.random.split(key, 1000)), np.float64)
    assert set(seen) == {len(NOW["input"])}
    each = 4 * softened(flat(MADE) @ NEW, flat(MADE) @ OLD, 2)
    # The mean of six draws with replacement has a sixth of the variance of one.
    assert abs(replayed.mean() - each.mean()) < 4 * np.sqrt(each.var() / 6 / 1000)
    np.testing.assert_allclose(replayed.var(), each.var() / 6, rtol=0.25)


def test_hard_responses_by_hand(key):
    transform = replay(generated(soft=False))
    state, x = second(transform, key, images=MADE[:1]), flat(MADE[:1])
    loss, _ = transform.apply(jnp.float32(1.5), state, context(WIDER, key))
    expected = -log_softmax(x @ NEW, axis=1)[0, (x @ OLD).argmax()]
    np.testing.assert_allclose(loss, (1.5 + expected) / 2, rtol=1e-5)


def test_labels_that_are_stored_are_not_taken_for_responses(key):
    """Data of the task itself, with labels, are replayed as they were before."""
    transform = replay(fraction(1.0))
    one = task()._replace(data={name: leaf[:1] for name, leaf in DATA.items()})
    state, _ = transform.end_task(transform.init(W), W, one, key)
    loss, _ = transform.apply(jnp.float32(1.5), state, context(WIDER, key))
    expected = -log_softmax(flat(DATA["input"][:1]) @ NEW, axis=1)[0, 0]
    np.testing.assert_allclose(loss, (1.5 + expected) / 2, rtol=1e-5)


def test_the_jitted_loss_follows_memory_temperature_and_weight(key):
    transform = replay(generated())

    @jax.jit
    @chex.assert_max_traces(n=1)
    def loss(state):
        return transform.apply(jnp.float32(1.5), state, context(WIDER, key))[0]

    def expected(image, old, temperature, r):
        x = flat(image)
        (kd,) = temperature**2 * softened(x @ NEW, x @ np.asarray(old, np.float64), temperature)
        return r * 1.5 + (1 - r) * kd

    one, other = MADE[:1], MADE[4:5]
    state = second(transform, key, images=one)
    np.testing.assert_allclose(loss(state), expected(one, OLD, 2, 1 / 2), rtol=1e-5)
    moved = second(transform, key, images=other)
    np.testing.assert_allclose(loss(moved), expected(other, OLD, 2, 1 / 2), rtol=1e-5)
    taught = second(transform, key, images=one, w=-W)
    np.testing.assert_allclose(loss(taught), expected(one, -OLD, 2, 1 / 2), rtol=1e-5)
    hotter = state._replace(temperature=jnp.float32(5))
    np.testing.assert_allclose(loss(hotter), expected(one, OLD, 5, 1 / 2), rtol=1e-5)
    third = state._replace(tasks=jnp.int32(2))
    np.testing.assert_allclose(loss(third), expected(one, OLD, 2, 1 / 3), rtol=1e-5)
    weighed = state._replace(weight=jnp.float32(0.9))
    np.testing.assert_allclose(loss(weighed), expected(one, OLD, 2, 0.9), rtol=1e-5)


SOFT = pytest.mark.parametrize("soft", [True, False])


@SOFT
def test_with_weight_one_the_memory_has_no_say(soft, key):
    transform = replay(generated(soft=soft), weight=1.0)

    def loss(w, state):
        plain = jnp.sum(jnp.sin(w))
        return plain if state is None else transform.apply(plain, state, context(w, key))[0]

    slope = jax.value_and_grad(loss)
    for images, w in ((MADE, W), (MADE[::-1], -W)):
        state = second(transform, key, images=images, w=w)
        assert float(transform.apply(jnp.float32(0), state, context(WIDER, key))[1]["replayed"]) > 0
        chex.assert_trees_all_equal(slope(WIDER, state), slope(WIDER, None))


@SOFT
@pytest.mark.parametrize("weight", [None, 0.3])
def test_the_first_task_stays_as_it_is(soft, weight, key):
    transform = replay(generated(soft=soft), weight=weight)

    def loss(w, state):
        plain = jnp.sum(jnp.sin(w))
        return plain if state is None else transform.apply(plain, state, Context(w, {}, NOW))[0]

    begun = transform.begin_task(transform.init(W), W, task(), key)
    for f in (jax.value_and_grad(loss), jax.jit(jax.value_and_grad(loss))):
        for state in (transform.init(W), begun):
            chex.assert_trees_all_equal(f(W, state), f(W, None))
    metrics = transform.apply(jnp.float32(0.7), begun, Context(W, {}, NOW))[1]
    assert float(metrics["replayed"]) == 0


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_that_is_not_positive_is_refused(temperature):
    with pytest.raises(ValueError, match=f"temperature: {temperature}"):
        replay(generated(), temperature=temperature)


# Distillation on generated inputs.


def test_responses_to_generated_images_are_recorded(key):
    state = second(distill(generated=True), key)
    np.testing.assert_allclose(state.responses, flat(MADE) @ OLD, rtol=1e-5, atol=1e-6)
    assert set(state.inputs) == {"input"}
    np.testing.assert_array_equal(state.inputs["input"], MADE)
    plain = second(distill(), key)
    np.testing.assert_allclose(plain.responses, flat(DATA["input"]) @ OLD, rtol=1e-5, atol=1e-6)
    assert plain.inputs == {}


@pytest.mark.parametrize(
    ("settings", "factor"),
    [
        ({}, 15),
        ({"strength": 3.0, "temperature": 4.0}, 3),
        ({"strength": 3.0, "temperature": 4.0, "t_squared": True}, 3 * 16),
    ],
)
@pytest.mark.parametrize("padded", [True, False])
def test_distillation_of_a_generated_image_by_hand(padded, settings, factor, key):
    transform = distill(**settings, padded=padded, generated=True)
    state = second(transform, key, images=MADE[:1])
    # Neither the outputs for the new batch nor its rows are asked for.
    here = context(WIDER, key, {"input": NOW["input"]}, outputs={})
    loss, _ = transform.apply(jnp.float32(1.5), state, here)
    x, temperature = flat(MADE[:1]), settings.get("temperature", 2.0)
    (kd,) = softened((x @ NEW)[:, : None if padded else 3], x @ OLD, temperature)
    np.testing.assert_allclose(loss, 1.5 + factor * kd, rtol=1e-5)


def test_as_many_generated_images_are_drawn_as_are_new_and_evenly(key):
    transform = distill(1.0, padded=True, generated=True)
    state = second(transform, key)
    seen = []

    def counting(w, batch):
        seen.append(len(batch["input"]))
        return forward(w, batch)

    def one(key):
        here = context(WIDER, key)._replace(forward=counting)
        return transform.apply(jnp.float32(0), state, here)[1]["kd"]

    found = np.asarray(jax.vmap(one)(jax.random.split(key, 1000)), np.float64)
    assert set(seen) == {len(NOW["input"])}
    each = softened(flat(MADE) @ NEW, flat(MADE) @ OLD, 2)
    assert abs(found.mean() - each.mean()) < 4 * np.sqrt(each.var() / 6 / 1000)
    np.testing.assert_allclose(found.var(), each.var() / 6, rtol=0.25)


def test_heads_that_were_there_respond_to_generated_images(key):
    old = {"t00": HEADS["t00"]}
    transform = distill(2.0, generated=True)
    before = TaskData(DATA, lambda p, b: all_heads(old, b), generated=MADE[:1])
    state, _ = transform.end_task(transform.init(HEADS), HEADS, before, key)
    state = transform.begin_task(state, HEADS, before, key)
    moved = jax.tree.map(lambda w: 2 * w, HEADS)
    here = Context(moved, all_heads(moved, NOW), NOW, key, all_heads)
    x, w = flat(MADE[:1]), np.asarray(HEADS["t00"], np.float64)
    expected = softened(x @ (2 * w), x @ w, 2).item()
    loss, _ = transform.apply(jnp.float32(0.5), state, here)
    np.testing.assert_allclose(loss, 0.5 + 2 * expected, rtol=1e-5)

    def total(p):
        return transform.apply(jnp.float32(0), state, here._replace(params=p))[0]

    gradient = jax.grad(total)(moved)
    assert np.any(gradient["t00"] != 0)
    np.testing.assert_array_equal(gradient["t01"], 0)


def test_distillation_of_generated_images_leaves_the_first_task_as_it_is(key):
    transform = distill(generated=True)
    start = transform.init(W)
    for images in (None, MADE):
        state = transform.begin_task(start, W, task(images), key)
        chex.assert_trees_all_equal(state, start)
    logits = forward(W, NOW)
    for outputs in (logits, {}, {"t00": logits}):  # no head yet, or what the new task has made
        loss, metrics = transform.apply(jnp.float32(0.7), state, Context(W, outputs, NOW))
        assert float(loss) == np.float32(0.7)
        assert float(metrics["kd"]) == 0


@pytest.mark.parametrize("missing", ["key", "forward"])
def test_distillation_needs_a_context_with_key_and_forward(missing, key):
    transform = distill(generated=True)
    state = second(transform, key)
    here = context(WIDER, key)._replace(**{missing: None})
    with pytest.raises(ValueError, match="key and forward"):
        transform.apply(jnp.float32(0), state, here)


def test_the_jitted_distillation_follows_images_and_responses(key):
    transform = distill(1.0, padded=True, generated=True)

    @jax.jit
    @chex.assert_max_traces(n=1)
    def loss(state):
        return transform.apply(jnp.float32(0), state, context(WIDER, key))[0]

    for image, old in ((MADE[:1], OLD), (MADE[4:5], OLD), (MADE[:1], -OLD)):
        state = second(transform, key, images=image, w=jnp.asarray(old, jnp.float32))
        (kd,) = softened(flat(image) @ NEW, flat(image) @ old, 2)
        np.testing.assert_allclose(loss(state), kd, rtol=1e-5)
        np.testing.assert_allclose(loss(state._replace(strength=jnp.float32(3))), 3 * kd, rtol=1e-5)


# Several remedies together.


def test_replay_and_distillation_of_a_generated_image_by_hand(key):
    both = chain(
        replay=replay(generated(), weight=0.3, temperature=3.0),
        distill=distill(5.0, 2.0, padded=True, generated=True),
    )
    state = second(both, key, images=MADE[:1])
    loss, metrics = both.apply(jnp.float32(1.5), state, context(WIDER, key))
    x = flat(MADE[:1])
    (replayed,), (kd,) = (softened(x @ NEW, x @ OLD, temperature) for temperature in (3, 2))
    np.testing.assert_allclose(metrics["replay"]["replayed"], 9 * replayed, rtol=1e-5)
    np.testing.assert_allclose(metrics["distill"]["kd"], kd, rtol=1e-5)
    np.testing.assert_allclose(loss, 0.3 * 1.5 + 0.7 * 9 * replayed + 5 * kd, rtol=1e-5)


def test_replay_and_ewc_by_hand(key):
    """The Fisher information of the last layer is that of a softmax regression."""
    both = chain(replay=replay(generated()), ewc=ewc(7.0))
    state = second(both, key, images=MADE[:1])
    moved = OLD + 0.5 * np.random.default_rng(3).normal(size=OLD.shape)
    here = context(jnp.asarray(moved, jnp.float32), key, {**NOW, "label": DATA["label"]})
    loss, metrics = both.apply(jnp.float32(1.5), state, here)
    x, p = flat(DATA["input"]), softmax(flat(DATA["input"]) @ OLD, axis=1)
    fisher = (x**2).T @ (p * (1 - p)) / len(x)
    penalty = 0.5 * np.sum(fisher * (moved - OLD) ** 2)
    made = flat(MADE[:1])
    (kd,) = 4 * softened(made @ moved, made @ OLD, 2)
    np.testing.assert_allclose(metrics["ewc"]["penalty"], penalty, rtol=1e-4)
    np.testing.assert_allclose(loss, (1.5 + kd) / 2 + 7 * penalty, rtol=1e-5)
    # The other way round the penalty is weighed as well.
    other = chain(ewc=ewc(7.0), replay=replay(generated()))
    loss, _ = other.apply(jnp.float32(1.5), state, here)
    np.testing.assert_allclose(loss, (1.5 + 7 * penalty + kd) / 2, rtol=1e-5)


def test_noise_in_place_of_tokens_is_refused(key):
    task = TaskData({"input": jnp.zeros((3, 5), jnp.int32)}, lambda w, batch: batch["input"])
    with pytest.raises(ValueError, match="'input' is int32; it is drawn for bytes or floats"):
        noise(3).recall({}, {}, task, 1, key)


@pytest.mark.parametrize("memory", [noise(3, "x"), generated(inputs="x")])
def test_inputs_of_another_name_are_refused_with_the_names_there_are(memory, key):
    name = "noise" if memory.made_labels else "generated"
    match = rf"^{name}: the data has no 'x', it has input, label; .* {name}\(inputs="
    with pytest.raises(ValueError, match=match):
        second(replay(memory), key)


KEEPING = {
    "per_class": per_class(2),
    "fraction": fraction(0.5),
    "stored": stored(reservoir(4)),
    "online": stored(reservoir(4), online=True),
}
UNLIKE = {
    "dtype": ({**DATA, "input": DATA["input"] / 255}, "'input' is float32 .*holds uint8"),
    "shape": ({**DATA, "input": DATA["input"][:, :1]}, r"'input' is uint8 \[..., 1, 2, 1\]"),
    "missing": ({"label": DATA["label"]}, r"'input' is missing, .*holds uint8 \[..., 2, 2, 1\]"),
    "more": ({**DATA, "task": DATA["label"]}, r"'task' is int32 \[...\], .*holds none"),
}


@pytest.mark.parametrize("memory", KEEPING.values(), ids=KEEPING)
@pytest.mark.parametrize(("data", "match"), UNLIKE.values(), ids=UNLIKE)
def test_a_task_unlike_what_is_held_is_refused_as_it_begins(data, match, memory, key):
    transform = replay(memory)
    state = transform.begin_task(transform.init(W), W, task(), key)
    if memory.offer is not None:
        state = transform.update(state, Step(W, W, W, context=context(W, key, DATA, {})))
    state, _ = transform.end_task(state, W, task(), key)
    with pytest.raises(ValueError, match=f"^data: {match}.*; give every task the same names"):
        transform.begin_task(state, W, task()._replace(data=data), key)
    if memory.offer is None:  # where a transform does not ask it as a task begins
        with pytest.raises(ValueError, match=f"^data: {match}"):
            memory.remember(state.memory, task()._replace(data=data), key)
    # On the host, NumPy's labels of 64 bits are what JAX makes of them.
    data = {"input": np.asarray(DATA["input"]), "label": np.asarray(DATA["label"], np.int64)}
    again = transform.begin_task(state, W, task()._replace(data=data), key)
    assert int(again.memory.filled) == int(state.memory.filled)


def test_a_batch_unlike_what_is_held_is_refused(key):
    """A buffer of bytes would hold floats in [0, 1] as zeros."""
    transform = replay(KEEPING["online"])
    state = transform.begin_task(transform.init(W), W, task(), key)
    floats = {**NOW, "input": NOW["input"] / 255}  # the rows' index is not held, and may be there
    with pytest.raises(ValueError, match=r"^data: 'input' is float32 .*holds uint8"):
        transform.update(state, Step(W, W, W, context=context(W, key, floats, {})))
