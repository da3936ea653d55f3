"""Many devices: one mesh, and where arrays lie on it.

The mesh is JAX's own, in its own context (``jax.set_mesh``).  Three axes: ``seed``, along
which whole networks are dealt out, whose steps need no communication; ``data``, along which
each batch is; and ``model``, along which large parameters are split.  What is not dealt
out is the same on every device.  XLA's partitioner puts in the sums between devices, so
what is computed does not depend on the mesh, but for rounding.

Functions here do nothing where there is no mesh, nor on one of the caller's whose axes are not
all automatic: there the types of arrays say where they lie, and XLA places none.
"""

import math
import re
from contextlib import AbstractContextManager, nullcontext

import jax
from jax.sharding import AxisType, PartitionSpec, get_abstract_mesh

from jaxcl.core.errors import UsageError
from jaxcl.core.types import Array, PyTree

SEED, DATA, MODEL = "seed", "data", "model"
AXES = (SEED, DATA, MODEL)
LARGE = 2**16  # elements from which on a parameter is split along ``model``


def on_mesh(text: str | None, networks: int) -> AbstractContextManager[object]:
    """Enters the context in which a run uses many devices.

    Args:
      text: sizes of the axes, such as ``"seed=4,data=2"``; None for what suits the
        devices that there are.
      networks: that are trained at once.

    Raises:
      UsageError: sizes that cannot be used on these devices.
    """
    sizes = usual_sizes(networks) if text is None else parse(text)
    used, there = math.prod(sizes.values()), jax.device_count()
    if used > there:
        raise UsageError(f"mesh: {text} needs {used} devices, there are {there}; give fewer")
    if used < there and jax.process_count() > 1:
        raise UsageError(
            f"mesh: {text} uses {used} of {there} devices; with several processes, use them all"
        )
    if used == 1:
        return nullcontext()
    shape, kinds = tuple(sizes[axis] for axis in AXES), (AxisType.Auto,) * len(AXES)
    mesh = jax.make_mesh(shape, AXES, kinds, devices=jax.devices()[:used])
    return jax.set_mesh(mesh)


def parse(text: str) -> dict[str, int]:
    """Sizes of the axes; those that are not named have 1.

    >>> parse("seed=4,data=2")
    {'seed': 4, 'data': 2, 'model': 1}

    Raises:
      UsageError: another form, or an axis that there is not.
    """
    found: dict[str, int] = {}
    for part in text.split(","):
        form = re.fullmatch("([a-z]+)=([1-9][0-9]{0,5})", part.strip())
        if form is None or form[1] not in AXES or form[1] in found:
            raise UsageError(f"mesh: {text!r} cannot be read; give sizes, such as seed=4,data=2")
        found[form[1]] = int(form[2])
    return {axis: found.get(axis, 1) for axis in AXES}


def usual_sizes(networks: int) -> dict[str, int]:
    """Returns as many devices along ``seed`` as networks can be dealt out to evenly.

    The others stay idle: a small network on several devices is slower than on one.  With
    several processes they are used along ``data``, since each has to take part.
    """
    there = jax.device_count()
    seeds = math.gcd(there, networks)
    return {SEED: seeds, DATA: there // seeds if jax.process_count() > 1 else 1, MODEL: 1}


def size(axis: str) -> int:
    """Devices along an axis; 1 where there is no mesh."""
    return get_abstract_mesh().shape.get(axis, 1)


def devices() -> int:
    """Devices of the mesh; 1 where there is none."""
    return max(1, get_abstract_mesh().size)


def along(axis: str, tree: PyTree) -> PyTree:
    """Arrays whose leading axis is dealt out along an axis of the mesh."""
    return _placed(tree, PartitionSpec(axis)) if size(axis) > 1 else tree


def along_all(x: Array) -> Array:
    """Returns an array whose leading axis is dealt out to all devices."""
    return _placed(x, PartitionSpec(get_abstract_mesh().axis_names)) if devices() > 1 else x


def replicated(tree: PyTree) -> PyTree:
    """Arrays that are the same on every device."""
    return _placed(tree, PartitionSpec()) if devices() > 1 else tree


def split_large(tree: PyTree) -> PyTree:
    """Splits large arrays along ``model``: on their longest axis that can be split evenly."""
    parts = size(MODEL)

    def place(x: Array) -> Array:
        fits = [(n, i) for i, n in enumerate(x.shape) if n % parts == 0]
        if x.size < LARGE or not fits:
            return x
        _, longest = max(fits, key=lambda each: (each[0], -each[1]))
        return _placed(x, PartitionSpec(*[None] * longest, MODEL))

    return jax.tree.map(place, tree) if parts > 1 else tree


def _placed(tree: PyTree, spec: PartitionSpec) -> PyTree:
    # On explicit axes a constraint only asserts where an array lies already.
    if set(get_abstract_mesh().axis_types) != {AxisType.Auto}:
        return tree
    return jax.tree.map(lambda x: jax.lax.with_sharding_constraint(x, spec), tree)
