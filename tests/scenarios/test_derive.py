import numpy as np
import pytest

from jaxcl.core.errors import DataError
from jaxcl.scenarios.derive import by_group, permuted, permuted32, rotated, shuffled_classes, split
from jaxcl.scenarios.task import Task


def made(classes=6, n=18, shape=(4, 4, 1)):
    rng = np.random.default_rng(0)

    def part(n):
        labels = rng.permutation(np.arange(n) % classes).astype(np.int64)
        return rng.integers(0, 256, (n, *shape), dtype=np.uint8), labels

    return Task("digits", *part(n), *part(n // 2), classes)


def parts(task):
    return {
        "train": (task.train_inputs, task.train_labels),
        "test": (task.test_inputs, task.test_labels),
    }


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("part", ["train", "test"])
def test_a_split_shares_out_the_classes(n, part):
    whole = made()
    tasks = split(whole, n)
    assert len(tasks) == n
    images, labels = parts(whole)[part]
    for i, task in enumerate(tasks):
        assert task.classes == 6 // n
        own = np.isin(labels, range(i * 6 // n, (i + 1) * 6 // n))
        found_images, found_labels = parts(task)[part]
        np.testing.assert_array_equal(found_images, images[own])
        np.testing.assert_array_equal(found_labels, labels[own] - i * 6 // n)
        assert set(found_labels) == set(range(6 // n))
    assert sum(len(parts(task)[part][1]) for task in tasks) == len(labels)
    assert len({task.name for task in tasks}) == n


@pytest.mark.parametrize("part", ["train", "test"])
def test_groups_of_classes_of_any_size_are_tasks(part):
    whole = made()._replace(groups=(("one", 1), ("three", 3), ("two", 2)))
    images, labels = parts(whole)[part]
    for n in (2, 3):
        tasks = by_group(whole, n)
        assert [(task.name, task.classes) for task in tasks] == list(whole.groups[:n])
        for task, own in zip(tasks, [[0], [1, 2, 3], [4, 5]], strict=False):
            found_images, found_labels = parts(task)[part]
            np.testing.assert_array_equal(found_images, images[np.isin(labels, own)])
            np.testing.assert_array_equal(found_labels, labels[np.isin(labels, own)] - own[0])
    with pytest.raises(DataError, match="digits has 3 groups of classes, not 4"):
        by_group(whole, 4)
    assert shuffled_classes(whole, 1).groups == ()  # they are not together any more


@pytest.mark.parametrize(
    "make", [lambda task: split(task, 3), lambda task: shuffled_classes(task, 1)]
)
def test_labels_of_sequences_are_not_shared_out(make):
    """A mask of examples and positions would make examples of positions."""
    whole = made()
    labels = np.stack([whole.train_labels, whole.train_labels], 1)
    with pytest.raises(DataError, match=r"labels are int64 of the shape \[18, 2\]; only integers"):
        make(whole._replace(train_labels=labels))


def test_names_of_classes_follow_them():
    whole = made()._replace(class_names=tuple("abcdef"))
    dealt = shuffled_classes(whole, 1)
    for before, now in zip(whole.train_labels, dealt.train_labels, strict=True):
        assert dealt.class_names[now] == whole.class_names[before]
    parts = split(dealt, 3)
    assert sum((part.class_names for part in parts), ()) == dealt.class_names
    assert shuffled_classes(made(), 1).class_names == split(made(), 3)[0].class_names == ()


@pytest.mark.parametrize("n", [4, 5, 6, 12])  # does not divide 6, or a class to a task, or none
def test_an_uneven_split_is_refused(n):
    with pytest.raises(DataError, match=f"6 classes of digits do not make {n} tasks"):
        split(made(), n)


@pytest.mark.parametrize("shape", [(4, 4, 1), (3, 5, 3)])
def test_pixels_are_permuted_alike_in_all_images(shape):
    """A picture of places tells where each pixel went."""
    task, pixels = made(shape=shape), shape[0] * shape[1]
    places = np.arange(pixels, dtype=np.uint8).reshape(1, *shape[:2], 1)
    picture = np.repeat(places, shape[2], axis=-1)
    marked = task._replace(train_inputs=np.concatenate([task.train_inputs, picture]))
    marked = marked._replace(train_labels=np.append(task.train_labels, 0))
    first, *others = permuted(marked, 4)
    np.testing.assert_array_equal(first.train_inputs, marked.train_inputs)
    np.testing.assert_array_equal(first.test_inputs, marked.test_inputs)
    orders = set()
    for other in others:
        where = other.train_inputs[-1].reshape(pixels, shape[2])
        assert np.all(where == where[:, :1])  # colours stay together
        order = where[:, 0]
        np.testing.assert_array_equal(np.sort(order), np.arange(pixels))
        orders.add(tuple(order.tolist()))
        for found, was in (
            (other.train_inputs, marked.train_inputs),
            (other.test_inputs, marked.test_inputs),
        ):
            flat = was.reshape(len(was), pixels, -1)
            np.testing.assert_array_equal(found.reshape(flat.shape), flat[:, order])
        np.testing.assert_array_equal(other.train_labels, marked.train_labels)
        np.testing.assert_array_equal(other.test_labels, marked.test_labels)
    assert len(orders) == 3
    assert tuple(range(pixels)) not in orders


@pytest.mark.parametrize("shape", [(28, 28, 1), (5, 32, 3), (7, 8, 1)])
def test_a_border_is_permuted_with_the_image(shape):
    task = made(shape=shape)
    first, other = permuted32(task, 2)
    for images, was in (
        (first.train_inputs, task.train_inputs),
        (first.test_inputs, task.test_inputs),
    ):
        assert images.shape == (len(was), 32, 32, shape[2])
        top, left = (32 - shape[0]) // 2, (32 - shape[1]) // 2
        inside = images[:, top : top + shape[0], left : left + shape[1]]
        np.testing.assert_array_equal(inside, was)
        assert images.sum() == was.sum()
    counts = [np.sort(x.train_inputs.reshape(len(task.train_labels), -1)) for x in (first, other)]
    np.testing.assert_array_equal(*counts)
    with pytest.raises(DataError, match="larger than 32x32"):
        permuted32(made(shape=(33, 4, 1)), 2)


def test_the_permutations_are_always_the_same():
    few, again, more = permuted(made(), 3), permuted(made(), 3), permuted(made(), 5)
    for a, b, c in zip(few, again, more, strict=False):
        np.testing.assert_array_equal(a.train_inputs, b.train_inputs)
        np.testing.assert_array_equal(a.train_inputs, c.train_inputs)
    assert [task.name for task in more[:3]] == [task.name for task in few]
    assert len({task.name for task in more}) == 5


@pytest.mark.parametrize("channels", [1, 3])
def test_right_angles_are_those_of_numpy(channels):
    task = made(shape=(5, 5, channels))
    for n, quarter in ((1, []), (2, [1]), (4, [2])):  # 90 degrees are the first or second of n
        turned = rotated(task, n)
        assert len(turned) == n
        np.testing.assert_array_equal(turned[0].train_inputs, task.train_inputs)
        np.testing.assert_array_equal(turned[0].test_inputs, task.test_inputs)
        for place in quarter:
            for part in ("train", "test"):
                images, labels = parts(turned[place])[part]
                was, same = parts(task)[part]
                np.testing.assert_array_equal(images, np.rot90(was, axes=(1, 2)))
                np.testing.assert_array_equal(labels, same)


@pytest.mark.parametrize("channels", [1, 3])
def test_other_angles_turn_about_the_middle(channels):
    """A disc stays, a bar through the middle turns; the corners are filled with black."""
    side, n = 21, 4
    y, x = np.mgrid[:side, :side] - side // 2
    disc, bar = x**2 + y**2 <= 64, np.abs(y) <= 1
    images = np.stack([disc, bar, np.ones_like(disc)]).astype(np.uint8) * 200
    images = np.repeat(images[..., None], channels, axis=-1)
    labels = np.array([0, 1, 0])
    tasks = rotated(Task("shapes", images, labels, images[:2], labels[:2], 2), n)
    inner = x**2 + y**2 <= 49
    for i, task in enumerate(tasks):
        angle = np.pi * i / n
        assert task.train_inputs.dtype == np.uint8
        found = task.train_inputs[..., 0].astype(float)
        np.testing.assert_array_equal(task.train_inputs[..., -1], found)
        assert np.all(found[0][inner] == 200)
        # Against the clock, with y downwards: points along (cos, -sin) are on the bar.
        along, across = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
        assert np.all(found[1][inner & (np.abs(across) < 0.5) & (np.abs(along) < 6)] == 200)
        assert np.all(found[1][inner & (np.abs(across) > 3)] == 0)
        assert found[2][0, 0] == (200 if i in (0, 2) else 0)
    assert len({task.name for task in tasks}) == n
