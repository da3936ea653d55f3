"""Parameters on disk: the one file that knows Orbax."""

import logging
from pathlib import Path

import jax

from jaxcl.types import Params


def save_params(path: Path, params: Params) -> None:
    """Writes a tree of arrays to a new folder, whole or not at all."""
    from orbax.checkpoint import v1 as ocp

    logging.getLogger("absl").setLevel(logging.ERROR)  # a line for every save otherwise
    ocp.save(str(path.absolute()), params)


def load_params(path: Path, like: Params | None = None) -> Params:
    """The tree that :func:`save_params` wrote.

    Args:
      path: the folder.
      like: arrays or shapes of the expected tree; with it, other shapes are an
        error and the types of containers are those of ``like``.
    """
    from orbax.checkpoint import v1 as ocp

    abstract = None if like is None else jax.eval_shape(lambda: like)
    return ocp.load(str(path.absolute()), abstract)
