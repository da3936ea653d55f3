"""Layers of the backbones in NumPy and float64, written another way than in the library."""

import jax
import numpy as np


def convolve(x, kernel, stride, pads, depthwise=False):
    """Sums shifted images, one place of the filter after the other."""
    (top, bottom), (left, right) = pads
    x = np.pad(x, [(0, 0), (top, bottom), (left, right), (0, 0)])
    rows, columns = kernel.shape[:2]
    height = (x.shape[1] - rows) // stride + 1
    width = (x.shape[2] - columns) // stride + 1
    total = 0
    for i in range(rows):
        for j in range(columns):
            part = x[:, i : i + stride * height : stride, j : j + stride * width : stride]
            total = total + (part * kernel[i, j, 0] if depthwise else part @ kernel[i, j])
    return total


def same(size, kernel, stride):
    """Gives TensorFlow's padding: as little as makes ``ceil(size / stride)`` places, more after."""
    whole = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return whole // 2, whole - whole // 2


def even(kernel):
    return ((kernel // 2, kernel // 2),) * 2


def normalise(x, params, stats, train, epsilon=1e-5):
    mean, var = stats["mean"], stats["var"]
    if train:
        mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
    return (x - mean) / np.sqrt(var + epsilon) * params["scale"] + params["bias"]


def drawn(variables, seed=0):
    """Replaces all variables, none of which stays 0 or 1, where a test could not see it."""
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        name = path[-1].key
        if name == "kernel":
            values = rng.normal(size=leaf.shape) / np.sqrt(leaf.size / leaf.shape[-1])
        elif name in ("scale", "var"):
            values = rng.uniform(0.5, 1.5, leaf.shape)
        else:
            values = rng.normal(size=leaf.shape) / 4
        return values.astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, variables)


def double(tree):
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), tree)
