"""Tasks that cannot be trained on are refused before anything is trained."""

import jax.numpy as jnp
import numpy as np
import pytest
from given import configured

from jaxcl.core.errors import DataError
from jaxcl.core.sharding import on_mesh
from jaxcl.learner.seed_loop import run
from jaxcl.scenarios.checks import check_all
from jaxcl.scenarios.images import to_rgb32
from jaxcl.scenarios.task import Task, as_batch, counted, limit, rgb32


@pytest.fixture
def task(make_task):
    return make_task("bars", n=40)


def cases(task):
    images, labels = task.train_inputs, task.train_labels
    nan = images.astype(np.float32)
    nan[0, 0, 0, 0] = np.nan
    return {
        "labels are float64": {"train_labels": labels + 0.5},
        "labels are float32": {"train_labels": labels.astype(np.float32)},
        "labels are bool": {"test_labels": task.test_labels > 0},
        "labels are a list; give a NumPy array": {"train_labels": labels.tolist()},
        "inputs hold int; give NumPy arrays": {"test_inputs": task.test_inputs.tolist()},
        "inputs are bool; give bytes": {"train_inputs": images > 9},
        "inputs are a single number": {"train_inputs": np.array(1, np.float32)},
        "have 39 and 40 examples": {"train_inputs": {"a": images, "b": images[1:]}},
        "3x32x32, channels first": {"train_inputs": images.transpose(0, 3, 1, 2)},
        "not finite": {"train_inputs": nan},
        r"inputs are 0 to 1e\+300, too large for float32": {"train_inputs": 1e300 * (images > 9)},
        "too large for whole numbers of 32 bits": {"test_inputs": np.int64(2**40) * (images > 9)},
        "labels are 2 to 4, .*; subtract 2, or give classes=5": {
            "train_labels": labels + 2,
            "classes": 0,
        },
        "give both the same shape": {"test_inputs": task.test_inputs[:, :30]},
        "training labels are .40., test labels .20, 1.; give both one": {
            "test_labels": task.test_labels[:, None],
            "test_inputs": task.test_inputs,
        },
        "test: inputs hold values that are not": {
            "train_inputs": images.astype(jnp.bfloat16),
            "test_inputs": np.full(task.test_inputs.shape, np.nan, jnp.bfloat16),
        },
        "inputs are a masked array": {"train_inputs": np.ma.array(images)},
        r"an input has the shape \[32, 0, 3\]": {"train_inputs": images[:, :, :0]},
        "labels go up to 1000000, and there are 40": {
            "train_labels": np.where(np.arange(40) == 0, 10**6, labels),
            "classes": 0,
        },
        "classes is '3'; give a whole number, or 0": {"classes": "3"},
        "classes is 2.5; give": {"classes": 2.5},
        "classes is -1; give": {"classes": -1},
        "class_names has 2, and there are 3 classes": {"class_names": ("a", "b")},
    }


def test_what_cannot_be_trained_on_is_refused(task):
    for message, changes in cases(task).items():
        with pytest.raises(DataError, match=message):
            check_all([task._replace(**changes)], 10)


@pytest.mark.parametrize("kind", ["uint8", "uint32", "int64"])
def test_labels_are_whole_numbers_of_any_type(task, kind):
    labels = {name: getattr(task, name).astype(kind) for name in ("train_labels", "test_labels")}
    (checked,) = check_all([task._replace(**labels, classes=0)], 10)
    assert checked.classes == 3
    with pytest.raises(DataError, match="labels are 0 to 2; they must be 0 to 1"):
        check_all([task._replace(**labels, classes=2)], 10)


def test_the_number_of_classes_may_be_numpys_and_is_pythons_afterwards(task):
    (checked,) = check_all([task._replace(classes=np.int64(3))], 10)
    assert type(checked.classes) is int


@pytest.mark.parametrize("labels", ["in turn", "sorted", "rare", "numbers"])
def test_a_limit_takes_its_share_of_each_class(labels):
    """Every k-th row would leave classes out where labels come in turn."""
    y = {
        "in turn": np.arange(1000) % 10,
        "sorted": np.sort(np.arange(1000) % 10),
        "rare": np.where(np.arange(1000) % 20 == 0, 1, 0),
        "numbers": np.linspace(0, 1, 1000)[:, None],
    }[labels]
    whole = Task("all", np.arange(1000.0), y, np.arange(1000.0), y)
    for most in (10, 200, 500):
        few = limit(whole, most, spread=True)
        assert len(few.train_inputs) == most == len(few.test_labels)
        assert (np.diff(few.train_inputs) > 0).all()
        np.testing.assert_array_equal(few.train_labels, y[few.train_inputs.astype(int)])
        assert 400 < few.train_inputs.mean() < 600 or most < 200
        if labels != "numbers":
            share = np.bincount(y) * most / 1000
            assert np.abs(np.bincount(few.train_labels, minlength=len(share)) - share).max() <= 0.5
    assert limit(whole, 1000, spread=True).train_inputs.shape == (1000,)


def test_classes_that_are_given_may_have_no_example(task):
    later = {name: getattr(task, name) + 2 for name in ("train_labels", "test_labels")}
    (checked,) = check_all([task._replace(**later, classes=5)], 10)
    assert checked.classes == 5


def test_a_list_of_tasks_has_some_and_each_name_once(task):
    with pytest.raises(DataError, match="tasks: none given"):
        list(run(configured(), []))
    with pytest.raises(DataError, match="tasks: 2 are named 'bars'; give each its own"):
        list(run(configured(), [task, task]))


def test_tasks_have_names_that_can_be_shown(task):
    for name in ("", " ", "two\nlines", "a\x00", 3):
        with pytest.raises(DataError, match="tasks: one is named "):
            check_all([task._replace(name=name)], 10)
    check_all([task._replace(name="_ü/1")], 10)


def test_inputs_of_all_tasks_are_of_one_type(task):
    """In a memory or in joint training, one type would become the other, and lose its scale."""

    def as_type(name, kind):
        train, test = (each.astype(kind) for each in (task.train_inputs, task.test_inputs))
        return task._replace(name=name, train_inputs=train, test_inputs=test)

    wide = as_type("wide", np.float64)
    with pytest.raises(DataError, match=r"^inputs: tasks have 'bars' uint8 .* and 'wide' float64"):
        check_all([task, wide], 10)
    assert len(check_all([wide, as_type("narrow", np.float32)], 10)) == 2  # kept in 32 bits, both


def test_labels_of_sequences_have_masks_and_no_class_too_many(task):
    labels = np.array([[0, 1, -1]] * 40)
    given = {"train_labels": labels, "test_labels": labels[: len(task.test_labels)], "classes": 2}
    check_all([task._replace(**given)], 10)
    given["train_labels"] = labels + (labels == 1)
    with pytest.raises(DataError, match=r"labels are -1 to 2; they must be 0 to 1$"):
        check_all([task._replace(**given)], 10)


def test_masks_stay_masks_where_classes_are_counted_over_all_tasks():
    labels = np.array([[0, 1, -1]])
    batch = as_batch(np.zeros((1, 3), np.float32), labels, 1, 2, stream=False)
    np.testing.assert_array_equal(batch["label"], [[2, 3, -1]])
    np.testing.assert_array_equal(counted(batch["label"], -2), labels)


def test_inputs_that_the_network_cannot_take_name_the_remedy(task):
    large = np.zeros((40, 40, 40, 3), np.uint8)
    with pytest.raises(DataError, match=r"images are uint8 40x40x3, .*--resize keep"):
        rgb32(task._replace(train_inputs=large, test_inputs=large), "bilinear")


@pytest.mark.parametrize("how", ["bilinear", "pad"])
def test_floats_stay_as_they_are_when_images_are_made_larger(how):
    small = np.full((2, 16, 16, 1), 0.25, np.float32)
    found = to_rgb32(small, how)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:, 8:24, 8:24], 0.25)


def test_floats_train_as_the_bytes_that_they_are_of(task):
    """0 to 1 as they are, or 0 to 255 divided by it: the same images, the same network."""
    settings = {"method": "finetune", "net": "mlp", "hidden": (4,), "epochs": 1, "batch_size": 20}
    floats = task._replace(
        train_inputs=(task.train_inputs / np.float32(255)).astype(np.float32),
        test_inputs=(task.test_inputs / np.float32(255)).astype(np.float32),
    )
    with on_mesh("data=1", 1):
        ends = [list(run(configured(**settings), [each]))[-1] for each in (task, floats)]
    np.testing.assert_allclose(*(jnp.asarray(e.params["fc1"]["w"]) for e in ends), atol=1e-6)
    assert ends[0].matrix == ends[1].matrix


def test_a_generator_makes_bytes_and_takes_no_floats(task):
    floats = task._replace(
        train_inputs=task.train_inputs / 255.0, test_inputs=task.test_inputs / 255.0
    )
    with pytest.raises(DataError, match="a generator makes images of bytes; give uint8"):
        list(run(configured(method="dgr", batch_size=10), [floats]))
