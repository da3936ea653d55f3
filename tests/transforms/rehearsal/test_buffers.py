import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from jaxcl.transforms.rehearsal.buffers import class_balanced, reservoir, ring, sample


def numbered(*bounds):
    """Batches of examples that are numbered from 1 on; an unused row would be 0."""
    edges = np.cumsum((1, *bounds))
    return [{"x": jnp.arange(a, b, dtype=jnp.float32)} for a, b in itertools.pairwise(edges)]


def filled(storage, batches, key):
    buffer, add = storage.init(batches[0]), jax.jit(storage.add)
    for batch, k in zip(batches, jax.random.split(key, len(batches)), strict=True):
        buffer = add(buffer, batch, k)
    return buffer


@pytest.mark.parametrize("bounds", [(10,), (6, 4), (3, 1, 6)])
@pytest.mark.slow
def test_a_reservoir_keeps_every_example_equally_often(bounds, key):
    n, room, runs = 10, 4, 5000
    storage, batches = reservoir(room), numbered(*bounds)
    kept = jax.vmap(lambda k: filled(storage, batches, k).data["x"])(jax.random.split(key, runs))
    kept = np.asarray(kept, int)
    assert all(len(set(row)) == room for row in kept[:100])
    counts = np.bincount(kept.ravel(), minlength=n + 1)[1:]
    assert counts.sum() == runs * room
    # Without replacement: Pearson's statistic is chi-square times (1 - M/n) n / (n - 1).
    statistic = stats.chisquare(counts).statistic * (n - 1) / (n - room)
    assert stats.chi2.sf(statistic, n - 1) > 0.001


@pytest.mark.parametrize("make", [reservoir, ring])
def test_examples_are_all_kept_while_there_is_room(make, key):
    buffer = filled(make(5), numbered(2, 1), key)
    np.testing.assert_array_equal(buffer.data["x"], [1, 2, 3, 0, 0])
    assert (int(buffer.filled), int(buffer.seen[0])) == (3, 3)


STORAGES = {
    "reservoir": reservoir(4),
    "ring": ring(4),
    "class_balanced": class_balanced(4, 3),
}


@pytest.mark.parametrize("name", STORAGES)
@pytest.mark.slow
def test_jit_and_scan_give_what_a_loop_gives(name, key):
    storage, batches, size = STORAGES[name], 5, 3
    x = jax.random.normal(key, (batches, size, 2))
    label = jax.random.randint(key, (batches, size), 0, 3)
    data, keys = {"x": x, "label": label}, jax.random.split(key, batches)
    empty = storage.init({"x": x[0], "label": label[0]})

    loop = empty
    for i in range(batches):
        loop = storage.add(loop, {"x": x[i], "label": label[i]}, keys[i])

    def step(buffer, part):
        return storage.add(buffer, *part), None

    scanned = jax.jit(lambda buffer: jax.lax.scan(step, buffer, (data, keys))[0])(empty)
    chex.assert_trees_all_equal(scanned, loop)
    assert int(loop.filled) == 4
    assert int(loop.seen.sum()) == batches * size
    own = {tuple(row) for row in np.asarray(x).reshape(-1, 2).tolist()}
    assert {tuple(row) for row in np.asarray(loop.data["x"]).tolist()} < own


@pytest.mark.parametrize("name", STORAGES)
def test_fields_of_an_example_stay_together(name, key):
    storage = STORAGES[name]
    batch = {"x": jnp.arange(20.0), "label": jnp.arange(20) % 3, "input": jnp.arange(40) * 2}
    batch["input"] = batch["input"].reshape(20, 2).astype(jnp.uint8)
    buffer = filled(storage, [batch], key)
    rows = np.asarray(buffer.data["x"], int)
    assert len(set(rows)) == 4
    np.testing.assert_array_equal(buffer.data["label"], rows % 3)
    np.testing.assert_array_equal(buffer.data["input"], batch["input"][rows])
    drawn = sample(buffer, key, 30)
    np.testing.assert_array_equal(drawn["label"], np.asarray(drawn["x"], int) % 3)


@given(st.integers(1, 6), st.lists(st.integers(1, 7), min_size=1, max_size=3))
def test_a_ring_keeps_the_latest_in_order_of_age(room, bounds):
    buffer = filled(ring(room), numbered(*bounds), jax.random.key(0))
    n = sum(bounds)
    latest = np.arange(1, n + 1)[-room:]
    oldest = n % room if n > room else 0
    data = np.asarray(buffer.data["x"])[: int(buffer.filled)]
    np.testing.assert_array_equal(np.roll(data, -oldest), latest)


def test_rare_classes_are_kept_whole_and_the_others_share_the_room(key):
    room, counts = 12, (90, 20, 3)
    labels = np.repeat(np.arange(3), counts)
    storage = class_balanced(room, 3)

    def run(key):
        order, draw = jax.random.split(key)
        rows = jax.random.permutation(order, sum(counts))
        batch = {"row": rows, "label": jnp.asarray(labels)[rows]}
        return storage.add(storage.init(batch), batch, draw)

    buffers = jax.vmap(run)(jax.random.split(key, 100))
    np.testing.assert_array_equal(buffers.seen, np.tile(counts, (100, 1)))
    data = {name: np.asarray(leaf) for name, leaf in buffers.data.items()}
    for rows, kept in zip(data["row"], data["label"], strict=True):
        assert len(set(rows.tolist())) == room
        assert set(rows.tolist()) >= {110, 111, 112}  # all of class 2
        shares = np.bincount(kept, minlength=3)
        assert shares[2] == 3
        assert {int(shares[0]), int(shares[1])} == {4, 5}


def test_a_class_that_comes_last_gets_its_share(key):
    """As when the classes come one after the other; a reservoir would keep few."""
    labels = jnp.repeat(jnp.arange(3), jnp.array([50, 50, 4]))
    buffer = filled(class_balanced(12, 3), [{"label": labels}], key)
    np.testing.assert_array_equal(np.bincount(buffer.data["label"]), [4, 4, 4])


def test_with_fewer_slots_than_classes_each_class_has_the_same_chance_of_one(key):
    """Whenever it came, however often; its image is any of its images."""
    room, sizes, runs = 4, [9, 3, 1, 6, 2, 12, 5, 1, 7, 4], 3000
    classes = len(sizes)
    batch = {
        "x": jnp.arange(sum(sizes)),
        "label": jnp.repeat(jnp.arange(classes), jnp.array(sizes)),
    }
    storage = class_balanced(room, classes)

    def run(key):
        data = filled(storage, [batch], key).data
        return data["x"], data["label"]

    rows, kept = (np.asarray(x) for x in jax.vmap(run)(jax.random.split(key, runs)))
    assert all(len(set(labels)) == room for labels in kept.tolist())
    shares = np.bincount(kept.ravel(), minlength=classes) / runs
    error = np.sqrt(room / classes * (1 - room / classes) / runs)
    assert np.abs(shares - room / classes).max() < 4 * error, shares
    latest = np.bincount(rows[kept == 5] - sum(sizes[:5]), minlength=12)
    assert stats.chisquare(latest).pvalue > 0.001


@pytest.mark.parametrize("room", [3, 12])
@pytest.mark.parametrize("make", [reservoir, ring, lambda room: class_balanced(room, 6)])
@pytest.mark.slow
def test_examples_may_be_offered_in_parts_of_any_size(make, room, key):
    batch = {"x": jnp.arange(30), "label": jnp.arange(30) % 6}
    storage = make(room)
    whole, keys = storage.add(storage.init(batch), batch, key), jax.random.split(key, 30)
    parts = storage.init(batch)
    for rows in (slice(0, 1), slice(1, 20), slice(20, 30)):
        some = {name: leaf[rows] for name, leaf in batch.items()}
        parts = storage.add_each(parts, some, keys[rows])
    chex.assert_trees_all_equal(parts, whole)


@pytest.mark.parametrize(("room", "period"), [(3, 1), (4, 2), (5, 2)])
def test_a_class_is_kept_evenly_over_time(room, period, key):
    """With room for 5 and two classes in turn, no class may push the other's past out."""
    n, runs = 24, 2000
    batch = {"x": jnp.arange(n), "label": jnp.arange(n) % period}
    storage = class_balanced(room, period)
    kept = jax.vmap(lambda k: filled(storage, [batch], k).data["x"])(jax.random.split(key, runs))
    # Both classes in six parts of the stream; the numbers of a run exclude each other,
    # which only makes the statistic smaller.
    counts = np.bincount(np.asarray(kept).ravel() // 4, minlength=6)
    assert stats.chisquare(counts).pvalue > 0.001


def test_only_rows_in_use_are_drawn_and_all_of_them_evenly(key):
    buffer = filled(reservoir(8), numbered(3), key)
    drawn = sample(buffer, key, 600)["x"]
    counts = np.bincount(np.asarray(drawn, int))
    assert counts[0] == 0
    assert stats.chisquare(counts[1:]).pvalue > 0.001
    assert len(counts) == 4


@pytest.mark.parametrize("make", [reservoir, ring, lambda room: class_balanced(room, 2)])
@pytest.mark.parametrize("room", [0, -1])
def test_no_room_is_refused(make, room):
    with pytest.raises(ValueError, match=f"capacity: {room}"):
        make(room)
