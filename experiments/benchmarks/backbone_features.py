"""Features of a frozen backbone with depthwise convolutions by shifted images and with XLA's own.

Prints the time that EfficientNet-Lite0 takes for an image, forward alone, both ways of
:mod:`jaxcl.networks.convolutions.depthwise`, which take turns, so that a machine whose speed
drifts slows both alike::

    python experiments/benchmarks/backbone_features.py --size 96 --batch 100 --rounds 5

Weights are random: they take the time that trained ones do.
"""

import argparse
import statistics
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from side import measured

from jaxcl.networks.backbones import EfficientNetLite0
from jaxcl.networks.convolutions.depthwise import by_shifts

WAYS = {"XLA's own": None, "by shifted images": by_shifts}


def ways(size: int, batch: int) -> dict[str, Callable[[int], object]]:
    """Returns, under its name, what computes the features of so many batches."""
    images = jnp.asarray(np.random.default_rng(0).normal(size=(batch, size, size, 3)), jnp.float32)
    variables = jax.jit(EfficientNetLite0().init)(jax.random.key(0), images[:1])

    def made(conv: Callable | None) -> Callable[[int], object]:
        compiled = jax.jit(EfficientNetLite0(conv).apply)
        return lambda passes: jax.block_until_ready(
            [compiled(variables, images) for _ in range(passes)][-1]
        )

    return {name: made(conv) for name, conv in WAYS.items()}


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=96, help="rows and columns of an image")
    parser.add_argument("--batch", type=int, default=100, help="images of a pass")
    parser.add_argument("--rounds", type=int, default=5, help="of which the median is printed")
    args = parser.parse_args()
    runs = ways(args.size, args.batch)
    found = {name: np.asarray(run(1)) for name, run in runs.items()}  # compiles
    np.testing.assert_allclose(*found.values(), rtol=1e-3, atol=1e-5)
    wall: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(args.rounds):
        for name, run in runs.items():
            wall[name].append(measured(run, 1)["wall"] / args.batch * 1e3)
    first = statistics.median(wall["XLA's own"])
    print(f"{f'{args.size}x{args.size}, ms an image':24}{'median':>9}{'/ first':>9}{'minimum':>9}")
    for name, times in wall.items():
        median = statistics.median(times)
        print(f"  {name:22}{median:9.1f}{median / first:9.2f}{min(times):9.1f}")


if __name__ == "__main__":
    main()
