r"""A ResNet-18 of width 20 with batch normalisation, in Flax NNX, as the online literature has it.

It is a plug-in: a network of one's own, chosen by name in every command.

    jaxcl scenario --plugin experiments/tutorials/own_resnet.py --net nnx_resnet18 \
        --scenario split-cifar10 --method select --iterations 300 --batch-size 32

References:
  He, Zhang, Ren & Sun, 2016 (arXiv 1512.03385); Lopez-Paz & Ranzato, 2017 (arXiv 1706.08840).
"""

from functools import partial

import jax
from flax import nnx

import jaxcl


class Block(nnx.Module):
    """Two convolutions 3x3, and a way past them."""

    def __init__(self, inputs: int, outputs: int, stride: int, rngs: nnx.Rngs) -> None:
        """Makes the layers; where shapes differ, the way past has a convolution 1x1."""
        conv = partial(nnx.Conv, use_bias=False, rngs=rngs)
        self.conv1 = conv(inputs, outputs, (3, 3), strides=stride)
        self.bn1 = nnx.BatchNorm(outputs, momentum=0.9, rngs=rngs)
        self.conv2 = conv(outputs, outputs, (3, 3))
        self.bn2 = nnx.BatchNorm(outputs, momentum=0.9, rngs=rngs)
        differ = stride > 1 or inputs != outputs
        self.past = conv(inputs, outputs, (1, 1), strides=stride) if differ else None

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps images to images, of half the size where the stride is 2."""
        y = nnx.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return nnx.relu(y + (x if self.past is None else self.past(x)))


class ResNet18(nnx.Module):
    """A convolution, eight blocks, the mean over positions."""

    def __init__(self, width: int, rngs: nnx.Rngs) -> None:
        """Makes the layers."""
        self.conv1 = nnx.Conv(3, width, (3, 3), use_bias=False, rngs=rngs)
        self.bn1 = nnx.BatchNorm(width, momentum=0.9, rngs=rngs)
        shapes = [
            (1, 1, 1),
            (1, 1, 1),
            (1, 2, 2),
            (2, 2, 1),
            (2, 4, 2),
            (4, 4, 1),
            (4, 8, 2),
            (8, 8, 1),
        ]
        self.blocks = nnx.List([Block(a * width, b * width, s, rngs) for a, b, s in shapes])

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps images ``[b, 32, 32, 3]`` to features ``[b, 8 width]``."""
        x = nnx.relu(self.bn1(self.conv1(x)))
        for block in self.blocks:
            x = block(x)
        return x.mean((1, 2))


@jaxcl.register_network
def nnx_resnet18(width: int = 20):
    """ResNet-18 with batch normalisation; the first convolution and the first block can branch."""
    return jaxcl.from_nnx(partial(ResNet18, width), branches=("conv1", "blocks/0"))
