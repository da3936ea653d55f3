"""Small networks of each library with batch normalisation and dropout, for images 8x8x1."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx

from jaxcl.networks import from_equinox, from_linen, from_nnx
from jaxcl.networks.adapters import from_functions

INPUTS = jax.ShapeDtypeStruct((8, 8, 1), jnp.float32)
X = jnp.asarray(np.random.default_rng(0).normal(size=(6, 8, 8, 1)), jnp.float32)
WIDTH = 5
BRANCHES = ("conv1", "norm1")


class Linen(linen.Module):
    rate: float = 0.5
    width: int = 4

    @linen.compact
    def __call__(self, x, train: bool):
        x = linen.Conv(self.width, (3, 3), (2, 2), name="conv1")(x)
        x = linen.relu(linen.BatchNorm(use_running_average=not train, name="norm1")(x))
        x = linen.Conv(self.width, (3, 3), (2, 2), name="conv2")(x)
        x = linen.relu(linen.BatchNorm(use_running_average=not train, name="norm2")(x))
        x = linen.Dropout(self.rate, deterministic=not train)(x.reshape(len(x), -1))
        return linen.Dense(WIDTH, name="out")(x)


class NNX(nnx.Module):
    def __init__(self, rngs, rate=0.5):
        self.conv1 = nnx.Conv(1, 4, (3, 3), strides=2, rngs=rngs)
        self.norm1 = nnx.BatchNorm(4, rngs=rngs)
        self.conv2 = nnx.Conv(4, 4, (3, 3), strides=2, rngs=rngs)
        self.norm2 = nnx.BatchNorm(4, rngs=rngs)
        self.drop = nnx.Dropout(rate, rngs=rngs)
        self.out = nnx.Linear(16, WIDTH, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.norm1(self.conv1(x)))
        x = nnx.relu(self.norm2(self.conv2(x)))
        return self.out(self.drop(x.reshape(len(x), -1)))


class Equinox(eqx.Module):
    conv1: eqx.nn.Conv2d
    norm1: eqx.nn.BatchNorm
    drop: eqx.nn.Dropout
    out: eqx.nn.Linear

    def __init__(self, *, key):
        first, last = jax.random.split(key)
        self.conv1 = eqx.nn.Conv2d(1, 4, 3, 2, 1, key=first)
        self.norm1 = eqx.nn.BatchNorm(4, "batch", mode="batch")
        self.drop = eqx.nn.Dropout(0.5)
        self.out = eqx.nn.Linear(64, WIDTH, key=last)

    def __call__(self, x, state, *, key):
        x, state = self.norm1(self.conv1(x.transpose(2, 0, 1)), state)
        return self.out(self.drop(jax.nn.relu(x).ravel(), key=key)), state


def init(key, inputs):
    first, last = jax.random.split(key)
    size = inputs.shape[1] * inputs.shape[2]
    params: Any = {
        "conv1": {"w": 0.3 * jax.random.normal(first, (size, 4)), "b": jnp.zeros(4)},
        "out": [jax.random.normal(last, (4, WIDTH))],
    }
    return params, {"conv1": {"mean": jnp.zeros(4)}, "count": jnp.int32(0)}


def apply(params, stats, inputs, train, key):
    x = inputs.reshape(len(inputs), -1) @ params["conv1"]["w"] + params["conv1"]["b"]
    mean = x.mean(0) if train else stats["conv1"]["mean"]
    x = jax.nn.relu(x - mean)
    if key is not None:
        x = jnp.where(jax.random.bernoulli(key, 0.5, x.shape), 2 * x, 0.0)
    if train:
        mean = 0.9 * stats["conv1"]["mean"] + 0.1 * mean
        stats = {"conv1": {"mean": mean}, "count": stats["count"] + 1}
    return x @ params["out"][0], stats


def activations(params, stats, inputs):
    x = inputs.reshape(len(inputs), -1) @ params["conv1"]["w"] + params["conv1"]["b"]
    return {"conv1": x}


NETWORKS = {
    "linen": lambda branches=BRANCHES: from_linen(Linen(), branches=branches),
    "nnx": lambda branches=BRANCHES: from_nnx(NNX, branches=branches),
    "equinox": lambda branches=BRANCHES: from_equinox(Equinox, branches=branches),
    "functions": lambda branches=("conv1",): from_functions(
        init, apply, branches=branches, activations=activations
    ),
}
"""By library: ``(branches) -> network``."""
