"""Data that does not fit the device: it stays on the host, and comes a window at a time.

A window holds the batches of some steps.  While the device works on one, Grain fetches
the next.  Which rows are in it follows from the seed and the epoch, as it does for data
on the device: the results are the same to rounding, and a run goes on to the bit.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec, get_abstract_mesh, get_mesh
from numpy import ndarray

from jaxcl.core.batching import take
from jaxcl.core.sharding import DATA
from jaxcl.core.types import Array, Batch, Data, Int

WINDOW_BYTES = 2**26
AHEAD = 2  # windows that are fetched before they are needed


def window_steps(data: Data, order: Int[Array, "steps batch"]) -> int:
    """Returns steps whose batches make a window."""
    each = sum(math.prod(x.shape[1:]) * x.dtype.itemsize for x in jax.tree.leaves(data))
    steps, batch = order.shape
    return min(steps, max(1, WINDOW_BYTES // (each * batch)))


Window = Callable[[int], Batch]
"""step -> the window that it is in: arrays ``[steps, batch, ...]`` on the device."""


def windows(data: Data, order: Int[Array, "steps batch"]) -> Window:
    """Returns the windows of an epoch, to be asked for in order, from any step on.

    Args:
      data: on the host; ``index``, the row, is added.
      order: rows of each step's batch.
    """
    rows, held = np.asarray(order), window_steps(data, order)
    host = jax.tree.map(np.asarray, dict(data))
    columns = _own_columns(rows.shape[1])  # here: the mesh is not known to Grain's threads
    fetched: Iterator[Any] = iter(())
    at, window = -1, {}

    def fetch(number: int) -> dict[str, Any]:
        steps = np.arange(number * held, (number + 1) * held)
        own = rows[steps.clip(max=len(rows) - 1), columns]  # the last window is filled up
        return {**take(host, own), "index": own}

    def of(step: int) -> Batch:
        nonlocal fetched, at, window
        number = step // held
        if number != at:
            if number != at + 1 or at < 0:
                fetched = iter(_ahead(fetch, number, -(-len(rows) // held)))
            window = jax.tree.map(lambda x: _on_devices(x, columns, rows.shape[1]), next(fetched))
            at = number
        return window

    return of


def _ahead(fetch: Callable[[int], Any], first: int, last: int) -> Any:
    """Windows from the first on, fetched while others are in use."""
    import grain

    class Numbered:
        """What Grain reads from: any object with a length and items."""

        def __len__(self) -> int:
            return last - first

        def __getitem__(self, index: int) -> dict[str, Any]:
            return fetch(first + int(index))

    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=AHEAD)
    return grain.MapDataset.source(Numbered()).to_iter_dataset(options)


def _own_columns(batch: int) -> slice:
    """The part of each batch that this process's devices work on."""
    if get_abstract_mesh().empty:
        return slice(0, batch)
    parts = _place().addressable_devices_indices_map((1, batch)).values()
    ends = [part[1].indices(batch)[:2] for part in parts if part is not None]
    return slice(min(first for first, _ in ends), max(last for _, last in ends))


def _on_devices(own: ndarray, columns: slice, batch: int) -> Array:
    """An array of all processes, of which each has its columns."""
    if get_abstract_mesh().empty:
        return jax.numpy.asarray(own)
    shape, first = (len(own), batch, *own.shape[2:]), columns.start

    def part(index: tuple[slice, ...] | None) -> ndarray:
        assert index is not None
        begin, end, _ = index[1].indices(batch)
        return own[:, begin - first : end - first]

    return jax.make_array_from_callback(shape, _place(), part)


def _place() -> NamedSharding:
    return NamedSharding(get_mesh(), PartitionSpec(None, DATA))
