"""Several networks at once: each is a generator that asks for its steps to be made.

They differ in their seeds, or in the strength of a loss.  What one does between its
steps stays ordinary code.  Here the steps of all that need the same program at the same
time become one program (``jax.vmap``), which is what an accelerator is for: one small
network leaves it idle.
"""

import time
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.core import processes
from jaxcl.core.sharding import SEED, along, replicated, size
from jaxcl.core.types import Array, Int, PyTree
from jaxcl.training.loop import Totals

RunSteps = Callable[..., tuple[PyTree, Totals]]
"""(program, state, totals, *data, first, last) -> (state, totals), compiled."""


class StepRequest(NamedTuple):
    """Steps ``first`` to ``last - 1`` of an epoch, as a network asks for them.

    Attributes:
      run: what makes the steps.
      program: static.
      state: given away.
      totals: given away.
      data: trees of arrays; those that are the same objects for several are not copied.
      first: position of the first step.
      last: position after the last step.
    """

    run: RunSteps
    program: Any
    state: PyTree
    totals: Totals | None
    data: tuple[PyTree, ...]
    first: np.int32
    last: np.int32


class StepResult(NamedTuple):
    """The answer.

    Attributes:
      state: after the steps.
      totals: after the steps.
      seconds: that they took.
      share: of these seconds, this network's part: they went by for all at once.
    """

    state: PyTree
    totals: Totals
    seconds: float
    share: float


Lane = Generator[Any, StepResult | None, Any]
"""What a network is here: it yields events, and requests for steps."""
Name = TypeVar("Name", bound=Hashable)


def run_vectorized(lanes: Mapping[Name, Lane]) -> Iterator[dict[Name, Any]]:
    """Trains networks that have as many epochs and steps side by side.

    Args:
      lanes: at the same moment of their runs; only their numbers differ.

    Yields:
      What happens in all lanes at once: one event of each, all of the same kind but for
      those of lanes that end early.
    """
    found = {name: _next(lane) for name, lane in lanes.items()}
    while any(each is not None for each in found.values()):
        works = {name: each for name, each in found.items() if isinstance(each, StepRequest)}
        events = {n: x for n, x in found.items() if not (x is None or isinstance(x, StepRequest))}
        if events:
            yield events
        answers = dict.fromkeys(events) if events else _made(works)
        for name, answer in answers.items():
            found[name] = _next(lanes[name], answer)


def _next(lane: Lane, answer: StepResult | None = None) -> Any:
    try:
        return lane.send(answer)
    except StopIteration:
        return None


def _made(works: Mapping[Name, StepRequest]) -> dict[Name, StepResult]:
    """The answers; networks on the same route with the same shapes are one program."""
    groups: dict[Any, list[Name]] = {}
    for name, work in works.items():
        leaves, tree = jax.tree.flatten((work.state, work.totals, work.data))
        shapes = tuple((leaf.shape, leaf.dtype) for leaf in leaves)
        alike = work.run, work.program, tree, shapes, int(work.first), int(work.last)
        groups.setdefault(alike, []).append(name)
    began, made = time.perf_counter(), {}
    for names in groups.values():
        made |= dict(zip(names, _together([works[n] for n in names]), strict=True))
    jax.block_until_ready(made)
    seconds = processes.broadcast(time.perf_counter() - began)  # it decides what is asked next
    return {
        n: StepResult(state, totals, seconds, seconds / len(works))
        for n, (state, totals) in made.items()
    }


def _together(works: Sequence[StepRequest]) -> Sequence[tuple[PyTree, Totals]]:
    """What a group of networks that differ in nothing but numbers has made."""
    run, program, _, _, _, first, last = works[0]
    if len(works) == 1:
        (work,) = works
        return [run(program, work.state, work.totals, *work.data, first, last)]
    trees = [jax.tree.flatten(work.data) for work in works]
    by_leaf = list(zip(*(leaves for leaves, _ in trees), strict=True))
    shared = tuple(all(leaf is leaves[0] for leaf in leaves) for leaves in by_leaf)
    data = [of[0] if same else of for of, same in zip(by_leaf, shared, strict=True)]
    states, totals = tuple(w.state for w in works), tuple(w.totals for w in works)
    given = run, program, trees[0][1], shared, states, totals, data, first, last
    if size(SEED) == 1:
        return run_together(*given)
    return unstack(run_stacked(*given), len(works))


STATIC = ("run", "program", "tree", "shared")


@partial(jax.jit, static_argnames=STATIC)
def run_stacked(
    run: RunSteps,
    program: Any,
    tree: Any,
    shared: tuple[bool, ...],
    states: tuple[PyTree, ...],
    totals: tuple[Totals | None, ...],
    data: Sequence[Any],
    first: Int[Array, ""],
    last: Int[Array, ""],
) -> tuple[PyTree, Totals]:
    """Makes the steps of several networks as one program; arrays have them as first axis.

    Along the mesh's axis ``seed`` networks are dealt out: no device waits for another.

    Args:
      run: as in :class:`StepRequest`.
      program: as in :class:`StepRequest`.
      tree: structure of the data.
      shared: which of its leaves is one array for all of them.
      states: of each network.
      totals: of each network.
      data: leaves; an array for all networks or a tuple with one for each.
      first: position of the first step.
      last: position after the last step.
    """

    def one(state: PyTree, totals: Totals, leaves: Sequence[Array]):
        return run(program, state, totals, *jax.tree.unflatten(tree, leaves), first, last)

    leaves = [x if same else _stack(x) for x, same in zip(data, shared, strict=True)]
    axes = [None if same else 0 for same in shared]
    dealt_out = SEED if size(SEED) > 1 else None
    each = jax.vmap(one, in_axes=(0, 0, axes), spmd_axis_name=dealt_out)
    return along(SEED, each(_stack(states), _stack(totals), leaves))


def _stack(trees: Sequence[PyTree]) -> PyTree:
    # On every device, which then takes its own part; else they would be sent around.
    return along(SEED, replicated(jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)))


@partial(jax.jit, static_argnames="n")
def unstack(made: PyTree, n: int) -> list[PyTree]:
    """Returns the trees of ``n`` networks, each on every device."""
    return replicated([jax.tree.map(lambda x, i=i: x[i], made) for i in range(n)])


@partial(jax.jit, static_argnames=STATIC, donate_argnames=("states", "totals"))
def run_together(run, program, tree, shared, states, totals, data, first, last):
    """Networks on one device, as a list: what they were is given away."""
    made = run_stacked(run, program, tree, shared, states, totals, data, first, last)
    return [jax.tree.map(lambda x, i=i: x[i], made) for i in range(len(states))]
