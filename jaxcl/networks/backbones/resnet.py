"""Residual networks for small images (He et al. 2016, "Deep residual learning")."""

import flax.linen as nn

from jaxcl.core.errors import UsageError
from jaxcl.core.types import Array, Float
from jaxcl.networks.backbones.blocks import (
    Activations,
    BasicBlock,
    Convolve,
    Initial,
    Shortcut,
    batch_norm,
    convolution,
)


class ResNet(nn.Module):
    """Makes features of images by a 3x3 convolution, stages of basic blocks and their mean.

    The first stage keeps the size of the image, and each further one halves it, in its first
    block.  There is no pooling before the mean over all pixels at the end.

    The parameters are ``conv1/kernel``, ``bn1/{scale, bias}`` and in
    ``stage<i>_block<j>/``, counted from 1, ``conv1``, ``bn1``, ``conv2``, ``bn2`` and, where
    the shape changes and the shortcut is a projection, ``shortcut_conv`` and ``shortcut_bn``.
    The statistics ``{mean, var}`` of each ``bn`` are at the same place in ``batch_stats``.

    Attributes:
      widths: channels of each stage; the first convolution has those of the first stage.
      blocks: basic blocks of each stage.
      shortcut: see :data:`jaxcl.networks.backbones.blocks.Shortcut`.
      conv: computes all convolutions, called as :func:`jax.lax.conv_general_dilated` is,
        which is used if it is None.
      initial: see :data:`jaxcl.networks.backbones.blocks.Initial`.

    Raises:
      UsageError: if the widths and blocks do not make a network.
    """

    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    shortcut: Shortcut = "projection"
    conv: Convolve | None = None
    initial: Initial = "he"

    def __post_init__(self) -> None:
        """Checks the fields, then lets Flax set up the module."""
        _check(self.widths, self.blocks, self.shortcut)
        super().__post_init__()

    @property
    def features(self) -> int:
        """Values of an image's features."""
        return self.widths[-1]

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers and blocks, in the order in which an image passes them."""
        return (
            "conv1",
            "bn1",
            *(f"stage{i + 1}_block{j + 1}" for i, n in enumerate(self.blocks) for j in range(n)),
        )

    @nn.compact
    def __call__(self, x: Activations, train: bool) -> Float[Array, "n features"]:
        """Returns features ``[n, widths[-1]]``, float32.

        Args:
          x: images, float32, of any height, width and channels.
          train: whether batches are normalised by their own statistics, which also
            updates ``batch_stats`` if that collection is mutable.
        """
        x = convolution(self.widths[0], 3, name="conv1", conv=self.conv, initial=self.initial)(x)
        x = nn.relu(batch_norm(train, name="bn1")(x))
        for i, (width, blocks) in enumerate(zip(self.widths, self.blocks, strict=True)):
            for j in range(blocks):
                stride = 2 if i > 0 and j == 0 else 1
                name = f"stage{i + 1}_block{j + 1}"
                block = BasicBlock(width, stride, self.shortcut, self.conv, self.initial, name=name)
                x = block(x, train)
        return x.mean(axis=(1, 2))


def _check(widths: tuple[int, ...], blocks: tuple[int, ...], shortcut: str) -> None:
    if not widths or len(widths) != len(blocks):
        raise UsageError(
            f"blocks: {tuple(blocks)} are not as many as the widths {tuple(widths)};"
            " give one number of each for every stage"
        )
    for field, numbers in (("widths", widths), ("blocks", blocks)):
        if min(numbers) < 1:
            raise UsageError(f"{field}: {min(numbers)} in {tuple(numbers)}; give 1 or more")
    if shortcut not in ("projection", "zeros"):
        raise UsageError(f"shortcut: {shortcut!r} is unknown; give 'projection' or 'zeros'")
    if shortcut == "zeros" and list(widths) != sorted(widths):
        raise UsageError(
            f"widths: {tuple(widths)} get smaller, which zeros cannot fill up;"
            " give shortcut='projection'"
        )


def resnet18(width: int = 64, *, conv: Convolve | None = None, initial: Initial = "he") -> ResNet:
    """Makes the ResNet-18 for images of 32x32 pixels: 4 stages of 2 basic blocks.

    ``width=20`` is the reduced one of online continual learning (Lopez-Paz & Ranzato 2017,
    "Gradient episodic memory").

    Args:
      width: channels of the first stage; the others have 2, 4 and 8 times as many,
        and the features as many values as the last.
      conv: see :class:`ResNet`.
      initial: see :class:`ResNet`.

    Raises:
      UsageError: if the width is less than 1.
    """
    return ResNet(_widths(width, 4), (2, 2, 2, 2), conv=conv, initial=initial)


def resnet32(width: int = 16, *, conv: Convolve | None = None, initial: Initial = "he") -> ResNet:
    """Makes the ResNet-32 for CIFAR: 3 stages of 5 basic blocks (He et al. 2016, section 4.2).

    Its shortcuts have no parameters.

    Args:
      width: channels of the first stage; the others have 2 and 4 times as many, and the
        features as many values as the last.
      conv: see :class:`ResNet`.
      initial: see :class:`ResNet`.

    Raises:
      UsageError: if the width is less than 1.
    """
    return ResNet(_widths(width, 3), (5, 5, 5), "zeros", conv, initial)


def _widths(width: int, stages: int) -> tuple[int, ...]:
    if width < 1:
        raise UsageError(f"width: {width}; give 1 channel or more")
    return tuple(width * 2**i for i in range(stages))
