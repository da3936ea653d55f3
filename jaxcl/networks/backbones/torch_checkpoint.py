"""Reading of a PyTorch checkpoint without PyTorch, and without running what is in it.

A pickle can call any function.  The unpickler here knows the few names of which a dictionary of
tensors is made, and refuses all others before anything is called.

The format is the one before PyTorch 1.6: pickles of a magic number, the version, a
description of the machine, the dictionary, and the storages' keys, then for each storage the
number of its elements (8 bytes) and the elements.
"""

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxcl.core.errors import DataError

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
DTYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}
REMEDY = "give a dictionary of tensors as PyTorch before 1.6 saved it"


@dataclass(frozen=True)
class _Storage:
    """A run of numbers that follow after the pickles."""

    dtype: str
    key: str
    elements: int


@dataclass(frozen=True)
class _Tensor:
    """The part of a storage that is a tensor."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _TensorUnpickler(pickle.Unpickler):
    """Makes dictionaries and :class:`_Tensor`, and nothing else."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Returns what stands for a name; a storage's type is a text, which cannot be called."""
        if (module_name, global_name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module_name, global_name) == ("torch._utils", "_rebuild_tensor_v2"):
            # Made anew, so that a pickle that changes it changes nothing for the next one.
            return lambda storage, offset, shape, strides, *_: _Tensor(
                storage, offset, shape, strides
            )
        if module_name == "torch" and global_name in DTYPES:
            return DTYPES[global_name]
        raise DataError(f"weights: {module_name}.{global_name} is refused; {REMEDY}")

    def persistent_load(self, pid: Any, /) -> _Storage:
        """Returns the storage that a tensor refers to."""
        kind, dtype, key, _, elements, view = pid
        if kind != "storage" or dtype not in DTYPES.values() or view is not None:
            raise DataError(f"weights: a {kind!r} of {dtype!r} is refused; {REMEDY}")
        return _Storage(dtype, key, elements)


def read_checkpoint(data: bytes) -> dict[str, np.ndarray]:
    """Returns the tensors of a checkpoint, in its order.

    Args:
      data: the whole file.

    Returns:
      Arrays of float32 or int64 under the tensors' names, which cannot be written to.

    Raises:
      DataError: if the file is damaged, or holds anything but tensors of these dtypes.
    """
    file = io.BytesIO(data)
    start, _, _, tensors, keys = (_unpickled(file) for _ in range(5))
    if start != MAGIC or not isinstance(tensors, dict) or not isinstance(keys, list):
        raise DataError(f"weights: no checkpoint of PyTorch; {REMEDY}")
    for name, tensor in tensors.items():
        if not isinstance(name, str) or not isinstance(tensor, _Tensor):
            raise DataError(f"weights: {name!r} is a {type(tensor).__name__}; {REMEDY}")
    storages = _or_damaged(lambda: _storages(file, tensors, keys))
    return {name: _or_damaged(lambda t=t: _array(t, storages)) for name, t in tensors.items()}


def _unpickled(file: io.BytesIO) -> Any:
    return _or_damaged(lambda: _TensorUnpickler(file).load())


def _or_damaged(read: Callable[[], Any]) -> Any:
    """Returns what ``read`` does; a pickle or a number that is wrong can raise nearly anything."""
    try:
        return read()
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"weights: damaged ({type(error).__name__}); fetch them again") from error


def _storages(
    file: io.BytesIO, tensors: dict[str, _Tensor], keys: list[str]
) -> dict[str, np.ndarray]:
    """Reads the numbers of all storages, which end with the file."""
    known = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    storages = {}
    for key in keys:
        elements = int.from_bytes(file.read(8), "little")
        dtype = np.dtype(known[key].dtype)
        if elements != known[key].elements:
            raise ValueError(f"{elements} elements instead of {known[key].elements}")
        storages[key] = np.frombuffer(file.read(elements * dtype.itemsize), dtype, elements)
    if file.read(1):
        raise ValueError("more than the storages")
    return storages


def _array(tensor: _Tensor, storages: dict[str, np.ndarray]) -> np.ndarray:
    """Returns a tensor's part of its storage; NumPy refuses what would lie outside of it."""
    storage = storages[tensor.storage.key]
    size = storage.itemsize
    strides = [step * size for step in tensor.strides]
    return np.ndarray(tensor.shape, storage.dtype, storage, tensor.offset * size, strides)
