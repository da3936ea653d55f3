import chex
import jax
import numpy as np
import pytest
from given import configured, logits

from jaxcl.core.errors import DataError, NonFiniteLoss, UsageError
from jaxcl.growth.parameters import count, weights
from jaxcl.learner import state
from jaxcl.learner.build import set_up
from jaxcl.learner.seed_loop import run
from jaxcl.methods import METHODS
from jaxcl.networks import Pathway, cnn
from jaxcl.scenarios.task import Task
from jaxcl.training.events import EpochEnded, SeedEnded, StepsDone, TaskBegan

SETTINGS = {"epochs": 2, "batch_size": 20, "lr": 2e-3, "probe": 40}
PLAIN = {"net": "mlp", "hidden": (16,)}  # compiled in a fraction of the time of the cnn
GENERATOR = {"generator_steps": 3, "generator_batch": 8, "generated": 40}
pytestmark = pytest.mark.usefixtures("compiled_once", "little_noise")


def finish(tasks, **settings):
    return list(run(configured(**SETTINGS | settings), tasks))


def result(tasks, **settings) -> SeedEnded:
    return finish(tasks, **settings)[-1]


@pytest.fixture
def pair(make_task):
    return [make_task("bars", n=60), make_task("sides", classes=4, seed=1, upright=False)]


@pytest.mark.parametrize(
    ("method", "net"),
    [
        # Random features of a small network are not enough to tell another task's classes.
        # Generators take long to compile; one is trained in test_scholar.py.
        *(
            (name, "mlp")
            for name, method in METHODS.items()
            if not method.branches and name not in ("feature_extraction", "dgr")
        ),
        *(
            pytest.param(method, "cnn", marks=pytest.mark.slow)
            for method in ("finetune", "feature_extraction", "split", "select", "dgr", "pnn")
        ),
    ],
)
@pytest.mark.slow
def test_every_method_learns_what_can_be_learned(method, net, pair, make_task, request):
    """Bars are told apart after a few steps, whatever the method."""
    if method != "feature_extraction":  # which needs many features
        request.getfixturevalue("small_cnn")
    else:  # what it learned first must serve again
        pair = [make_task("bars", classes=4), make_task("sides", classes=3, seed=1)]
    settings = {**GENERATOR, "epochs": 6 if method == "feature_extraction" else 4}
    settings |= {"net": "cnn"} if net == "cnn" else PLAIN
    settings |= {"units": 500} if method == "ranpac" else {}  # of 10,000, which take long
    if METHODS[method].refuses:  # and a cosine classifier turns slowly from its first weights
        settings |= {"setting": "class", "epochs": 12, "lr": 1e-2}
    events = finish(pair, method=method, warmup_epochs=0, **settings)
    ended = events[-1]
    assert isinstance(ended, SeedEnded)
    assert ended.matrix[0][0] >= 95
    chex.assert_tree_all_finite(ended.params)
    assert ended.matrix[0][1] is None
    assert ended.matrix[1][1] >= (80 if method == "feature_extraction" else 95)
    kinds = [type(event) for event in events if not isinstance(event, StepsDone)]
    epochs = kinds.count(EpochEnded) // 2
    assert kinds == [*[TaskBegan, *[EpochEnded] * epochs] * 2, SeedEnded]
    assert (
        set(ended.growth.routes)
        == set(ended.growth.similarity)
        == set(ended.seconds)
        == {"bars", "sides"}
    )
    layers = {"conv1": "bars", "conv2": "bars"} if net == "cnn" else {}
    if METHODS[method].columns:
        assert ended.growth.routes == {name: {"column": name} for name in ("bars", "sides")}
        return
    assert ended.growth.routes["bars"] == layers
    if method == "split":
        assert ended.growth.routes["sides"] == {"conv1": "sides", "conv2": "sides"}
        assert ended.growth.weights["added"] == count(
            [ended.params[layer]["t01"] for layer in ("conv1", "conv2")]
        )
    elif method != "select":
        assert ended.growth.routes["sides"] == layers
        assert ended.growth.weights["added"] == 0
    generator = {} if ended.generator is None else {"generator": count(ended.generator)}
    made = set_up(configured(method=method, **SETTINGS | settings), pair).net
    assert ended.growth.weights == {**weights(made, ended.params), **generator}
    assert bool(generator) == (configured(method=method).generator is not None)


@pytest.mark.slow
@pytest.mark.usefixtures("small_cnn")
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(pair):
    a, b = (result(pair, method="select") for _ in range(2))
    chex.assert_trees_all_equal(a.params, b.params)
    assert (a.matrix, a.growth.similarity) == (b.matrix, b.growth.similarity)
    both = [e for e in finish(pair, method="select", seeds=(1, 0)) if isinstance(e, SeedEnded)]
    chex.assert_trees_all_equal(both[1].params, a.params)
    assert np.any(both[0].params["fc1"]["w"] != a.params["fc1"]["w"])


@pytest.mark.parametrize(("fewest", "ends"), [(4, [6, 7]), (50, [7])])
def test_passes_over_little_data_are_the_same_however_they_are_put_together(
    fewest, ends, pair, monkeypatch
):
    settings = {"epochs": None, "iterations": 7, "seeds": (3,), "method": "lwf", **PLAIN}
    monkeypatch.setattr(state, "FEWEST", 1)
    began, *_, alone = finish(pair[:1], **settings)
    assert np.cumsum(began.steps).tolist() == [3, 6, 7]
    monkeypatch.setattr(state, "FEWEST", fewest)
    began, *_, ended = finish(pair[:1], **settings)
    assert np.cumsum(began.steps).tolist() == ends
    chex.assert_trees_all_equal(ended.params, alone.params)


@pytest.mark.usefixtures("small_cnn")
@pytest.mark.slow
def test_what_each_method_leaves_as_it_was(pair):
    first = result(pair[:1])
    assert first.matrix[0][0] is not None
    finetuned = result(pair, method="finetune", l2=0.0)
    extracted = result(pair, method="feature_extraction", l2=0.0)
    lone = result(pair[:1], method="finetune", l2=0.0)
    split = result(pair, method="split", l2=0.0)
    lone_split = result(pair[:1], method="split", l2=0.0)
    for ended in (finetuned, extracted):  # old heads stay to the bit
        chex.assert_trees_all_equal(ended.params["heads"]["t00"], lone.params["heads"]["t00"])
    for group in ("conv1", "conv2", "fc1"):
        chex.assert_trees_all_equal(extracted.params[group], lone.params[group])
    assert extracted.matrix[1][0] == extracted.matrix[0][0]
    assert np.any(finetuned.params["fc1"]["w"] != lone.params["fc1"]["w"])
    for layer in ("conv1", "conv2"):
        old = lone_split.params[layer]["t00"]
        chex.assert_trees_all_equal(split.params[layer]["t00"], old)
        assert np.any(split.params[layer]["t01"]["w"] != old["w"])
    assert np.any(split.params["heads"]["t00"]["w"] != lone_split.params["heads"]["t00"]["w"])


@pytest.mark.slow
def test_lwf_holds_on_to_old_responses_better_than_fine_tuning(pair):
    """The responses of the old head to the new images move less with distillation."""
    lone = result(pair[:1], method="finetune")
    images = jax.numpy.asarray(pair[1].train_inputs, "float32") / 255
    route = (Pathway("t00", ("t00", "t00"), "t00"),)

    def drift(method):
        params = result(pair, method=method).params
        before, after = (
            jax.nn.softmax(logits(cnn(), p, images, route)["t00"]) for p in (lone.params, params)
        )
        return float(abs(before - after).mean())

    assert drift("lwf") < 0.5 * drift("finetune")


def test_strength_zero_is_fine_tuning(pair):
    """Without the L2 term, which moves old heads too."""
    zero = result(pair, method="lwf", strength=0.0, l2=0.0, **PLAIN)
    plain = result(pair, method="finetune", l2=0.0, **PLAIN)
    assert zero.matrix == plain.matrix
    chex.assert_trees_all_close(zero.params, plain.params, rtol=1e-4, atol=1e-6)


def test_nothing_old_moves_in_a_warm_up(pair):
    events = finish(pair, method="lwf", warmup_epochs=3, epochs=1, **PLAIN)
    phases = [(e.task_index, e.phase) for e in events if isinstance(e, EpochEnded)]
    assert phases == [(0, "train"), *[(1, "warmup")] * 3, (1, "train")]
    accuracies = [e.accuracy["bars"] for e in events if isinstance(e, EpochEnded)]
    assert accuracies[0] == accuracies[1] == accuracies[3]
    plain = finish(pair, method="lwf", epochs=1, **PLAIN)
    plain = [e for e in plain if isinstance(e, EpochEnded)]
    assert [e.phase for e in plain] == ["train", "train"]


@pytest.mark.usefixtures("small_cnn")
@pytest.mark.slow
def test_warm_up_trains_what_is_new_alone(pair):
    events = run(
        configured(**SETTINGS | {"method": "split", "warmup_epochs": 1, "epochs": 1}), pair
    )
    taken = [
        (event.phase, jax.tree.map(np.array, event.learner.model.params))
        for event in events
        if isinstance(event, EpochEnded)
    ]
    (_, before), (phase, after), (_, ended) = taken
    assert phase == "warmup"
    for layer in ("conv1", "conv2"):
        chex.assert_trees_all_equal(before[layer]["t00"], after[layer]["t00"])
        assert np.abs(after[layer]["t01"]["w"] - before[layer]["t00"]["w"]).max() > 1e-3
    chex.assert_trees_all_equal(before["fc1"], after["fc1"])
    chex.assert_trees_all_equal(before["heads"]["t00"], after["heads"]["t00"])
    assert np.abs(ended["fc1"]["w"] - after["fc1"]["w"]).max() > 1e-3


@pytest.mark.parametrize("kept", [False, True])
def test_later_tasks_have_a_rate_of_their_own(kept, pair):
    """All but their warm-up."""
    settings = {**PLAIN, "later_lr": 1e-9, "keep_optimizer": kept}
    settings |= {"method": "finetune", "warmup_epochs": 1, "l2": 0.0}
    taken = {}
    for event in run(configured(**SETTINGS | settings), pair):
        if isinstance(event, EpochEnded):
            copied = jax.tree.map(np.array, event.learner.model.params)
            taken[event.task_index, event.epoch] = copied
    shared = {at: params["fc1"]["w"] for at, params in taken.items()}
    heads = {at: params["heads"]["t01"]["w"] for at, params in taken.items() if at[0]}
    assert np.abs(shared[0, 1] - shared[0, 0]).max() > 1e-3
    np.testing.assert_allclose(shared[1, 2], shared[0, 1], rtol=0, atol=1e-6)
    np.testing.assert_allclose(heads[1, 2], heads[1, 0], rtol=0, atol=1e-6)
    assert np.abs(heads[1, 0]).max() > 1e-3


def test_the_rate_falls_like_half_a_cosine_after_the_warm_up(pair):
    settings = {**PLAIN, "method": "finetune", "warmup_epochs": 1, "epochs": 4}
    settings |= {"lr": 8e-3, "later_lr": 4e-3, "schedule": "cosine"}
    rates: dict[int, list[float]] = {}
    for event in run(configured(**SETTINGS | settings), pair):
        if isinstance(event, EpochEnded):
            rate = event.learner.phase.train.opt.hyperparams["learning_rate"]
            rates.setdefault(event.task_index, []).append(float(rate))
    falling = np.array([1, (2 + 2**0.5) / 4, 0.5, (2 - 2**0.5) / 4])
    np.testing.assert_allclose(rates[0], 8e-3 * falling, rtol=1e-6)
    np.testing.assert_allclose(rates[1], [8e-3, *(4e-3 * falling)], rtol=1e-6)


def test_joint_trains_on_all_tasks(pair):
    steps = [e.steps for e in finish(pair, method="joint", **PLAIN) if isinstance(e, TaskBegan)]
    assert steps == [[3, 3], [6, 6]]


@pytest.mark.usefixtures("small_cnn")
@pytest.mark.slow
def test_select_at_the_ends_of_the_threshold(pair):
    shared = result(pair, method="select", threshold=0.0)
    assert shared.growth.weights["added"] == 0
    chex.assert_trees_all_equal(shared.params, result(pair, method="lwf").params)
    apart = result(pair, method="select", threshold=1.0)
    chex.assert_trees_all_equal(apart.params, result(pair, method="split").params)


def test_a_loss_that_is_not_finite_stops_the_run(pair):
    events = run(configured(**SETTINGS | PLAIN | {"method": "lwf", "lr": 1e38}), pair)
    message = r"not finite at step \d of epoch \d of task 'bars' \(seed 0\)"
    seen = []
    with pytest.raises(NonFiniteLoss, match=message):
        seen.extend(events)
    assert isinstance(seen[0], TaskBegan)


def cut(task: Task, height: int, width: int) -> Task:
    """The task with parts of its images, grey."""
    images = {n: getattr(task, n)[:, :height, :width, :1] for n in ("train_inputs", "test_inputs")}
    return task._replace(**images)


@pytest.mark.slow
@pytest.mark.usefixtures("small_cnn")
@pytest.mark.parametrize("method", ["select", "pnn"])
def test_the_cnn_takes_images_as_they_come(method, pair):
    small = [cut(task, 13, 13) for task in pair]
    settings = {"method": method, "setting": "task", "epochs": 1}
    params = result(small, resize="keep", **settings).params
    first = params["column"]["t00"]["conv1"] if method == "pnn" else params["conv1"]["t00"]
    assert first["w"].shape[:3] == (3, 3, 1)
    whole = result(small[:1], **settings).params
    first = whole["column"]["t00"]["conv1"] if method == "pnn" else whole["conv1"]["t00"]
    assert first["w"].shape[:3] == (3, 3, 3)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([(13, 13), (32, 32)], "resize: keep, but inputs differ between tasks"),
        ([(13, 12), (13, 12)], "resize: keep, but images are 13x12"),
        ([(5, 5), (5, 5)], "resize: keep, but images are 5x5"),
    ],
)
def test_inputs_that_the_cnn_cannot_take_as_they_come(sizes, message, pair):
    small = [cut(task, *size) for task, size in zip(pair, sizes, strict=True)]
    with pytest.raises(UsageError, match=message):
        finish(small, resize="keep")


def bad(task: Task, **changes) -> list[Task]:
    return [task._replace(**changes)]


def test_bad_tasks_are_refused(make_task):
    task = make_task("bars")
    empty = np.zeros((0, 32, 32, 3), np.uint8)
    one = np.zeros_like(task.train_labels)
    cases = [
        (bad(task, train_inputs=empty), "task 'bars', train: no inputs"),
        (bad(task, test_labels=task.test_labels[:-1]), "30 inputs but 29 labels"),
        (bad(task, train_labels=task.train_labels + 1), "labels are 1 to 3; they must be 0 to 2"),
        (bad(task, train_labels=task.train_labels - 1), "labels are -1 to 1"),
        (bad(task, train_labels=one), "a single class"),
    ]
    for tasks, message in cases:
        with pytest.raises(DataError, match=message):
            finish(tasks)
    with pytest.raises(DataError, match="batch_size: 61 is more than the 60 training inputs"):
        finish([task], batch_size=61)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "slect"}, "method: 'slect' is unknown; did you mean 'select'"),
        ({"scenario": "built-in"}, "did you mean 'builtin'"),
        ({"epochs": 0}, "epochs: 0 is not positive"),
        ({"batch_size": -1}, "batch_size: -1 is not positive"),
        ({"lr": float("nan")}, "lr: nan"),
        ({"threshold": 1.01}, r"threshold: 1.01 is outside \[0, 1\]"),
        ({"method": "lwf", "strength": -1.0}, "strength: -1.0 is negative"),
        ({"temperature": 0.0}, "temperature: 0.0"),
        ({"seeds": ()}, "seeds: none"),
        ({"seeds": (1, 1)}, "has one twice"),
        ({"seeds": (-1,)}, "seeds: outside"),
        ({"limit": 0}, "limit: 0"),
        ({"warmup_epochs": -1}, "warmup_epochs: -1"),
    ],
)
def test_bad_settings_are_refused(settings, message, pair):
    with pytest.raises(UsageError, match=message):
        finish(pair, **settings)
