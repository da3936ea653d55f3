import numpy as np
import pytest

from jaxcl.scenarios.images import to_rgb32


def test_padding_and_repeating_by_hand():
    image = np.arange(28 * 28, dtype=np.uint8).reshape(1, 28, 28, 1)
    padded = to_rgb32(image, "pad")
    assert padded.shape == (1, 32, 32, 3)
    for channel in range(3):
        np.testing.assert_array_equal(padded[0, 2:30, 2:30, channel], image[0, ..., 0])
    assert padded.astype(int).sum() == 3 * image.astype(int).sum()


def test_bilinear_against_pillow():
    from PIL import Image

    image = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(image).resize((32, 32), Image.Resampling.BILINEAR))
    found = to_rgb32(image[None, ..., None], "bilinear")[0, ..., 1]
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1


def test_a_flat_image_stays_flat_and_a_colour_image_as_it_is():
    flat = to_rgb32(np.full((2, 8, 8, 1), 77, np.uint8), "bilinear")
    assert np.unique(flat).tolist() == [77]
    colour = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    np.testing.assert_array_equal(to_rgb32(colour, "bilinear"), colour)


@pytest.mark.parametrize("shape", [(1, 33, 32, 3), (1, 32, 32, 2)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="at most 32x32 with 1 or 3"):
        to_rgb32(np.zeros(shape, np.uint8), "pad")
