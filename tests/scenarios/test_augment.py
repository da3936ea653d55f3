"""Augmentations against NumPy by hand, and what must not change."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.core.errors import UsageError
from jaxcl.core.random import stream
from jaxcl.scenarios.augment import (
    NAMES,
    compose,
    crop_at,
    cut_at,
    cutout,
    random_crop,
    random_flip,
)

ALL = [*(make() for make in NAMES.values()), compose(random_crop(2), random_flip(), cutout(3))]


def images(n: int = 6, height: int = 5, width: int = 7, channels: int = 2):
    """Every value occurs once and is above 0."""
    shape = (n, height, width, channels)
    return jnp.arange(1, 1 + np.prod(shape), dtype=jnp.float32).reshape(shape) / 2000


def test_a_crop_is_numpys_slice_for_each_offset():
    padding = 2
    offsets = np.array(list(itertools.product(range(5), repeat=2)), np.int32)
    inputs = np.asarray(images(len(offsets)))
    found = crop_at(jnp.asarray(inputs), jnp.asarray(offsets), padding)
    for image, (row, column), crop in zip(inputs, offsets, found, strict=True):
        expected = np.zeros_like(image)
        for i, j in itertools.product(range(5), range(7)):
            y, x = i + row - padding, j + column - padding
            if 0 <= y < 5 and 0 <= x < 7:
                expected[i, j] = image[y, x]
        np.testing.assert_array_equal(crop, expected)


def test_random_crops_take_each_offset_about_as_often(key):
    """A single pixel in the middle says where its crop was; 9 places, 900 times each."""
    one = jnp.zeros((8100, 3, 3, 1), jnp.float32).at[:, 1, 1].set(1)
    found = np.asarray(random_crop(1)(key, one))
    assert (found.sum((1, 2, 3)) == 1).all()
    counts = found.sum(0).ravel()
    assert (np.abs(counts - 900) < 5 * np.sqrt(8100 * 1 / 9 * 8 / 9)).all()


def test_about_half_are_flipped_and_all_others_are_as_they_were(key):
    inputs = np.asarray(images(4000, 1, 3, 1))
    found = np.asarray(random_flip()(key, jnp.asarray(inputs)))
    same = (found == inputs).all((1, 2, 3))
    flipped = (found == inputs[:, :, ::-1]).all((1, 2, 3))
    assert (same ^ flipped).all()
    assert abs(flipped.sum() - 2000) < 5 * np.sqrt(4000 / 4)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 20])
def test_a_cutout_zeroes_the_counted_pixels_and_no_others(size):
    centres = np.array(list(itertools.product(range(5), range(7))), np.int32)
    inputs = np.asarray(images(len(centres)))
    found = np.asarray(cut_at(jnp.asarray(inputs), jnp.asarray(centres), size))
    for image, (row, column), cut in zip(inputs, centres, found, strict=True):
        top, left = row - size // 2, column - size // 2
        expected = image.copy()
        expected[max(top, 0) : max(top + size, 0), max(left, 0) : max(left + size, 0)] = 0
        np.testing.assert_array_equal(cut, expected)
        height = min(top + size, 5) - max(top, 0)
        width = min(left + size, 7) - max(left, 0)
        assert (cut == 0).sum() == height * width * 2


def test_the_centres_of_cutouts_are_all_the_pixels_about_as_often(key):
    found = np.asarray(cutout(1)(key, jnp.ones((6000, 2, 3, 1), jnp.float32)))
    zeros = (found == 0).sum(0).ravel()
    assert zeros.sum() == 6000
    assert (np.abs(zeros - 1000) < 5 * np.sqrt(6000 * 1 / 6 * 5 / 6)).all()


@pytest.mark.parametrize("augment", [random_crop(0), cutout(0), compose()])
def test_nothing_around_nothing_cut_and_nothing_composed_change_nothing(augment, key):
    np.testing.assert_array_equal(augment(key, images()), images())


def test_what_is_composed_follows_in_order_with_streams_of_its_own(key):
    parts = random_crop(2), cutout(3), random_crop(2)
    expected = images(32)
    for position, augment in enumerate(parts):
        expected = augment(stream(key, "augment", position), expected)
    found = compose(*parts)(key, images(32))
    np.testing.assert_array_equal(found, expected)
    # With one key for both, a crop would say where the other one is.
    twice = compose(random_crop(2), random_crop(2))(key, images(32))
    same = random_crop(2)(key, random_crop(2)(key, images(32)))
    assert not np.array_equal(twice, same)


@pytest.mark.parametrize("augment", ALL, ids=str)
def test_a_key_decides_and_compiling_and_vmapping_change_nothing(augment, key):
    keys = jax.random.split(key, 3)
    inputs = images(16)
    looped = [np.asarray(augment(k, inputs)) for k in keys]
    np.testing.assert_array_equal(augment(keys[0], inputs), looped[0])
    assert not np.array_equal(looped[0], looped[1])
    vmapped = jax.jit(jax.vmap(augment, in_axes=(0, None)))(keys, inputs)
    np.testing.assert_array_equal(vmapped, np.stack(looped))
    assert vmapped.dtype == inputs.dtype


def test_examples_draw_numbers_of_their_own(key):
    same = jnp.broadcast_to(images(1, 16, 16), (64, 16, 16, 2))
    for augment in ALL:
        assert len(np.unique(augment(key, same), axis=0)) > 1


def test_what_is_made_twice_is_compiled_once(key):
    traced = []

    def step(augment, key, inputs):
        traced.append(augment)
        return augment(key, inputs)

    compiled = jax.jit(step, static_argnums=0)
    for _ in range(2):
        compiled(compose(random_crop(2), random_flip(), cutout(3)), key, images())
    assert len(traced) == 1
    compiled(compose(random_crop(1), random_flip(), cutout(3)), key, images())
    assert len(traced) == 2


@pytest.mark.parametrize("augment", ALL, ids=str)
def test_other_inputs_than_images_are_refused(augment, key):
    with pytest.raises(UsageError, match=r"^augment: inputs have the shape \[8, 10\]; give images"):
        augment(key, jnp.zeros((8, 10), jnp.float32))


def test_negative_sizes_are_refused():
    with pytest.raises(UsageError, match="padding: -1 is negative; give 0"):
        random_crop(-1)
    with pytest.raises(UsageError, match="size: -2 is negative; give 0"):
        cutout(-2)
