"""Drawings of characters that belong to alphabets: Omniglot, for learning one after another.

Omniglot comes in two parts of other alphabets each, meant for learning to learn.  Here each
character's drawings are taken apart instead: some to train on, some to test on.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy import ndarray
from PIL import Image

from jaxcl.core.batching import ordinals

SIDE = 28
TEST_PART = 0.2
"""Of a character's drawings: 4 of 20."""


def drawing(picture: Image.Image) -> ndarray:
    """Returns black on white as white on black, bytes ``[28, 28, 1]``: means over areas.

    >>> white = Image.new("RGB", (105, 105), "white")
    >>> drawing(white).shape, int(drawing(white).max())
    ((28, 28, 1), 0)
    """
    small = picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    return 255 - np.asarray(small)[..., None]


def by_class(
    images: ndarray, labels: ndarray, groups: ndarray, names: Sequence[str]
) -> dict[str, Any]:
    """Returns what a task has but its name, with test images of every class.

    Classes are numbered anew: those of the first group first, and within a group in the order of
    their labels.  The last fifth of each class's drawings, in the order that they are given in,
    is for testing.

    Args:
      images: ``[n, ...]``.
      labels: ``[n]``, the class of each.
      groups: ``[n]``, the group of each, the same for all of a class.
      names: of the groups.
    """
    kinds, own = np.unique(np.stack([groups, labels]), axis=1, return_inverse=True)
    found, sizes = np.unique(kinds[0], return_counts=True)
    own, counts = own.reshape(-1).astype(np.int32), np.bincount(own.reshape(-1))
    number = ordinals(own, np.zeros_like(counts))  # among the drawings of its class
    test = number >= np.rint((1 - TEST_PART) * counts)[own]
    return {
        "train_inputs": images[~test],
        "train_labels": own[~test],
        "test_inputs": images[test],
        "test_labels": own[test],
        "classes": len(counts),
        "groups": tuple((names[group], int(n)) for group, n in zip(found, sizes, strict=True)),
    }
