"""Parameters on disk: the one file that knows Orbax."""

import logging
from pathlib import Path

import jax

from jaxcl.types import Params, PyTree


def save_params(path: Path, params: Params) -> None:
    """Writes a tree of arrays to a new folder, whole or not at all."""
    from orbax.checkpoint import v1 as ocp

    logging.getLogger("absl").setLevel(logging.ERROR)  # a line for every save otherwise
    ocp.save(str(path.absolute()), params)


def load_params(path: Path, like: Params | None = None) -> Params:
    """The tree that :func:`save_params` wrote, on the first device.

    Args:
      path: the folder.
      like: arrays or shapes of the expected tree.

    Raises:
      ValueError: what is stored has other names or shapes than ``like``.
    """
    from orbax.checkpoint import v1 as ocp

    stored = str(path.absolute())
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])

    def shapes(tree: PyTree) -> PyTree:
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), tree)

    found = shapes(ocp.metadata(stored).metadata)
    if like is not None and found != shapes(like):
        raise ValueError(f"{path}: the shapes stored there are not those of the expected tree")
    return ocp.load(stored, found)
