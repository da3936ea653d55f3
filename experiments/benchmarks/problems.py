"""The same work for both sides of a benchmark: data, first weights, order of the batches.

NumPy only, so that neither side imports the other's library.
"""

from typing import NamedTuple

import numpy as np

EXAMPLES, CLASSES = 6_000, 10


class Problem(NamedTuple):
    """What is learned.

    Attributes:
      images: bytes ``[n, height, width, channels]``.
      labels: int32 ``[n]``.
      order: rows of each step's batch, int32 ``[steps, batch]``.
      weights: nested dictionaries of float32 arrays, as jaxcl's networks name them:
        dense ``[in, out]``, convolutions ``[rows, columns, in, out]``.
    """

    images: np.ndarray
    labels: np.ndarray
    order: np.ndarray
    weights: dict


def _layer(rng: np.random.Generator, *shape: int) -> dict[str, np.ndarray]:
    w = rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / np.prod(shape[:-1])))
    return {"w": w, "b": np.zeros(shape[-1], np.float32)}


def _problem(shape: tuple[int, ...], batch: int, weights: dict) -> Problem:
    rng = np.random.default_rng(1)
    # A weak signal, so that losses fall and a wrong step shows.
    labels = rng.integers(0, CLASSES, EXAMPLES, dtype=np.int32)
    mean = 90 + 8 * labels[:, None, None, None]
    images = np.clip(rng.normal(mean, 40, (EXAMPLES, *shape)), 0, 255).astype(np.uint8)
    rows = rng.permutation(EXAMPLES)[: EXAMPLES // batch * batch]
    return Problem(images, labels, rows.reshape(-1, batch).astype(np.int32), weights)


def before(weights: dict) -> dict:
    """Weights of a network whose responses are held on to.

    Not the first weights themselves: a difference of nothing but rounding is as good as any
    other to Adam, which would take the two sides different ways.
    """
    return {
        name: before(value) if isinstance(value, dict) else np.float32(0.9) * value
        for name, value in weights.items()
    }


def mlp() -> Problem:
    """784-400-400-10, batches of 128."""
    rng = np.random.default_rng(0)
    weights = {"fc1": _layer(rng, 784, 400), "fc2": _layer(rng, 400, 400)}
    return _problem((28, 28, 1), 128, {**weights, "heads": {"t00": _layer(rng, 400, CLASSES)}})


def cnn(tasks: int = 1, *, branches: bool = False) -> Problem:
    """Two convolutions, pooling, 128 units; a head a task, and branches if asked for."""
    rng = np.random.default_rng(0)
    names = [f"t{i:02d}" for i in range(tasks)]
    own = names if branches else names[:1]
    weights = {
        "conv1": {name: _layer(rng, 3, 3, 3, 32) for name in own},
        "conv2": {name: _layer(rng, 3, 3, 32, 64) for name in own},
        "fc1": _layer(rng, 14 * 14 * 64, 128),
        "heads": {name: _layer(rng, 128, CLASSES) for name in names},
    }
    return _problem((32, 32, 3), 100, weights)


def gan() -> Problem:
    """A generator 100-400-400-784 and a critic 784-400-400-1, batches of 64."""
    rng = np.random.default_rng(0)

    def stack(*sizes: int) -> dict:
        return {f"fc{i + 1}": _layer(rng, *sizes[i : i + 2]) for i in range(len(sizes) - 1)}

    weights = {"generator": stack(100, 400, 400, 784), "critic": stack(784, 400, 400, 1)}
    return _problem((28, 28, 1), 64, weights)
