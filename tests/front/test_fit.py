import dataclasses
import inspect
import textwrap
from unittest import mock

import chex
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

import jaxcl
from jaxcl.core.errors import DataError, UsageError
from jaxcl.core.sharding import on_mesh
from jaxcl.front import fitting
from jaxcl.front.arguments import seeds_of
from jaxcl.learner.seed_loop import run
from jaxcl.learner.settings.configuration import configure
from jaxcl.methods.replay import BufferReplay
from jaxcl.runner.commands import How
from jaxcl.scenarios import task
from jaxcl.scenarios.inputs import prepared, ready
from jaxcl.training.settings import Training


@dataclasses.dataclass(frozen=True)
class Unregistered(jaxcl.methods.Finetune):
    """A method that nobody has made known."""


@pytest.mark.slow
def test_a_fit_is_the_run_of_its_configuration(pair, small):
    one_device = How(mesh="data=1")
    result = jaxcl.fit(pair, jaxcl.methods.EWC(7.0), seeds=(0, 3), how=one_device, **small)
    settings = {"epochs": 2, "batch_size": 20, "lr": 0.01, "seeds": (0, 3), "hidden": (4,)}
    config = configure("ewc", "own", strength=7.0, net="mlp", **settings)
    with on_mesh("data=1", 1):
        ended = [event for event in run(config, pair) if type(event).__name__ == "SeedEnded"]
    assert result.config == dataclasses.replace(config, together=1)  # as a CPU has them
    np.testing.assert_array_equal(result.accuracy, np.array([e.matrix for e in ended], float))
    for own, event in zip(result.params, ended, strict=True):
        chex.assert_trees_all_equal(own, event.params)
    assert result.tasks == ["first", "second"]
    assert [(e.seed, e.task_index, e.epoch) for e in result.history] == [
        (seed, task, epoch) for seed in (0, 3) for task in (0, 1) for epoch in (0, 1)
    ]
    assert result.routes == [{"first": {}, "second": {}}] * 2


@pytest.mark.slow
def test_a_scenario_is_fitted_by_its_name(tmp_path, quiet):
    chosen = {"iterations": 2, "tasks": 2, "limit": 200, "hidden": (3,)}
    result = jaxcl.fit(
        "split-digits", "er", setting="class", out=tmp_path / "r", console=quiet, **chosen
    )
    assert result.accuracy.shape == (1, 2, 2)
    assert result.summary["scenario"] == "split-digits"
    assert result.config.data.setting == "class"


def test_what_is_usual_gives_way_to_what_excludes_it(pair, small):
    """Given as objects, settings are refused or hold as they do on a command line."""
    assert Training(iterations=5).epochs is None
    assert jaxcl.methods.AGEM(buffer=9).ratio is None
    assert jaxcl.methods.ERACE(ratio=0.5, fill="end").buffer is None
    for name in ("epochs", "batch_size", "lr"):
        small.pop(name)
    result = jaxcl.fit(pair, training=Training(iterations=3, batch_size=10), **small)
    assert result.config.training.epochs is None
    small["out"] = small["out"] / "other"
    with pytest.raises(UsageError, match="iterations: not together with --epochs"):
        jaxcl.fit(pair, training=Training(iterations=3, epochs=2, batch_size=10), **small)
    with pytest.raises(UsageError, match="buffer: not together with --per-class"):
        jaxcl.fit(pair, jaxcl.methods.AGEM(per_class=2, buffer=9), **small)


def test_settings_are_given_whole_or_one_by_one(pair, small):
    training = Training(epochs=1, batch_size=10, l2=0.0)
    for name in ("epochs", "batch_size", "lr"):
        small.pop(name)
    replay = BufferReplay(per_class=3, ratio=None)
    result = jaxcl.fit(pair, "finetune", training=training, replay=replay, **small)
    assert result.config.training == training
    assert result.config.replay == replay
    with pytest.raises(UsageError, match="strength: finetune has no --strength"):
        jaxcl.fit(pair, "finetune", strength=1.0, **small)


@pytest.mark.slow
def test_what_is_finished_is_returned_and_what_differs_is_refused(pair, small):
    first = jaxcl.fit(pair, "finetune", **small)
    changed = (small["out"] / "summary.json").stat().st_mtime_ns
    again = jaxcl.fit(pair, "finetune", **small)
    assert (small["out"] / "summary.json").stat().st_mtime_ns == changed
    np.testing.assert_array_equal(first.accuracy, again.accuracy)
    with pytest.raises(UsageError, match=r"out: in .*, lr is 0.01 and not 0.5; give the same, a"):
        jaxcl.fit(pair, "finetune", **{**small, "lr": 0.5})
    moved = [task._replace(train_inputs=task.train_inputs + 1) for task in pair]
    for others in (moved, pair[::-1], pair[:1], [pair[0], pair[1]._replace(name="third")]):
        with pytest.raises(UsageError, match=r"^out: the tasks are not those that the run in"):
            jaxcl.fit(others, "finetune", **small)
    other = jaxcl.fit(pair, "finetune", **{**small, "lr": 0.5}, overwrite=True)
    assert other.config.training.lr == 0.5


def test_replay_that_is_given_whole_is_checked_like_its_name(pair, small):
    with pytest.raises(UsageError, match="gdumb has its own earlier images and has no --replay"):
        jaxcl.fit(pair, "gdumb", replay=BufferReplay(), **small)
    for method in ("joint", "der_pp", "dgr"):
        with pytest.raises(UsageError, match=f"replay: {method} has its own earlier images"):
            jaxcl.fit(pair, method, replay=BufferReplay(), **small)
    whole = jaxcl.fit(pair, "er", replay=BufferReplay(per_class=3, ratio=None), **small)
    assert whole.config.replay == BufferReplay(per_class=3, ratio=None)


def test_numbers_may_be_those_of_numpy(pair, small):
    assert [type(seed) for seed in seeds_of(np.arange(2))] == [int, int]
    given = {"epochs": np.int64(1), "lr": np.float32(0.5)}
    result = jaxcl.fit(pair, "finetune", **{**small, **given})
    assert (result.config.training.epochs, result.config.training.lr) == (1, 0.5)


@pytest.mark.slow
def test_the_same_call_goes_on_where_it_was_cut_off_to_the_bit(
    pair, small, tmp_path, stopping_after
):
    whole = jaxcl.fit(pair, "ewc", **{**small, "out": tmp_path / "whole"})
    with stopping_after(3), pytest.raises(jaxcl.Interrupted):  # within the second task
        jaxcl.fit(pair, "ewc", **small)
    with pytest.raises(UsageError, match="is not finished"):
        jaxcl.load(small["out"])
    resumed = jaxcl.fit(pair, "ewc", **small)
    chex.assert_trees_all_equal(whole.params, resumed.params)
    np.testing.assert_array_equal(whole.accuracy, resumed.accuracy)


def test_the_usual_batch_is_no_larger_than_the_smallest_task(pair, small):
    few = pair[1]._replace(train_inputs=pair[1].train_inputs[:7], train_labels=np.arange(7) % 2)
    del small["batch_size"]
    result = jaxcl.fit([pair[0], few], "finetune", **{**small, "epochs": 1})
    assert result.config.training.batch_size == 7
    with pytest.raises(DataError, match="batch_size: 8 is more than the 7 training inputs"):
        jaxcl.fit([pair[0], few], **{**small, "out": small["out"] / "other"}, batch_size=8)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"method": jaxcl.methods.EWC}, "method: EWC is a class; give a method of it, EWC()"),
        ({"method": 3}, "method: int is none; give a name, or a method such as"),
        ({"network": jaxcl.networks.MLP}, "network: MLP is a class; give a network of it, MLP()"),
        ({"network": object()}, "network: object is none; give a name, jaxcl.networks.MLP(), or"),
        ({"seeds": 2}, "seeds: 2 is no list; give range(2) for 2 of them, or [2]"),
        ({"seeds": "01"}, "seeds: '01' is no list of whole numbers; give [0], say"),
        ({"seeds": (0, 0.5)}, "seeds: 0.5 is no whole number; give [0], say"),
        ({"seeds": [True]}, "seeds: True is no whole number; give [0], say"),
        (
            {"network": jaxcl.networks.Linear(), "hidden": (64,)},
            "hidden: the network that is given has no hidden; leave it out",
        ),
        ({"tasks": [1]}, "tasks: int is among them; give jaxcl.Task("),
        ({"tasks": 0}, "tasks: int is no list; give one of jaxcl.Task, or a scenario"),
        ({"tasks": np.array(0)}, "tasks: ndarray is no list; give one of jaxcl.Task, or a scen"),
        ({"tasks": np.zeros((2, 3))}, "tasks: ndarray is among them; give jaxcl.Task("),
        ({"tasks": {"digits": 0}}, "tasks: str is among them; give jaxcl.Task("),
        ({"tasks": {0}}, "tasks: int is among them; give jaxcl.Task("),
        ({"method": Unregistered()}, "method: Unregistered is unknown; put @jaxcl.register_method"),
        ({"tasks": jaxcl.Task("t", 0, 0, 0, 0)}, "tasks: a single Task is given; give a list"),
    ],
)
def test_likely_slips_are_one_line(pair, small, given, message):
    fit = inspect.unwrap(jaxcl.fit)  # as a user has it, without checks of types
    tasks = given.pop("tasks", pair)
    with pytest.raises(UsageError) as error:
        fit(tasks, **{**small, **given})
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
    assert not small["out"].exists()


def test_tasks_may_come_one_by_one_and_no_augmentation_is_said_by_an_empty_list(pair, small):
    command = None

    def run(*given):
        nonlocal command
        command, _, tasks = given
        return tasks

    fit = inspect.unwrap(jaxcl.fit)
    with mock.patch.object(fitting, "run", run):
        assert fit((task for task in pair), "finetune", **small) == pair
        for given, expected in ((None, ("crop", "flip")), ([], ()), ((), ()), ("flip", ("flip",))):
            fit("split-cifar10", augment=given)
            assert command.config.data.augment == expected
    assert not command.own_process  # it is the program's


@pytest.mark.parametrize("value", ["1", [1.0]])
def test_a_text_for_a_number_is_one_line(pair, small, value):
    method = jaxcl.methods.EWC()
    object.__setattr__(method, "strength", value)  # as a user has it, without checks of types
    with pytest.raises(UsageError) as error:
        jaxcl.fit(pair, method, **small)
    assert str(error.value) == f"strength: {value!r} is no number; give one"


def test_a_word_or_a_fraction_that_a_setting_cannot_have_is_one_line():
    for make, name, value, message in (
        (Training, "batch_size", 32.5, "batch_size: 32.5 is no whole number; give one"),
        (Training, "optimizer", "adm", "optimizer: 'adm'; give adam or sgd"),
        (jaxcl.methods.EWC, "fisher", "exat", "fisher: 'exat'; give exact or sampled or empirical"),
    ):
        settings = make()
        object.__setattr__(settings, name, value)  # as a user has it, without checks of types
        with pytest.raises(UsageError) as error:
            settings.check()
        assert str(error.value) == message


def test_tasks_that_cannot_be_learned_are_refused_before_a_folder_is_made(pair, small):
    for tasks, message in {
        "none": ([], "tasks: none given"),
        "same": ([pair[0], pair[0]], "2 are named 'first'"),
        "shape": ([pair[0]._replace(test_inputs=pair[1].test_inputs[:, :3])], "same shape"),
        "domain": (pair, "setting: domain needs as many classes"),
    }.values():
        with pytest.raises(DataError, match=message):
            jaxcl.fit(tasks, "finetune", setting="domain" if tasks is pair else None, **small)
    labels = pair[0].train_labels
    other = pair[0]._replace(name="other", train_labels=np.where(labels == 1, 2, labels))
    with pytest.raises(
        DataError, match=r"'first' has \[0, 1, 2\], 'other' has \[0, 2\]; give task"
    ):
        jaxcl.fit([pair[0], other], "finetune", setting="domain", **small)
    assert not small["out"].exists()


def test_the_example_of_its_docstring(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    example = inspect.getdoc(jaxcl.fit).rpartition("small network:\n\n")[2]
    *_, last = lines = textwrap.dedent(example).splitlines()
    names = {"jaxcl": jaxcl, "np": np}
    exec("\n".join(lines), names)
    assert eval(last, names) == (1, 2, 2)
    assert (tmp_path / "runs/small/summary.json").exists()


def test_inputs_of_different_shapes_and_labels_without_variance_are_named(pair, small):
    narrow = [
        each._replace(**{k: getattr(each, k)[:, :3] for k in ("train_inputs", "test_inputs")})
        for each in pair
    ]
    message = r"inputs differ between tasks \('first' float32 \d+, 'second' float32 3\); give all"
    with pytest.raises(DataError, match=message):
        jaxcl.fit([pair[0], narrow[1]], **small)
    even = pair[0]._replace(
        train_labels=pair[0].train_inputs[:, :1], test_labels=np.ones((len(pair[0].test_labels), 1))
    )
    with pytest.raises(DataError, match="all test labels are equal, so R\\^2"):
        jaxcl.fit([even], loss="squared", **small)


def test_hidden_classes_are_no_large_weights(pair, small):
    result = jaxcl.fit(pair, setting="class", plasticity=True, **small)
    assert 0 < result.summary["plasticity"]["first"]["weight_rms"]["mean"] < 10


def test_a_part_is_held_out_and_a_limit_holds_for_tasks_that_are_given(pair, small):
    """The test labels are wrong, and nobody looks at them."""
    wrong = [each._replace(test_labels=(each.test_labels + 1) % 2) for each in pair[1:]]
    del small["batch_size"]
    given = {**small, "epochs": 20, "validation": 0.25}
    held_out = jaxcl.fit(wrong, **given).accuracy[0, 0, 0]
    tested = jaxcl.fit(wrong, **{**given, "validation": 0.0}, overwrite=True).accuracy[0, 0, 0]
    assert held_out > 50 > tested
    result = jaxcl.fit(pair[:1], **{**small, "limit": 12, "out": small["out"] / "few"})
    assert result.config.training.batch_size == 12
    three = sorted(pair[0].train_labels)  # sorted by class: examples of each class stay
    few = task.limit(pair[0]._replace(train_labels=np.array(three)), 6, spread=True)
    assert few.train_labels.tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"validation": float("nan")}, "validation: nan is no number"),
        ({"validation": 1.5}, r"validation: 1.5 is outside \[0, 1\]"),
    ],
)
def test_settings_are_checked_before_tasks_are_cut(given, message, pair, small):
    with pytest.raises(UsageError, match=message):
        jaxcl.fit(pair, **small, **given)


@pytest.mark.parametrize(
    ("of", "message"),
    [
        (lambda marks: 2 * marks - 1, "labels are -1 to 1, and the loss binary takes 0 to 1"),
        (lambda marks: 255 * marks, "labels are 0 to 255"),
        (lambda marks: marks + 1j, "labels are complex"),
        (lambda marks: marks.astype(str), "labels are <U"),
    ],
)
def test_labels_of_marks_are_0_to_1(of, message, pair, small):
    """Of others the loss has no lower bound."""
    marks = np.stack([pair[0].train_labels == 0, pair[0].train_labels > 0], 1).astype(int)
    wrong = pair[0]._replace(train_labels=of(marks), classes=0, test_inputs=pair[0].train_inputs)
    with pytest.raises(DataError, match=message):
        jaxcl.fit([wrong._replace(test_labels=marks)], loss="binary", **small)


def test_single_numbers_can_be_normalised(pair):
    """They are no channels: of each example there is one."""
    settings = configure("finetune", "own", normalise=True).data
    one = pair[0]._replace(train_inputs=np.array([1.0, 3.0, 5.0], np.float32))
    how = ready(settings, one)
    np.testing.assert_allclose(prepared(how, jnp.array([3.0, 5.0])), [0, 1.5**0.5], rtol=1e-6)


def test_a_setting_beside_the_object_that_has_it_is_refused(pair, small):
    for given, message in (
        ({"method": jaxcl.methods.EWC(7.0), "strength": 1.0}, "strength: given beside method=EWC"),
        ({"hidden": (9,)}, r"hidden: given beside network=MLP\(...\); give it there"),
        ({"training": Training(epochs=1)}, "given beside training=Training"),
    ):
        with pytest.raises(UsageError, match=message):
            jaxcl.fit(pair, **small, **given)


@pytest.mark.slow
def test_gdumb_begins_with_fresh_weights_however_training_is_given(pair, small):
    for name in ("epochs", "batch_size", "lr"):
        small.pop(name)
    method, training = jaxcl.methods.GDumb(per_class=5), Training(epochs=1, batch_size=5)
    assert jaxcl.fit(
        pair, method, setting="class", training=training, **small
    ).config.training.scratch


def test_parameters_in_half_precision_are_refused(pair, small):
    small["network"] = jaxcl.from_linen(linen.Dense(3, param_dtype=jnp.bfloat16))
    message = "parameters are bfloat16; make them float32, and compute"
    with pytest.raises(UsageError, match=message):
        jaxcl.fit(pair, **small)

    class Branching(linen.Module):
        @linen.compact
        def __call__(self, x):
            return linen.Dense(3, param_dtype=jnp.bfloat16, name="first")(x)

    small["network"] = jaxcl.from_linen(Branching(), branches=("first",))
    with pytest.raises(UsageError, match=message):
        jaxcl.fit(pair, "split", **small)
