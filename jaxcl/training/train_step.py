"""The steps of an epoch, in one loop on the device."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxcl.core.batching import examples, filled, on_host
from jaxcl.core.sharding import DATA, along
from jaxcl.core.types import Array, Batch, Data, Int, PRNGKey
from jaxcl.growth.plasticity import looked_at
from jaxcl.growth.routing import sums_of_activations
from jaxcl.training.evaluation import judged
from jaxcl.training.loop import OneStep, Totals, run_loop, zero_totals
from jaxcl.training.program import Program, TrainState
from jaxcl.training.step import make_step
from jaxcl.training.vectorized import run_stacked, run_together
from jaxcl.transforms.penalties.per_example import compiled_mean


def epoch_order(key: PRNGKey, n: int, batch_size: int) -> Int[Array, "steps batch"]:
    """Returns a shuffle of ``n`` rows in batches; the remainder sits out."""
    steps = n // batch_size
    rows = jax.random.permutation(key, n)[: steps * batch_size]
    return rows.reshape(steps, batch_size).astype(jnp.int32)


class Trained(NamedTuple):
    """What the network trains on in a task.

    Attributes:
      data: the examples.
      held: the same as steps take rows of it, see :func:`of_common_length`.
    """

    data: Data
    held: Data


def of_common_length(data: Data, longest: int) -> Trained:
    """Returns a task with arrays as long as those of the longest task, for one compiled program.

    What is filled up is never trained on. A task of less than half as many examples stays as it is,
    and so do one that is longer, being put together from several, and one on the host. It is to be
    called once for all networks that train on the same data: steps that are made together share
    arrays that are the same objects.

    Args:
      data: of the task.
      longest: examples of the longest task.
    """
    if on_host(data) or not longest / 2 <= examples(data) < longest:
        return Trained(data, data)
    return Trained(data, filled(data, longest))


def _rows(data: Batch, rows: Int[Array, "batch"]) -> Batch:
    rows = along(DATA, rows)
    return {**jax.tree.map(lambda x: x[rows], dict(data)), "index": rows}


def _one_step(program: Program, data: Batch, order: Array | None) -> OneStep[TrainState]:
    step = make_step(program)
    if order is not None:
        return lambda state, i: step(state, _rows(data, order[i]))
    held = examples(data)  # steps of a window
    return lambda state, i: step(state, jax.tree.map(lambda x: x[i % held], data))


@partial(jax.jit, static_argnames="program")  # so that it is traced once, not in each epoch
def no_totals(program: Program, state: TrainState, data: Batch, order: Array | None) -> Totals:
    """Returns the totals of an epoch before its first step."""
    return zero_totals(_one_step(program, data, order), state)


@partial(jax.jit, static_argnames="program", donate_argnames=("state", "totals"))
def run_steps(
    program: Program,
    state: TrainState,
    totals: Totals,
    data: Batch,
    order: Int[Array, "steps batch"] | None,
    first: Int[Array, ""],
    last: Int[Array, ""],
) -> tuple[TrainState, Totals]:
    """Makes the steps ``first`` to ``last - 1`` of an epoch, in one loop on the device.

    Args:
      program: what is compiled.
      state: donated.
      totals: donated; of the epoch's earlier steps.
      data: the whole task on the device, images as bytes; or a window of it.
      order: rows of each step's batch; None for a window, whose arrays are
        ``[steps, batch, ...]`` and begin at a multiple of so many steps.
      first: position of the first step.
      last: position after the last step.
    """
    return run_loop(_one_step(program, data, order), state, totals, first, last)


def forget_programs() -> None:
    """Gives up the compiled programs of a smaller network; they hold memory.

    A process may also map no more than so many pieces of it (65,530 on Linux), and
    every program takes a few hundred.  What is needed again comes from JAX's
    persistent cache.
    """
    of_training = no_totals, run_steps, run_stacked, run_together, judged
    for compiled in (*of_training, looked_at, sums_of_activations):
        compiled.clear_cache()  # pyright: ignore[reportAttributeAccessIssue]
    compiled_mean.cache_clear()
