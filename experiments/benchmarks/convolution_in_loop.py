"""Training steps of a ResNet-18 with a compiled loop's convolutions and with XLA's own.

Prints the time of a step (forward, backward, SGD) four ways: called from Python or inside
``lax.fori_loop``, with XLA's convolutions or with ``with_loop_convolutions`` of
:mod:`jaxcl.networks.convolutions.loop_convolution`.  The ways take turns, so that a machine
whose speed drifts slows all alike::

    python experiments/benchmarks/convolution_in_loop.py --batch 10 32 --rounds 7

The network is the CIFAR form: a 3x3 convolution, then four stages of two basic blocks with
20, 40, 80 and 160 channels, batch normalisation throughout.
"""

import argparse
import statistics
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from side import measured

from jaxcl.networks.convolutions.loop_convolution import with_loop_convolutions

BATCHES = 4  # that the steps take in turn
STEPS = 10  # of a round; of XLA's own convolutions in the loop, which take seconds, one
RATE = 0.01


class Block(nn.Module):
    """A basic block: two 3x3 convolutions and a shortcut.

    Attributes:
      features: channels of its output.
      stride: of the first convolution.
    """

    features: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps activations [n, h, w, c] to [n, h / stride, w / stride, features]."""
        strides = (self.stride, self.stride)
        y = nn.Conv(self.features, (3, 3), strides, use_bias=False)(x)
        y = nn.relu(nn.BatchNorm(use_running_average=False)(y))
        y = nn.Conv(self.features, (3, 3), use_bias=False)(y)
        y = nn.BatchNorm(use_running_average=False)(y)
        if x.shape != y.shape:
            x = nn.Conv(self.features, (1, 1), strides, use_bias=False)(x)
            x = nn.BatchNorm(use_running_average=False)(x)
        return nn.relu(x + y)


class ResNet18(nn.Module):
    """The CIFAR form of ResNet-18.

    Attributes:
      width: channels of the first stage.
    """

    width: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps images [n, 32, 32, 3] to logits [n, 10]."""
        x = nn.Conv(self.width, (3, 3), use_bias=False)(x)
        x = nn.relu(nn.BatchNorm(use_running_average=False)(x))
        for stage in range(4):
            for stride in (1 if stage == 0 else 2, 1):
                x = Block(self.width * 2**stage, stride)(x)
        return nn.Dense(10)(x.mean((1, 2)))


def training(width: int, batch: int, replaced: bool) -> tuple[Callable, dict]:
    """Returns a step, ``(variables, position) -> variables``, and the first variables.

    Args:
      width: channels of the first stage.
      batch: images of a step.
      replaced: takes the convolutions for a loop in place of XLA's own.
    """
    net = ResNet18(width)
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.normal(size=(BATCHES, batch, 32, 32, 3)), jnp.float32)
    labels = jnp.asarray(rng.integers(0, 10, (BATCHES, batch)), jnp.int32)

    def apply(variables, x):
        return net.apply(variables, x, mutable=["batch_stats"])

    forward = with_loop_convolutions(apply) if replaced else apply

    def loss(params, stats, x, y):
        logits, changed = forward({"params": params, "batch_stats": stats}, x)
        picked = jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1)
        return -picked.mean(), changed["batch_stats"]

    def step(variables, i):
        x, y = images[i % BATCHES], labels[i % BATCHES]
        params, stats = variables["params"], variables["batch_stats"]
        slopes, stats = jax.grad(loss, has_aux=True)(params, stats, x, y)
        params = jax.tree.map(lambda p, g: p - RATE * g, params, slopes)
        return {"params": params, "batch_stats": stats}

    return step, jax.jit(net.init)(jax.random.key(0), images[0])


def ways(width: int, batch: int) -> dict[str, tuple[Callable[[int], object], int]]:
    """Returns, under its name, what makes so many steps, and how many to time at once."""

    def called(step, variables) -> Callable[[int], object]:
        compiled = jax.jit(step)

        def run(steps: int) -> dict:
            state = variables
            for i in range(steps):
                state = compiled(state, i)
            return jax.block_until_ready(state)

        return run

    def looped(step, variables) -> Callable[[int], object]:
        @jax.jit
        def loop(steps, state):
            return lax.fori_loop(0, steps, lambda i, state: step(state, i), state)

        return lambda steps: jax.block_until_ready(loop(steps, variables))

    native, own = training(width, batch, False), training(width, batch, True)
    return {
        "(a) XLA's own, called": (called(*native), STEPS),
        "(b) XLA's own, in the loop": (looped(*native), 1),
        "(c) replaced, in the loop": (looped(*own), STEPS),
        "(d) replaced, called": (called(*own), STEPS),
    }


def compared(
    width: int, batch: int, rounds: int, without: str
) -> dict[str, tuple[float, float, float]]:
    """Returns milliseconds of a step: median and minimum by the clock, minimum of CPU time."""
    runs = {name: way for name, way in ways(width, batch).items() if name[1] not in without}
    ends = {name: run(1) for name, (run, _) in runs.items()}  # compiles
    first = next(iter(ends.values()))
    for end in ends.values():
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-4), end, first)
    wall: dict[str, list[float]] = {name: [] for name in runs}
    cpu: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, (run, steps) in runs.items():
            spent = measured(run, steps)
            wall[name].append(spent["wall"] / steps * 1e3)
            cpu[name].append(spent["cpu"] / steps * 1e3)
    return {name: (statistics.median(wall[name]), min(wall[name]), min(cpu[name])) for name in runs}


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=20, help="channels of the first stage")
    parser.add_argument("--batch", type=int, nargs="+", default=[10, 32], help="images of a step")
    parser.add_argument("--rounds", type=int, default=7, help="of which the median is printed")
    parser.add_argument("--without", default="", help="ways to leave out, such as b")
    args = parser.parse_args()
    print(f"{'ResNet-18, ms a step':30}{'median':>9}{'/ first':>9}{'minimum':>9}{'CPU':>9}")
    for batch in args.batch:
        found = compared(args.width, batch, args.rounds, args.without)
        first = next(iter(found.values()))[0]
        print(f"width {args.width}, batch {batch}")
        for name, (median, least, cpu) in found.items():
            print(
                f"  {name:28}{median:9.1f}{median / first:9.2f}{least:9.1f}{cpu:9.1f}", flush=True
            )


if __name__ == "__main__":
    main()
