"""Generators and critics, fully connected and convolutional."""

import math
from collections.abc import Callable, Iterable
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxcl.core.random import stream
from jaxcl.core.types import Array, Params, PRNGKey
from jaxcl.networks.convolutions.conv import Formulation, conv2d, default_formulation
from jaxcl.networks.layers import dense, weights

SLOPE = 0.2  # of the leaky ReLU below zero


class Gan(NamedTuple):
    """A generator and its critic as pure functions over nested dictionaries.

    Attributes:
      latent: values of a code z.
      init_generator: ``(key) -> params``.
      init_critic: ``(key) -> params``.
      generate: ``(params, z [n, latent]) -> [n, height, width, channels]``, in [0, 1].
      criticise: ``(params, images) -> [n]`` scores, without bounds.  No layer looks at
        more than one example, as the gradient penalty asks.
    """

    latent: int
    init_generator: Callable[[PRNGKey], Params]
    init_critic: Callable[[PRNGKey], Params]
    generate: Callable[[Params, Array], Array]
    criticise: Callable[[Params, Array], Array]


def codes(key: PRNGKey, n: int, latent: int) -> Array:
    """Returns ``n`` codes from a standard normal distribution, float32 ``[n, latent]``."""
    return jax.random.normal(key, (n, latent), jnp.float32)


def _leaky(x: Array) -> Array:
    return jax.nn.leaky_relu(x, SLOPE)


def _stack(key: PRNGKey, sizes: tuple[int, ...]) -> Params:
    return {
        f"fc{i + 1}": weights(stream(key, f"fc{i + 1}"), pair)
        for i, pair in enumerate(pairwise(sizes))
    }


def mlp_gan(
    shape: tuple[int, ...], *, latent: int = 100, hidden: tuple[int, ...] = (400, 400)
) -> Gan:
    """Makes dense layers: ReLU in the generator, leaky ReLU (0.2) in the critic.

    Args:
      shape: of an image, ``(height, width, channels)``.
      latent: values of a code.
      hidden: units of each hidden layer, the same in both networks.
    """
    values = math.prod(shape)
    *names, last = [f"fc{i + 1}" for i in range(len(hidden) + 1)]

    def through(params: Params, x: Array, activation: Callable[[Array], Array]) -> Array:
        for name in names:
            x = activation(dense(x, params[name]))
        return dense(x, params[last])

    def generate(params: Params, z: Array) -> Array:
        return jax.nn.sigmoid(through(params, z, jax.nn.relu)).reshape(len(z), *shape)

    def criticise(params: Params, images: Array) -> Array:
        return through(params, images.reshape(len(images), values), _leaky)[:, 0]

    return Gan(
        latent,
        lambda key: _stack(key, (latent, *hidden, values)),
        lambda key: _stack(key, (values, *hidden, 1)),
        generate,
        criticise,
    )


def _halved(x: Array) -> Array:
    """Two by two pixels as the channels of one: ``[n, h, w, c] -> [n, h/2, w/2, 4c]``."""
    corners = [x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
    return jnp.concatenate(corners, -1)


def _doubled(x: Array) -> Array:
    """The way back: ``[n, h, w, 4c] -> [n, 2h, 2w, c]``."""
    n, height, width, channels = x.shape
    x = x.reshape(n, height, width, 2, 2, channels // 4)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(n, 2 * height, 2 * width, channels // 4)


def conv_gan(
    shape: tuple[int, ...],
    *,
    latent: int = 100,
    filters: tuple[int, ...] = (32, 64),
    formulation: Formulation | None = None,
) -> Gan:
    """Convolutions: each layer of the critic halves the image, the generator doubles it.

    The layout of DCGAN (Radford et al. 2016) without normalisation.  Halving takes
    2x2 pixels as channels before a 3x3 convolution, doubling takes channels as 2x2
    pixels after one (Shi et al. 2016), which leaves no checkerboard.

    Args:
      shape: of an image, ``(height, width, channels)``.
      latent: values of a code.
      filters: output channels of each of the critic's convolutions; the generator has
        the same the other way round.
      formulation: of the convolutions; by default what suits the platform.

    Raises:
      ValueError: no filters, or a height or width that cannot be halved so often.
    """
    if not filters:
        raise ValueError("filters: none; give at least one layer")
    height, width, channels = shape
    times = 2 ** len(filters)
    if height % times or width % times:
        raise ValueError(f"shape: {height}x{width} cannot be halved {len(filters)} times")
    base = (height // times, width // times, filters[-1])
    made = _ConvGan(latent, base, (channels, *filters), formulation)
    functions = (_init_generator, _init_critic, _generate, _criticise)
    return Gan(latent, *(partial(function, made) for function in functions))


class _ConvGan(NamedTuple):
    """Networks of :func:`conv_gan`.

    Attributes:
      latent: values of a code.
      base: shape of what lies between the dense layer and the convolutions.
      widths: channels of an image, then output channels of the critic's convolutions.
      formulation: of the convolutions; None: what suits the platform.
    """

    latent: int
    base: tuple[int, int, int]
    widths: tuple[int, ...]
    formulation: Formulation | None

    def names(self) -> list[str]:
        """Returns the names of the convolutions."""
        return [f"conv{i}" for i in range(1, len(self.widths))]

    def conv(self, x: Array, layer: Params) -> Array:
        """Convolves images with a margin of zeros."""
        x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        return conv2d(x, layer["w"], self.formulation or default_formulation()) + layer["b"]

    def layers(self, key: PRNGKey, depths: Iterable[tuple[int, int]]) -> Params:
        """Makes weights of the convolutions."""
        named = zip(self.names(), depths, strict=True)
        return {name: weights(stream(key, name), (3, 3, *depth)) for name, depth in named}


def _init_generator(made: _ConvGan, key: PRNGKey) -> Params:
    pairs = tuple(pairwise(made.widths))
    depths = [(outputs, 4 * inputs) for inputs, outputs in reversed(pairs)]
    first = weights(stream(key, "fc1"), (made.latent, math.prod(made.base)))
    return {"fc1": first, **made.layers(key, depths)}


def _init_critic(made: _ConvGan, key: PRNGKey) -> Params:
    depths = [(4 * inputs, outputs) for inputs, outputs in pairwise(made.widths)]
    last = weights(stream(key, "fc1"), (math.prod(made.base), 1))
    return {"fc1": last, **made.layers(key, depths)}


def _generate(made: _ConvGan, params: Params, z: Array) -> Array:
    x = dense(z, params["fc1"]).reshape(len(z), *made.base)
    for name in made.names():
        x = _doubled(made.conv(jax.nn.relu(x), params[name]))
    return jax.nn.sigmoid(x)


def _criticise(made: _ConvGan, params: Params, images: Array) -> Array:
    x = images
    for name in made.names():
        x = _leaky(made.conv(_halved(x), params[name]))
    return dense(x.reshape(len(x), -1), params["fc1"])[:, 0]
