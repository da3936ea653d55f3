"""Iterations a second of a WGAN-GP: five steps of the critic and one of the generator.

    python experiments/benchmarks/generator.py

Images are random; what they show does not matter to the speed.
"""

import platform
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxcl.generator import GanProgram, Mixture, no_totals, run_iterations, start
from jaxcl.nets.gan import Gan, conv_gan, mlp_gan
from jaxcl.transforms.wgan_gp import gradient_penalty

SHAPE, BATCH, CRITIC_STEPS, TURNS = (28, 28, 1), 64, 5, 7


def milliseconds(gan: Gan, iterations: int) -> list[float]:
    """Wall time of an iteration, one value for each turn after the first."""
    optimizer = optax.adam(1e-4, b1=0.5, b2=0.9)
    program = GanProgram(gan, gradient_penalty(10.0), optimizer, CRITIC_STEPS, BATCH, 0.999)
    images = jax.random.randint(jax.random.key(0), (5000, *SHAPE), 0, 256).astype(jnp.uint8)
    mixture = Mixture(images, images, jnp.float32(0.5))
    state = start(program, jax.random.key(1))
    totals = no_totals(program, state, mixture)
    found = []
    for _ in range(TURNS + 1):
        began = time.perf_counter()
        bounds = np.int32(0), np.int32(iterations)
        state, totals = run_iterations(program, state, totals, mixture, *bounds)
        jax.block_until_ready(state)
        found.append(1000 * (time.perf_counter() - began) / iterations)
    return found[1:]  # the first one compiles


def main() -> None:
    """Prints the times."""
    print(f"JAX {jax.__version__}, {jax.devices()[0].device_kind}, {platform.machine()}")
    print(f"images {SHAPE}, batches of {BATCH}, {CRITIC_STEPS} critic steps an iteration")
    for name, gan, iterations in (("mlp", mlp_gan(SHAPE), 20), ("conv", conv_gan(SHAPE), 2)):
        found = milliseconds(gan, iterations)
        spread = f"{min(found):.0f} to {max(found):.0f}"
        print(f"{name}: {statistics.median(found):.0f} ms an iteration ({spread})")


if __name__ == "__main__":
    main()
