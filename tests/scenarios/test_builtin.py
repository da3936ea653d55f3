import numpy as np
import pytest

from jaxcl.scenarios.checks import check
from jaxcl.scenarios.datasets.builtin import TASKS, TILE, _patches
from jaxcl.scenarios.datasets.catalog import BUILT_IN

SIZES = {"digits": (10, 1440, 300), "letters": (26, 1560, 520), "photos": (10, 1600, 500)}


@pytest.mark.parametrize("name", TASKS)
def test_balanced_shuffled_and_the_same_every_time(name):
    task = check(TASKS[name](), batch_size=100)
    classes, train, test = SIZES[name]
    for labels, n in ((task.train_labels, train), (task.test_labels, test)):
        assert np.bincount(labels).tolist() == [n // classes] * classes
        assert len(set(labels[:20].tolist())) > 4
    again = TASKS[name]()
    np.testing.assert_array_equal(task.train_inputs, again.train_inputs)
    np.testing.assert_array_equal(task.test_labels, again.test_labels)


@pytest.mark.parametrize("name", TASKS)
def test_no_test_image_is_a_training_image(name):
    task = TASKS[name]()
    train = {image.tobytes() for image in task.train_inputs}
    assert not any(image.tobytes() in train for image in task.test_inputs)


def test_letters_are_drawn_and_upright():
    task = TASKS["letters"]()
    images = task.train_inputs.astype(float)
    assert images.reshape(len(images), -1).max(1).min() > 200  # none is blank
    mean = np.stack([images[task.train_labels == i].mean(0)[..., 0] for i in range(26)])
    a, t, l = (mean[ord(c) - ord("A")] for c in "ATL")  # noqa: E741
    assert a[20:].sum() > a[:12].sum()  # wide at the foot
    assert t[:12].sum() > t[20:].sum()  # wide at the top
    assert l[:, :16].sum() > l[:, 16:].sum()  # its stem is on the left


def test_training_and_test_patches_come_from_disjoint_areas():
    rows, columns = np.mgrid[: 4 * TILE, : 5 * TILE]
    where = np.stack([rows // 2, columns // 2, rows * 0], -1).astype(np.uint8)
    rng = np.random.default_rng(0)
    for parity in (0, 1):
        for patch in _patches(where, parity, 100, rng):
            tiles = {
                (int(r) * 2 // TILE, int(c) * 2 // TILE) for r, c in patch[..., :2].reshape(-1, 2)
            }
            assert len(tiles) == 1
            assert sum(tiles.pop()) % 2 == parity


def test_all_that_are_built_in_are_listed():
    assert tuple(TASKS) == BUILT_IN
