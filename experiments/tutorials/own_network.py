"""Learn with a network of your own: here a small one of Flax NNX with batch normalisation.

    python experiments/tutorials/own_network.py

As a plug-in it is chosen by name, in any command:

    jaxcl scenario --plugin experiments/tutorials/own_network.py --net small_net --method select
"""

from flax import nnx

import jaxcl


class SmallNet(nnx.Module):
    """Two convolutions with batch normalisation; returns features, no logits."""

    def __init__(self, width: int, rngs: nnx.Rngs) -> None:
        """Makes the layers."""
        self.conv1 = nnx.Conv(3, width, (3, 3), strides=2, rngs=rngs)
        self.bn1 = nnx.BatchNorm(width, momentum=0.9, rngs=rngs)
        self.conv2 = nnx.Conv(width, 2 * width, (3, 3), strides=2, rngs=rngs)
        self.bn2 = nnx.BatchNorm(2 * width, momentum=0.9, rngs=rngs)

    def __call__(self, x):
        """Maps images ``[b, 32, 32, 3]`` to features ``[b, 2 width]``."""
        x = nnx.relu(self.bn1(self.conv1(x)))
        x = nnx.relu(self.bn2(self.conv2(x)))
        return x.mean((1, 2))


@jaxcl.register_network
def small_net(width: int = 16):
    """A small network with batch normalisation."""
    make = lambda rngs: SmallNet(width, rngs)  # noqa: E731
    return jaxcl.from_nnx(make, branches=("conv1", "conv2"))


if __name__ == "__main__":
    result = jaxcl.fit("builtin", method="select", network=small_net(), epochs=3, resize="bilinear")
    print(result.routes[0])
