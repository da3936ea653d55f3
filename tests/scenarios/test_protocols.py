import pytest

from jaxcl.core.errors import UsageError
from jaxcl.experiments.inspect import image_shape
from jaxcl.learner.build import check_config, load_tasks
from jaxcl.methods.applicable import uses
from jaxcl.methods.config import Config
from jaxcl.methods.resolve import resolve
from jaxcl.methods.table import METHODS
from jaxcl.scenarios.protocols import SCENARIOS
from jaxcl.scenarios.task import hold_out


@pytest.mark.parametrize("method", METHODS)
def test_nothing_that_a_method_needs_is_left_open(method):
    """And nothing is filled in that it does not have."""
    for scenario in SCENARIOS:
        whole = resolve(Config(method=method, scenario=scenario))
        own = ("setting", "net", "batch_size", "optimizer", "lr", "l2", "resize")
        assert [name for name in own if getattr(whole, name) is None] == [], scenario
        assert (whole.epochs is None) != (whole.iterations is None), scenario
        assert resolve(whole) == whole, scenario
        for name in ("strength", "lam", "threshold", "generator_steps", "hidden", "heads"):
            assert (getattr(whole, name) is not None) == (name in uses(whole)), (scenario, name)


@pytest.mark.parametrize(
    ("method", "setting", "strength"),
    [
        ("ewc", "task", 1e5), ("ewc", "domain", 1e10), ("ewc", "class", 1e9),
        ("si", "task", 10), ("si", "domain", 5e4), ("si", "class", 5e3),
    ],
)  # fmt: skip
def test_split_mnist_has_the_published_protocol(method, setting, strength):
    whole = resolve(Config(method=method, scenario="split-mnist", setting=setting))
    assert (whole.net, whole.hidden, whole.iterations, whole.batch_size) == (
        "mlp", (400, 400), 2000, 128,
    )  # fmt: skip
    assert (whole.lr, whole.keep_optimizer, whole.l2, whole.tasks) == (1e-3, True, 0, 5)
    assert whole.strength == strength
    replayed = resolve(Config(method="er", scenario="split-mnist", setting=setting))
    assert (replayed.per_class, replayed.ratio) == (100, None)
    assert resolve(Config(method="lwf", scenario="split-mnist", setting=setting)).temperature == 2


def test_first_weights_are_those_of_the_published_runs_where_the_network_has_them():
    assert resolve(Config(method="ewc", scenario="permuted-mnist")).initial == "uniform"
    assert resolve(Config(method="ewc", scenario="permuted-mnist", net="cnn")).initial is None
    assert resolve(Config(method="ewc", scenario="split-mnist")).initial == "he"


def test_what_is_given_is_kept():
    given = Config(scenario="split-mnist", method="er", ratio=0.2, epochs=3, hidden=(7,), lr=0.5)
    whole = resolve(given)
    assert (whole.ratio, whole.per_class, whole.buffer) == (0.2, None, None)
    assert (whole.epochs, whole.iterations, whole.hidden, whole.lr) == (3, None, (7,), 0.5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tasks": 3}, "tasks: scenario 'builtin' has its own"),
        ({"epochs": 1, "iterations": 1}, "iterations: not together with --epochs"),
        ({"per_class": 1, "buffer": 1}, "buffer: not together with per_class"),
        ({"method": "split", "scenario": "split-digits"}, "net: mlp has no layer"),
        ({"method": "select", "setting": "class", "heads": "full"}, "heads: full needs one"),
        ({"method": "pnn", "setting": "domain"}, "setting: pnn needs a head a task"),
        ({"hidden": (3, 0)}, r"hidden: \[3, 0\]; give numbers above 0"),
        ({"order": 1}, "order: scenario 'builtin' deals no classes out"),
        ({"order": -1, "scenario": "split-digits"}, r"order: -1 is outside \[0, 2\^32\)"),
        ({"decay": 1.5}, r"decay: 1.5 is outside \[0, 1\]"),
        ({"ratio": 0.0}, "ratio: 0 keeps nothing"),
        ({"initial": "uniform"}, "initial: the cnn starts from he"),
        ({"initial": "uniform", "method": "pnn", "net": "mlp"}, "initial: pnn starts from he"),
    ],
)
def test_what_does_not_go_together_is_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        check_config(Config(**settings))


def test_the_domain_setting_needs_as_many_classes_in_every_task():
    with pytest.raises(UsageError, match="domain needs as many classes in every task"):
        load_tasks(Config(setting="domain", method="finetune"))


@pytest.mark.parametrize("made", ["split", "permuted", "rotated"])
def test_scenarios_made_from_the_built_in_digits(made):
    config = Config(scenario=f"{made}-digits", method="finetune", tasks=2)
    tasks = load_tasks(config)
    assert len({task.name for task in tasks}) == 2
    assert {task.classes for task in tasks} == {5 if made == "split" else 10}
    # What a dry run says the network sees is what it sees.
    assert image_shape(check_config(config)) == tasks[0].train_images.shape[1:]


def test_a_dry_run_knows_the_border_of_permuted_images():
    for scenario, side in (("permuted-mnist", 32), ("permuted-mnist-28", 28)):
        config = check_config(Config(scenario=scenario, method="finetune"))
        assert image_shape(config) == (side, side, 1)


def test_another_order_deals_the_same_images_out_in_another_way():
    one, two = (
        load_tasks(Config(scenario="split-digits", method="finetune", order=order))
        for order in (0, 3)
    )
    assert sum(len(task.train_images) for task in one) == sum(len(t.train_images) for t in two)
    assert [t.train_images.mean() for t in one] != [t.train_images.mean() for t in two]
    again = load_tasks(Config(scenario="split-digits", method="finetune", order=3))
    for a, b in zip(two, again, strict=True):
        assert (a.train_images == b.train_images).all()


def test_what_is_held_out_is_no_longer_trained_on(make_task):
    task = make_task("bars", n=50)
    held = hold_out(task, 0.2)
    assert len(held.test_images) == len(held.test_labels) == 10
    assert len(held.train_images) == len(held.train_labels) == 40
    parts = [*zip(held.train_images, held.train_labels, strict=True)]
    parts += [*zip(held.test_images, held.test_labels, strict=True)]
    before = zip(task.train_images, task.train_labels, strict=True)

    def rows(pairs):
        return sorted((image.tobytes(), int(label)) for image, label in pairs)

    assert rows(parts) == rows(before)
    again = hold_out(task._replace(test_images=task.test_images[:1]), 0.2)
    assert (again.test_images == held.test_images).all()
    assert hold_out(task, 0.0) is task
