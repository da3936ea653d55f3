"""Small networks of each library with batch normalisation and dropout, for images 8x8x1."""

import dataclasses
import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx
from given import configured

from jaxcl.growth.parameters import add_branch, add_head
from jaxcl.networks import from_equinox, from_linen, from_nnx
from jaxcl.networks.adapters import from_functions
from jaxcl.networks.base import TEST, Mode
from jaxcl.scenarios.task import Task

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
        norm = {"use_running_average": not train, "momentum": 0.8}
        x = linen.relu(linen.BatchNorm(**norm, name="norm1")(x))
        x = linen.Conv(self.width, (3, 3), (2, 2), name="conv2")(x)
        x = linen.relu(linen.BatchNorm(**norm, name="norm2")(x))
        x = linen.Dropout(self.rate, deterministic=not train)(x.reshape(len(x), -1))
        return linen.Dense(WIDTH, name="out")(x)


class NNX(nnx.Module):
    def __init__(self, rngs, rate=0.5):
        self.conv1 = nnx.Conv(1, 4, (3, 3), strides=2, rngs=rngs)
        self.norm1 = nnx.BatchNorm(4, momentum=0.8, rngs=rngs)
        self.conv2 = nnx.Conv(4, 4, (3, 3), strides=2, rngs=rngs)
        self.norm2 = nnx.BatchNorm(4, momentum=0.8, rngs=rngs)
        self.drop = nnx.Dropout(rate, rngs=rngs)
        self.out = nnx.Linear(16, WIDTH, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.norm1(self.conv1(x)))
        x = nnx.relu(self.norm2(self.conv2(x)))
        return self.out(self.drop(x.reshape(len(x), -1)))


class Equinox(eqx.Module):
    conv1: eqx.nn.Conv2d
    norm1: eqx.nn.BatchNorm
    norm2: eqx.nn.BatchNorm
    drop: eqx.nn.Dropout
    out: eqx.nn.Linear

    def __init__(self, *, key):
        first, last = jax.random.split(key)
        self.conv1 = eqx.nn.Conv2d(1, 4, 3, 2, 1, key=first)
        norm = {"axis_name": "batch", "momentum": 0.8, "mode": "batch"}
        self.norm1, self.norm2 = (eqx.nn.BatchNorm(4, **norm) for _ in range(2))
        self.drop = eqx.nn.Dropout(0.5)
        self.out = eqx.nn.Linear(64, WIDTH, key=last)

    def __call__(self, x, state, *, key):
        x, state = self.norm1(self.conv1(x.transpose(2, 0, 1)), state)
        x, state = self.norm2(jax.nn.relu(x), state)
        return self.out(self.drop(x.ravel(), key=key)), state


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


def tasks(n=60, classes=3, names=("bars", "sides")):
    """Tasks of images 8x8x1 that can be learned: a bright bar whose place is the class."""
    made = []
    for place, name in enumerate(names):
        rng = np.random.default_rng(place)

        def split(n, rng=rng, place=place):
            labels = np.arange(n, dtype=np.int32) % classes
            images = rng.integers(0, 60, (n, 8, 8, 1), dtype=np.uint8)
            for image, label in zip(images, labels, strict=True):
                own = slice(2 * label, 2 * label + 2)
                image[(slice(None), own) if place == 0 else own] += 150
            return images, labels

        made.append(Task(name, *split(n), *split(n // 2), classes))
    return made


@functools.cache
def once(library, branches=()):
    """A network whose programs are compiled once for all tests that share a setup."""
    network = NETWORKS[library](branches)
    return dataclasses.replace(network, grow=functools.cache(network.grow))


def settings(method, network="linen", branches=(), **given):
    """A configuration with a network of another library."""
    usual = {"epochs": 1, "batch_size": 20, "lr": 1e-2, "l2": 0.0, "probe": 40, "resize": "keep"}
    usual |= {"generator_steps": 3, "generator_batch": 8, "generated": 40, "setting": "task"}
    config = configured(method=method, net="mlp", **usual | given)
    return dataclasses.replace(config, network=once(network, branches))


def grown(network, inputs=INPUTS, seed=0):
    """The network with a branch of each layer and a head, and the route through them."""
    net = network.make(inputs)
    variables = net.init(jax.random.key(seed))
    for i, layer in enumerate(net.layers):
        key = jax.random.key(seed + 10 + i)
        variables = add_branch(net, variables, layer, "t00", key=key)
    variables = add_head(net, variables, "t00", 3, jax.random.key(seed + 1))
    return net, variables, ("t00",) * len(net.layers)


def passed(net, variables, route, x=X, train=False, key=None):
    found, stats = net.features(variables, x, [route], Mode([route], key) if train else TEST)
    return found[route], stats
