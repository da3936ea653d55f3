import dataclasses

import numpy as np
import pytest

import jaxcl
from jaxcl.core.errors import DataError, UsageError
from jaxcl.learner.settings.configuration import configure
from jaxcl.learner.settings.protocols import SCENARIOS
from jaxcl.learner.tasks import load_tasks
from jaxcl.methods import METHODS, Method
from jaxcl.networks.choices import NETWORKS
from jaxcl.scenarios.datasets.sources import REGISTERED, load


@pytest.fixture(autouse=True)
def _as_before():
    """What a test registers is gone after it."""
    kept = [(known, dict(known)) for known in (METHODS, NETWORKS, SCENARIOS, REGISTERED)]
    yield
    for known, before in kept:
        known.clear()
        known.update(before)


@pytest.mark.slow
def test_a_registered_method_runs_by_its_name_and_as_a_value(pair, small):
    @jaxcl.register_method
    @dataclasses.dataclass(frozen=True)
    class DoNothing(jaxcl.methods.Finetune):
        """Nothing is done."""

        strength: float = 1.0
        """Of nothing."""

        summary = "nothing"

    by_name = jaxcl.fit(pair, "do_nothing", **small)
    plain = jaxcl.fit(pair, "finetune", **{**small, "out": small["out"] / "plain"})
    np.testing.assert_array_equal(by_name.accuracy, plain.accuracy)
    assert by_name.config.method == DoNothing()
    again = jaxcl.fit(pair, DoNothing(2.0), **{**small, "out": small["out"] / "value"})
    assert jaxcl.load(again.folder).config.method == DoNothing(2.0)


def test_what_a_registered_function_returns_is_looked_at(small):
    @jaxcl.register_dataset
    def no_set():
        """Returns nothing."""

    @jaxcl.register_scenario
    def no_tasks():
        """Returns nothing."""

    with pytest.raises(
        DataError, match=r"scenario 'no-tasks': its function returns no list of tas"
    ):
        jaxcl.fit("no-tasks", **small)
    with pytest.raises(DataError, match="data set 'no_set': its function returns NoneType; return"):
        load("no_set", None, print)
    for init, apply, which in (
        (lambda key, x: {}, lambda *given: (given[2], ()), "init"),
        (lambda key, x: ({}, ()), lambda *given: given[2], "apply"),
    ):
        small["network"] = jaxcl.from_functions(init, apply)
        with pytest.raises(UsageError, match=f"^network: {which} returned a "):
            jaxcl.fit("split-digits", **small)


def test_a_registered_network_has_its_arguments_as_settings(pair, small):
    @jaxcl.register_network
    def two_layers(width: int = 3):
        """Two layers of some width."""
        return jaxcl.networks.MLP((width, width))

    small["network"] = "two_layers"
    result = jaxcl.fit(pair, "finetune", width=5, **small)
    assert result.params[0]["fc2"]["w"].shape == (5, 5)
    assert NETWORKS["two_layers"].summary == "Two layers of some width"
    again = jaxcl.load(small["out"])
    np.testing.assert_allclose(
        again.logits(pair[0].test_inputs, "first"), result.logits(pair[0].test_inputs, "first")
    )


@pytest.mark.slow
def test_registered_tasks_are_scenarios_and_data_sets(pair, small):
    @jaxcl.register_scenario
    def two_of_points():
        """Two tasks of points."""
        return pair

    @jaxcl.register_dataset
    def points():
        return pair[0]._replace(train_labels=np.arange(60) % 4, test_labels=np.arange(60) % 4)

    assert jaxcl.fit("two-of-points", "finetune", **small).tasks == ["first", "second"]
    assert SCENARIOS["two-of-points"].summary == "Two tasks of points."
    del points
    small["out"] = small["out"] / "data"
    result = jaxcl.fit("data", "finetune", data="points", split_classes=2, **small)
    assert result.tasks == ["first-0-1", "first-2-3"]


def test_a_registered_data_set_may_have_labels_that_are_no_classes():
    x = np.arange(40.0, dtype=np.float32)[:, None]

    @jaxcl.register_dataset
    def doubled():
        return jaxcl.Task("doubled", x, np.hstack([x, 2 * x]), x, np.hstack([x, 2 * x]))

    chosen = {"data": "doubled", "loss": "squared", "batch_size": 8}
    (task,) = load_tasks(configure("finetune", "data", **chosen))
    assert (task.classes, task.train_labels.shape) == (2, (40, 2))
    for name, value in (("order", 1), ("split_classes", 2)):
        with pytest.raises(UsageError, match=f"^{name}: --loss squared has no classes; leave it"):
            load_tasks(configure("finetune", "data", **chosen, **{name: value}))


def test_a_limit_leaves_examples_of_all_classes_of_registered_tasks():
    """They are sorted by class, and do not say how many classes there are."""
    x, y = np.arange(200.0, dtype=np.float32)[:, None], np.repeat(np.arange(4), 50)
    given = [jaxcl.Task("sorted", x, y, x, y)]

    @jaxcl.register_scenario
    def sorted_points():
        """Points, sorted by class."""
        return given

    (task,) = load_tasks(configure("finetune", "sorted-points", limit=10, batch_size=10))
    assert task.classes == 4
    assert set(np.bincount(task.train_labels)) == {2, 3}
    (task,) = load_tasks(configure("finetune", "sorted-points", validation=0.1, batch_size=10))
    assert (len(task.train_labels), len(task.test_labels)) == (180, 20)
    given[:] = [jaxcl.Task("sorted", x.tolist(), y.tolist(), x.tolist(), y.tolist())]
    with pytest.raises(DataError, match="task 'sorted', train: inputs hold float; give NumPy arr"):
        load_tasks(configure("finetune", "sorted-points", limit=10, batch_size=10))


def test_what_cannot_be_registered_is_one_line():
    mine = type("EWC", (jaxcl.methods.EWC,), {"__module__": "mine"})
    with pytest.raises(UsageError, match="method: 'ewc' is taken"):
        jaxcl.register_method(dataclasses.dataclass(frozen=True)(mine))
    with pytest.raises(UsageError, match=r"is no subclass of jaxcl\.methods\.Method; derive it"):
        jaxcl.register_method(dict)  # pyright: ignore
    with pytest.raises(UsageError, match=r"lacks a summary, or @dataclasses\.dataclass"):
        jaxcl.register_method(type("Plain", (Method,), {}))
    with pytest.raises(UsageError, match="'width' without a type or a default; give both"):

        @jaxcl.register_network
        def network(width):
            return width

    with pytest.raises(UsageError, match="scenario: 'builtin' is taken; choose another name"):

        @jaxcl.register_scenario
        def builtin():
            return []

    with pytest.raises(UsageError, match="network: 'mlp' is taken"):

        @jaxcl.register_network
        def mlp():
            return None


def test_settings_that_a_registered_network_has_not_are_refused():
    @jaxcl.register_network
    def plain():
        """A plain one."""
        return jaxcl.networks.MLP(())

    with pytest.raises(UsageError, match="the plain network has no --hidden; leave it out"):
        configure("finetune", "builtin", net="plain", hidden=(3,))


def test_a_method_or_a_network_that_returns_nothing_is_named(pair, small):
    @jaxcl.register_method
    @dataclasses.dataclass(frozen=True)
    class Forgetful(Method):
        """Returns no losses."""

        summary = "nothing"

        def losses(self, stream):
            """Returns nothing."""

    @jaxcl.register_network
    def no_layers():
        """No network."""

    with pytest.raises(UsageError, match="method: the losses of forgetful are None; return a dict"):
        jaxcl.fit(pair, "forgetful", **small)
    with pytest.raises(UsageError, match="network: no_layers returned a NoneType; return jaxcl"):
        jaxcl.fit(pair, "finetune", **{**small, "network": "no_layers"})
