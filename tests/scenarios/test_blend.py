import numpy as np
import pytest

from jaxcl.scenarios.datasets import sources
from jaxcl.scenarios.datasets.blend import blended
from jaxcl.scenarios.derive import repeated
from jaxcl.scenarios.task import Task


def flat(name, value, shape, n=4):
    images, labels = np.full((n, *shape), value, np.uint8), np.arange(n, dtype=np.int32) % 2
    return Task(name, images, labels, images, labels, 2)


@pytest.mark.parametrize(("figure", "photo", "difference"), [(200, 50, 150), (50, 200, 150)])
def test_a_blend_is_the_absolute_difference(figure, photo, difference):
    made = blended(flat("a", figure, (8, 8, 1)), flat("b", photo, (12, 12, 3)), "c")
    assert made.name == "c"
    assert made.train_inputs.shape == made.test_inputs.shape == (4, 8, 8, 3)
    assert np.all(made.train_inputs == difference)
    np.testing.assert_array_equal(made.train_labels, [0, 1, 0, 1])


def test_every_image_has_a_crop_of_its_own_of_its_own_split():
    rng = np.random.default_rng(0)
    photos = flat("photos", 0, (12, 12, 3))._replace(
        train_inputs=rng.integers(0, 100, (5, 12, 12, 3), dtype=np.uint8),
        test_inputs=rng.integers(100, 256, (5, 12, 12, 3), dtype=np.uint8),
    )
    made = blended(flat("black", 0, (8, 8, 1), n=40), photos, "crops")
    windows = np.lib.stride_tricks.sliding_window_view(photos.train_inputs, (8, 8), (1, 2))
    windows = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, 8, 8, 3)
    for crop in made.train_inputs:
        assert np.any(np.all(windows == crop, axis=(1, 2, 3)))
    assert len(np.unique(made.train_inputs, axis=0)) > 20
    assert made.train_inputs.max() < 100 <= made.test_inputs.min()
    again = blended(flat("black", 0, (8, 8, 1), n=40), photos, "crops")
    np.testing.assert_array_equal(made.train_inputs, again.train_inputs)


def test_the_built_in_blend():
    task = sources.load("digits_m", None, print)
    assert task.train_inputs.shape[1:] == (8, 8, 3)
    assert (task.name, task.classes) == ("digits_m", 10)
    assert sources.available("digits_m", None)
    assert sources.sources("mnist_m") == ("mnist", "cifar10")


def test_repeated_tasks_are_the_same_images():
    one, two = repeated(flat("a", 7, (8, 8, 1)), 2)
    assert (one.name, two.name) == ("a-1", "a-2")
    assert one.train_inputs is two.train_inputs
