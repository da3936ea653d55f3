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
from jaxcl.scenarios.task import rgb32


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
        "give both the same shape": {"test_inputs": task.test_inputs[:, :30]},
    }


def test_what_cannot_be_trained_on_is_refused(task):
    for message, changes in cases(task).items():
        with pytest.raises(DataError, match=message):
            check_all([task._replace(**changes)], 10)


def test_a_list_of_tasks_has_some_and_each_name_once(task):
    with pytest.raises(DataError, match="tasks: none given"):
        list(run(configured(), []))
    with pytest.raises(DataError, match="tasks: 2 are named 'bars'; give each its own name"):
        list(run(configured(), [task, task]))


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
