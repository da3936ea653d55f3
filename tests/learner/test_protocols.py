import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.core.errors import UsageError
from jaxcl.experiments.command_line.inspect import image_shape
from jaxcl.learner.build import check_config
from jaxcl.learner.settings.configuration import configure
from jaxcl.learner.settings.protocols import SCENARIOS
from jaxcl.learner.tasks import load_tasks
from jaxcl.methods import METHODS
from jaxcl.methods.base import StreamInfo
from jaxcl.networks.choices import MLP
from jaxcl.scenarios.derive import DERIVED
from jaxcl.scenarios.task import hold_out
from jaxcl.transforms import Context, TaskData


@pytest.mark.parametrize("method", METHODS)
def test_every_scenario_has_settings_for_every_method(method):
    for scenario in SCENARIOS:
        training = configure(method, scenario).check().training
        assert (training.epochs is None) != (training.iterations is None), scenario


@pytest.mark.parametrize(
    ("method", "setting", "strength"),
    [
        ("ewc", "task", 1e5), ("ewc", "domain", 1e10), ("ewc", "class", 1e9),
        ("si", "task", 10), ("si", "domain", 5e4), ("si", "class", 5e3),
    ],
)  # fmt: skip
def test_split_mnist_has_the_published_protocol(method, setting, strength):
    whole = configure(method, "split-mnist", setting=setting)
    training = whole.training
    assert (whole.network, whole.data.tasks) == (MLP((400, 400)), 5)
    assert (training.iterations, training.batch_size, training.lr) == (2000, 128, 1e-3)
    assert (training.keep_optimizer, training.l2) == (True, 0)
    assert whole.method.strength == strength
    replay = configure("er", "split-mnist", setting=setting).replay
    assert (replay.per_class, replay.ratio) == (100, None)
    assert configure("lwf", "split-mnist", setting=setting).method.temperature == 2


def test_first_weights_are_those_of_the_published_runs_where_the_network_has_them():
    assert configure("ewc", "permuted-mnist").network.initial == "uniform"
    assert configure("pnn", "permuted-mnist", setting="task").network.initial == "he"
    assert configure("ewc", "split-mnist").network.initial == "he"


def test_the_published_protocol_weighs_old_responses_by_tasks():
    def weighting(scenario, **settings):
        return configure("lwf", scenario, **settings).method.lwf_weighting

    for setting, expected in (("task", "one"), ("domain", "tasks"), ("class", "one")):
        assert weighting("split-mnist", setting=setting) == expected
    assert weighting("permuted-mnist") == "tasks"
    # Their program of 2019 means over the ten classes, too.
    assert configure("lwf", "permuted-mnist").method.strength == pytest.approx(1 / 10)
    assert configure("lwf", "split-mnist", setting="domain").method.strength == 1
    assert weighting("3") == "one"
    assert weighting("split-mnist", setting="domain", lwf_weighting="one") == "one"


OLD, NEW = np.array([[1.0, -1.0], [0.5, 2.0]]), np.array([[0.0, 1.0, 2.0], [3.0, -1.0, 1.0]])


def added(setting, grown, ended, **settings):
    """What LwF adds to the loss of two examples, once some tasks have ended."""
    method = configure("lwf", "split-mnist", setting=setting, **settings).method
    transform = method.losses(StreamInfo(10, setting))["distill"]
    then, now = jnp.asarray(OLD, jnp.float32), jnp.asarray(NEW[:, :grown], jnp.float32)
    data = {"x": jnp.zeros((2, 1)), "index": jnp.arange(2)}
    task, key = TaskData(data, lambda w, batch: then), jax.random.key(0)
    state = transform.init(then)
    for _ in range(ended):
        state = transform.begin_task(state, then, task, key)
        state, _ = transform.end_task(state, then, task, key)
    state = transform.begin_task(state, then, task, key)
    return float(transform.apply(jnp.float32(0), state, Context(then, now, data))[0])


@pytest.mark.parametrize("ended", [1, 3])
def test_lwf_has_the_published_losses_by_hand(ended):
    p = np.exp(OLD / 2) / np.exp(OLD / 2).sum(1, keepdims=True)
    q = [np.exp(new / 2) / np.exp(new / 2).sum(1, keepdims=True) for new in (NEW, NEW[:, :2])]
    all_classes, old_classes = (-(p * np.log(q[:, :2])).sum(1).mean() for q in q)
    # Class: a new class has the probability 0, and old responses weigh 1 in every task.
    assert added("class", 3, ended) == pytest.approx(all_classes, rel=1e-5)
    assert added("class", 3, ended, new_classes="out") == pytest.approx(old_classes, rel=1e-5)
    # Domain: with the squared temperature of 2, for each earlier task; without it at 0.25.
    assert added("domain", 2, ended) == pytest.approx(4 * ended * old_classes, rel=1e-5)
    assert added("domain", 2, ended, strength=0.25) == pytest.approx(ended * old_classes, rel=1e-5)


def test_a_penalty_without_a_published_strength_has_its_usual_one():
    assert configure("ewc", "permuted-mnist", setting="class").method.strength == 1e4
    assert configure("ewc").method.strength == 1e4
    assert configure("si").method.strength == configure("mas").method.strength == 1


def test_the_domain_setting_needs_as_many_classes_in_every_task():
    with pytest.raises(UsageError, match="domain needs as many classes in every task"):
        load_tasks(configure(setting="domain", method="finetune"))


def test_a_limit_is_the_same_before_and_after_pixels_are_moved(monkeypatch):
    moved, real = [], DERIVED["permuted"]
    monkeypatch.setitem(
        DERIVED, "permuted", lambda task, n: moved.append(len(task.train_labels)) or real(task, n)
    )
    config = configure(scenario="plasticity-digits", method="finetune", tasks=2, limit=30)
    one, two = load_tasks(config)
    whole = load_tasks(config.changed(limit=None))
    np.testing.assert_array_equal(one.train_inputs, whole[0].train_inputs[:30])
    np.testing.assert_array_equal(two.test_inputs, whole[1].test_inputs[:30])
    assert moved[0] == 30 < moved[1]  # memory for what is used
    split = configure(scenario="split-digits", method="finetune", limit=30, batch_size=10)
    assert [len(task.train_labels) for task in load_tasks(split)] == [30] * 5


@pytest.mark.parametrize("made", ["split", "permuted", "rotated"])
def test_scenarios_made_from_the_built_in_digits(made):
    config = configure(scenario=f"{made}-digits", method="finetune", tasks=2)
    tasks = load_tasks(config)
    assert len({task.name for task in tasks}) == 2
    assert {task.classes for task in tasks} == {5 if made == "split" else 10}
    # What a dry run says the network sees is what it sees.
    assert image_shape(check_config(config)) == tasks[0].train_inputs.shape[1:]


def test_a_dry_run_knows_the_border_of_permuted_images():
    for scenario, side in (("permuted-mnist", 32), ("permuted-mnist-28", 28)):
        config = check_config(configure(scenario=scenario, method="finetune"))
        assert image_shape(config) == (side, side, 1)


def test_another_order_deals_the_same_images_out_in_another_way():
    one, two = (
        load_tasks(configure(scenario="split-digits", method="finetune", order=order))
        for order in (0, 3)
    )
    assert sum(len(task.train_inputs) for task in one) == sum(len(t.train_inputs) for t in two)
    assert [t.train_inputs.mean() for t in one] != [t.train_inputs.mean() for t in two]
    again = load_tasks(configure(scenario="split-digits", method="finetune", order=3))
    for a, b in zip(two, again, strict=True):
        assert (a.train_inputs == b.train_inputs).all()


def test_what_is_held_out_is_no_longer_trained_on(make_task):
    task = make_task("bars", n=50)
    held = hold_out(task, 0.2)
    assert len(held.test_inputs) == len(held.test_labels) == 10
    assert len(held.train_inputs) == len(held.train_labels) == 40
    parts = [*zip(held.train_inputs, held.train_labels, strict=True)]
    parts += [*zip(held.test_inputs, held.test_labels, strict=True)]
    before = zip(task.train_inputs, task.train_labels, strict=True)

    def rows(pairs):
        return sorted((image.tobytes(), int(label)) for image, label in pairs)

    assert rows(parts) == rows(before)
    again = hold_out(task._replace(test_inputs=task.test_inputs[:1]), 0.2)
    assert (again.test_inputs == held.test_inputs).all()
    assert hold_out(task, 0.0) is task
