"""MNIST-M and its like: grey figures blended with crops of photographs."""

import numpy as np
from numpy import ndarray

from jaxcl.scenarios.task import Task

SEED = 0  # of the crops: everybody has the same images
PART = 5000  # images blended at a time, so that the wider integers stay few


def blended(figures: Task, photos: Task, name: str) -> Task:
    """Draws figures as the difference to random crops of photographs, ``|crop - figure|``.

    Each image is a crop of its own of a random photograph, less the figure's grey value
    in every channel; training images take photographs for training, test images those
    for testing.

    Args:
      figures: grey, ``[n, height, width, 1]``.
      photos: in colour, at least as large.
      name: of the new task.

    References:
      Ganin et al., Domain-adversarial training of neural networks, 2016, for MNIST-M
      (with the photographs of BSDS500).
    """
    rng = np.random.default_rng(SEED)
    return figures._replace(
        name=name,
        train_inputs=_blend(figures.train_inputs, photos.train_inputs, rng),
        test_inputs=_blend(figures.test_inputs, photos.test_inputs, rng),
    )


def _blend(figures: ndarray, photos: ndarray, rng: np.random.Generator) -> ndarray:
    n, height, width, _ = figures.shape
    which = rng.integers(len(photos), size=n)
    top = rng.integers(photos.shape[1] - height + 1, size=n)
    left = rng.integers(photos.shape[2] - width + 1, size=n)
    windows = np.lib.stride_tricks.sliding_window_view(photos, (height, width), (1, 2))
    made = np.empty((n, height, width, 3), np.uint8)
    for first in range(0, n, PART):
        part = slice(first, first + PART)
        crops = windows[which[part], top[part], left[part]]  # [m, channels, height, width]
        difference = crops.transpose(0, 2, 3, 1).astype(np.int16) - figures[part]
        made[part] = np.abs(difference)
    return made
