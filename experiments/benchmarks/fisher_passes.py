"""What the exact Fisher of a network costs that jaxcl does not know, in passes of training.

Prints, for a Flax ResNet of a few numbers of classes, the time of a training pass over the images
(batches of 32, forward and backward, in a compiled loop), that of the diagonal Fisher information
over the same images, and their ratio.  Both take turns::

    python experiments/benchmarks/fisher_passes.py --classes 10 100 --rounds 5

``fisher_passes.txt`` is what it printed on two cores with nothing beside it.
"""

import argparse
import statistics
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from side import measured

from jaxcl.networks.backbones import ResNet, resnet18
from jaxcl.networks.convolutions import with_loop_convolutions
from jaxcl.transforms import TaskData, diagonal_fisher

BATCH = 32
NETS = {"ResNet of 3 blocks": ResNet((8, 16, 32), (1, 1, 1)), "ResNet-18 of width 20": resnet18(20)}


def both(net: ResNet, classes: int, images: int) -> dict[str, Callable[[], Any]]:
    """Returns a training pass over the images, and the Fisher of them."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(images, 32, 32, 3)), jnp.float32)
    labels = jnp.asarray(rng.integers(0, classes, images), jnp.int32)
    made = jax.jit(lambda: net.init(jax.random.key(0), x[:1], train=False))()
    head = jnp.asarray(rng.normal(size=(net.features, classes)) / 20, jnp.float32)
    params, stats = {"net": made["params"], "head": head}, made["batch_stats"]

    @with_loop_convolutions
    def logits(params, x):
        features = net.apply({"params": params["net"], "batch_stats": stats}, x, train=False)
        return features @ params["head"]

    def loss(params, x, labels):
        return optax.softmax_cross_entropy_with_integer_labels(logits(params, x), labels).mean()

    @jax.jit
    def training(params):
        def body(total, i):
            batch = (lax.dynamic_slice_in_dim(a, i * BATCH, BATCH) for a in (x, labels))
            return jax.tree.map(jnp.add, total, jax.grad(loss)(params, *batch)), None

        zeros = jax.tree.map(jnp.zeros_like, params)
        return lax.scan(body, zeros, jnp.arange(images // BATCH))[0]

    task = TaskData({"x": x}, lambda params, batch: logits(params, batch["x"]))
    fisher = jax.jit(lambda params: diagonal_fisher(params, task, jax.random.key(1)))
    return {"pass": lambda: training(params), "fisher": lambda: fisher(params)}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--classes", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--images", type=int, default=128, help="a multiple of 32")
    parser.add_argument("--rounds", type=int, default=5, help="of which the median is printed")
    options = parser.parse_args()
    print(f"{'exact Fisher, ' + str(options.images) + ' images':32}{'pass ms':>9}"
          f"{'Fisher ms':>11}{'ratio':>8}{'range':>14}")  # fmt: skip
    for name, net in NETS.items():
        for classes in options.classes:
            ways = both(net, classes, options.images)
            for run in ways.values():
                jax.block_until_ready(run())
            took: dict[str, list[float]] = {way: [] for way in ways}
            for _ in range(options.rounds):
                for way, run in ways.items():
                    took[way].append(
                        measured(lambda _, run=run: jax.block_until_ready(run()), 1)["wall"]
                    )
            one, all_ = (statistics.median(took[way]) for way in ("pass", "fisher"))
            ratios = [f / p for p, f in zip(took["pass"], took["fisher"], strict=True)]
            print(f"{f'{name}, {classes} classes':32}{1e3 * one:9.1f}{1e3 * all_:11.1f}"
                  f"{statistics.median(ratios):8.1f}"
                  f"{f'{min(ratios):.1f} to {max(ratios):.1f}':>14}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
