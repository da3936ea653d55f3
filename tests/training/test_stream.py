import chex
import jax
import numpy as np
import pytest
from given import configured

from jaxcl.core import batching, sharding
from jaxcl.core.errors import UsageError
from jaxcl.learner.build import set_up
from jaxcl.learner.seed_loop import go_on, run
from jaxcl.learner.snapshot import restore_all, take_all
from jaxcl.training import stream
from jaxcl.training.events import SeedEnded, StepsDone

SETTINGS = {"epochs": 2, "batch_size": 8, "lr": 2e-2, "optimizer": "sgd", "probe": 40}
SETTINGS |= {"net": "mlp", "hidden": (16,), "strength": 10.0}


@pytest.fixture
def tasks(make_task):
    return [make_task("bars", n=60), make_task("sides", classes=4, seed=1, upright=False)]


@pytest.fixture
def small(monkeypatch):
    """Windows of four of an epoch's seven steps, and 20 images on the device at a time."""
    image = 32 * 32 * 3 + 8
    monkeypatch.setattr(stream, "WINDOW_BYTES", 4 * 8 * image)
    monkeypatch.setattr(batching, "PORTION_BYTES", 20 * image)


def ended(tasks, *, streamed: bool, **settings) -> list[SeedEnded]:
    events = run(configured(**SETTINGS | settings), tasks, stream=streamed)
    return [event for event in events if isinstance(event, SeedEnded)]


OTHERS = ("finetune", "lwf", "si", "der", "der_pp", "mas")


@pytest.mark.parametrize(
    "method", ["er", "ewc", *(pytest.param(method, marks=pytest.mark.slow) for method in OTHERS)]
)
@pytest.mark.slow
def test_what_is_streamed_ends_as_what_is_on_the_device(method, tasks, small):
    """But for rounding: sums over all images are made of sums over parts."""
    (whole,), (parts,) = (ended(tasks, streamed=s, method=method) for s in (False, True))
    chex.assert_trees_all_close(whole.params, parts.params, rtol=0, atol=1e-6)
    assert (whole.matrix, whole.bytes) == (parts.matrix, parts.bytes)


@pytest.mark.parametrize("held", [1, 3, 4, 5, 7, 9])
def test_each_step_gets_the_rows_of_its_batch(held, monkeypatch):
    """Whatever divides the seven steps, and from wherever a run goes on."""
    data = {"input": np.arange(28, dtype=np.uint8).reshape(28, 1), "label": np.arange(28)}
    order = jax.random.permutation(jax.random.key(0), 28).reshape(7, 4)
    monkeypatch.setattr(stream, "WINDOW_BYTES", held * 4 * 9)
    steps = stream.window_steps(data, order)
    assert steps == min(held, 7)
    for first in range(7):
        window = stream.windows(data, order)
        for step in range(first, 7):
            batch = {name: x[step % steps] for name, x in window(step).items()}
            chex.assert_trees_all_equal(batch["index"], order[step])
            chex.assert_trees_all_equal(batch["input"][:, 0], order[step].astype(np.uint8))


@pytest.mark.slow
def test_a_run_goes_on_to_the_bit(tasks, small):
    """From the middle of a window: an epoch's first stretch is a single step."""
    setup = set_up(configured(**SETTINGS, method="lwf"), tasks, stream=True)
    cuts = []
    for event in go_on(setup):
        if isinstance(event, StepsDone) and event.task_index == 1 and event.step % 4:
            cuts.append(take_all([event.learner]))
        elif isinstance(event, SeedEnded):
            whole = event
    assert cuts
    for cut in cuts[:2]:
        (resumed,) = (e for e in go_on(setup, restore_all(setup, cut)) if isinstance(e, SeedEnded))
        chex.assert_trees_all_equal(whole.params, resumed.params)
        assert whole.matrix == resumed.matrix


@pytest.mark.slow
def test_a_window_is_shared_by_devices(tasks, small):
    (alone,) = ended(tasks, streamed=False, method="lwf")
    with sharding.on_mesh("data=4", 1):
        (shared,) = ended(tasks, streamed=True, method="lwf")
    chex.assert_trees_all_close(alone.params, shared.params, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_seeds_that_run_together_have_windows_of_their_own(tasks, small):
    settings = {"method": "lwf", "seeds": (0, 1), "together": 2}
    whole, parts = (ended(tasks, streamed=s, **settings) for s in (False, True))
    for a, b in zip(whole, parts, strict=True):
        chex.assert_trees_all_close(a.params, b.params, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "storage", ["reservoir", pytest.param("class_balanced", marks=pytest.mark.slow)]
)
@pytest.mark.slow
def test_a_buffer_keeps_the_same_images_where_they_are_streamed(storage, tasks, small, monkeypatch):
    monkeypatch.setattr(batching, "PORTION_BYTES", 7 * 32 * 32 * 3)  # seven images at a time
    settings = {"method": "er", "buffer": 20, "storage": storage}
    (whole,), (parts,) = (ended(tasks, streamed=s, **settings) for s in (False, True))
    assert parts.bytes["bars"] > 20 * 32 * 32 * 3
    chex.assert_trees_all_close(whole.params, parts.params, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "joint"},
        {"method": "dgr"},
        {"method": "exact_replay"},
        {"method": "ewc", "replay": "exact"},
        {"method": "select", "similarity": "cka"},
    ],
)
def test_what_needs_all_images_is_refused(settings, tasks):
    settings = SETTINGS | {"net": "cnn", **settings}
    with pytest.raises(UsageError, match=r"^stream: .* needs all inputs on the device; leave"):
        set_up(configured(**settings), tasks, stream=True)


def test_batches_that_cannot_be_shared_evenly_are_refused(tasks):
    with (
        sharding.on_mesh("data=3", 1),
        pytest.raises(UsageError, match=r"batch_size: 8 examples .* 3 devices evenly; give 6"),
    ):
        set_up(configured(**SETTINGS, method="lwf"), tasks, stream=True)
