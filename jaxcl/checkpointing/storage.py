"""Trees of arrays in folders: the one file that knows Orbax."""

import errno
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxcl.core import processes
from jaxcl.core.types import Params, PyTree


def save_params(path: Path, params: Params) -> None:
    """Writes a tree of arrays to a folder, whole or not at all, in place of an old one.

    Raises:
      OSError: the disk is too full for it, or another reason why it cannot be written.
    """
    from orbax.checkpoint import v1 as ocp

    path.parent.mkdir(parents=True, exist_ok=True)
    need, free = sum(x.nbytes for x in jax.tree.leaves(params)), shutil.disk_usage(path.parent).free
    if need > free:  # found out in the middle, Orbax would say it in many lines
        raise OSError(errno.ENOSPC, f"{need:,} bytes needed, {free:,} free")
    with _quietly():
        if processes.is_multiprocess():
            _save_alone(path, params)
        else:
            ocp.save(str(path.absolute()), params, overwrite=True)


@contextmanager
def _quietly() -> Iterator[None]:
    """Keeps back what the storage library says while it works: its errors reach us as exceptions.

    By filters, each of which is taken away by whoever put it there, so that the loggers are as the
    program has them when the last of several threads is done.
    """

    def is_critical(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.CRITICAL

    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
    for logger in loggers:
        logger.addFilter(is_critical)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(is_critical)


def _this_process() -> dict[str, Any]:
    return {"primary_host": processes.number(), "active_processes": {processes.number()}}


def _save_alone(path: Path, params: Params) -> None:
    """The same from one of several processes, which has all there is.

    Orbax's present interface asks all of them whether they mean the same folder.
    """
    import orbax.checkpoint as ocp

    alone = ocp.options.MultiprocessingOptions(**_this_process())
    handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=alone)
    with ocp.Checkpointer(handler, multiprocessing_options=alone) as checkpointer:
        arrays = jax.tree.map(np.asarray, params)
        checkpointer.save(path.absolute(), args=ocp.args.PyTreeSave(arrays), force=True)


@contextmanager
def _reading() -> Iterator[None]:
    """The context in which Orbax waits for no other process, and says nothing."""
    from orbax.checkpoint import v1 as ocp

    with _quietly():
        if not processes.is_multiprocess():
            yield
            return
        alone = ocp.options.MultiprocessingOptions(**_this_process())
        with ocp.Context(multiprocessing_options=alone):
            yield


def load_params(path: Path, like: Params | None = None) -> Params:
    """Returns the tree that :func:`save_params` wrote, on the first device of this process.

    Args:
      path: the folder.
      like: arrays or shapes of the expected tree.

    Raises:
      ValueError: what is stored is damaged, or has other names or shapes than ``like``.
      OSError: it cannot be read.
    """
    try:
        arrays = load_onto_host(path)  # first, so that what fails is the storage and no device
    except (OSError, MemoryError):
        raise
    except Exception as error:  # whatever the storage library finds wrong
        reason = str(error).strip().split("\n")[0][:200] or type(error).__name__
        raise ValueError(f"{path} is damaged ({reason})") from error
    if like is not None and _shapes(arrays) != _shapes(like):
        raise ValueError(f"{path}: the shapes stored there are not those of the expected tree")
    return jax.device_put(arrays, jax.local_devices()[0])


def load_onto_host(path: Path, like: PyTree | None = None) -> PyTree:
    """Returns the tree that :func:`save_params` wrote, in host memory.

    Args:
      path: the folder.
      like: arrays of the shapes that are stored there, if they are known.

    Raises:
      Exception: whatever the storage library finds wrong.
    """
    from orbax.checkpoint import v1 as ocp

    stored = str(path.absolute())
    with _reading():
        kinds = ocp.metadata(stored).metadata if like is None else like
        return ocp.load(stored, jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), kinds))


def _shapes(tree: PyTree) -> PyTree:
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), tree)
