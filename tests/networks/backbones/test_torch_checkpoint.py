import io
import pickle
import sys
import types
from collections import OrderedDict

import numpy as np
import pytest

from jaxcl.core.errors import DataError
from jaxcl.networks.backbones.torch_checkpoint import MAGIC, VERSION, read_checkpoint

A = np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 7
B = np.array([3, -5], np.int64)


class FloatStorage:
    """Stands for PyTorch's, under whose name it is pickled."""


class LongStorage:
    pass


class IntStorage:
    pass


def _rebuild_tensor_v2(*args):
    raise AssertionError("a pickle is read without calling it")


@pytest.fixture
def torch_names(monkeypatch):
    """Lets things be pickled as PyTorch does it, of which the tests have none."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for module, thing in (
        (torch, FloatStorage),
        (torch, LongStorage),
        (torch, IntStorage),
        (utils, _rebuild_tensor_v2),
    ):
        monkeypatch.setattr(thing, "__module__", module.__name__)
        setattr(module, thing.__name__, thing)
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)


class Tensor:
    def __init__(self, storage, offset, shape, strides):
        self.args = storage, offset, shape, strides, False, OrderedDict()

    def __reduce__(self):
        return _rebuild_tensor_v2, self.args


class Storage:
    def __init__(self, kind, key, elements, view=None):
        self.pid = "storage", kind, key, "cpu", elements, view


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj):
        return obj.pid if isinstance(obj, Storage) else None


def checkpoint(tensors, storages, *, start=MAGIC, keys=None):
    """Writes a file as ``torch.save(..., _use_new_zipfile_serialization=False)`` does."""
    file = io.BytesIO()
    for value in (start, VERSION, {"little_endian": True}, tensors, keys or list(storages)):
        _Pickler(file, protocol=2).dump(value)
    for array in storages.values():
        file.write(array.size.to_bytes(8, "little") + array.tobytes())
    return file.getvalue()


def two(**changes):
    """A dictionary of a tensor that is transposed, one that begins later, and one of int64."""
    a, b = Storage(FloatStorage, "11", 24), Storage(LongStorage, "7", 2)
    tensors = OrderedDict(
        a=Tensor(a, 0, (4, 2, 3), (1, 12, 4)),
        part=Tensor(a, 5, (3,), (1,)),
        b=Tensor(b, 1, (), ()),
        **changes,
    )
    tensors._metadata = OrderedDict(version=1)  # PyTorch's dictionaries have it
    return checkpoint(tensors, {"11": A, "7": B})


@pytest.mark.usefixtures("torch_names")
def test_tensors_as_they_were_saved():
    found = read_checkpoint(two())
    assert list(found) == ["a", "part", "b"]
    np.testing.assert_array_equal(found["a"], A.transpose(2, 0, 1), strict=True)
    np.testing.assert_array_equal(found["part"], A.ravel()[5:8], strict=True)
    np.testing.assert_array_equal(found["b"], np.array(-5), strict=True)
    assert not found["a"].flags.writeable


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_code_in_a_pickle_is_refused_and_not_run(tmp_path, torch_names):
    path = tmp_path / "made"
    pickle.loads(pickle.dumps(Evil(path))).close()  # what it would do
    assert path.exists()
    path.unlink()
    evil = Evil(path)
    for data in (pickle.dumps(evil), two(evil=evil), checkpoint({}, {}, start=evil)):
        with pytest.raises(DataError, match=r"^weights: (_?io)\.open is refused; give "):
            read_checkpoint(data)
    assert not path.exists()


@pytest.mark.parametrize(
    "name", ["builtins eval", "os system", "torch load", "torch._utils _rebuild_parameter",
             "collections OrderedDict.fromkeys", "torch _utils._rebuild_tensor_v2"],
)  # fmt: skip
def test_names_that_are_not_of_tensors_are_refused(name):
    module, name = name.split()
    for data in (
        f"c{module}\n{name}\n.".encode(),
        b"\x80\x04\x8c" + bytes([len(module)]) + module.encode()
        + b"\x8c" + bytes([len(name)]) + name.encode() + b"\x93.",
    ):  # fmt: skip
        with pytest.raises(DataError, match=rf"^weights: {module}\.{name} is refused"):
            read_checkpoint(data)


@pytest.mark.usefixtures("torch_names")
def test_other_storages_are_refused():
    for storage, what in (
        (Storage(IntStorage, "0", 2), r"torch\.IntStorage is refused"),
        (Storage(LongStorage, "0", 2, ("1", 0, 2)), "a 'storage' of '<i8' is refused"),
    ):
        with pytest.raises(DataError, match=f"^weights: {what}"):
            read_checkpoint(checkpoint({"x": Tensor(storage, 0, (2,), (1,))}, {"0": B}))


@pytest.mark.usefixtures("torch_names")
@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [(0, (3,), (1,)), (1, (2,), (1,)), (0, (2,), (2,)), (-1, (2,), (1,)), (1, (2,), (-2,)),
     (0, (-1,), (1,)), (0, (2,), (1, 1)), (0.5, (1,), (1,)), (0, "2", (1,))],
)  # fmt: skip
def test_a_tensor_outside_of_its_storage_is_refused(offset, shape, strides):
    tensor = Tensor(Storage(LongStorage, "0", 2), offset, shape, strides)
    with pytest.raises(DataError, match=r"^weights: damaged \(\w+\); fetch them again$"):
        read_checkpoint(checkpoint({"x": tensor}, {"0": B}))


@pytest.mark.usefixtures("torch_names")
def test_damaged_files_are_refused():
    data = two()
    read_checkpoint(data)
    cut = [data[:end] for end in (0, 3, 40, 200, len(data) - 1)]
    for damaged in (*cut, data + b"x", b"PK\x03\x04" + data, b"\x80\x02K\x00." + data[2:]):
        with pytest.raises(DataError, match=r"^weights: "):
            read_checkpoint(damaged)


@pytest.mark.usefixtures("torch_names")
def test_files_that_hold_something_else_are_refused():
    storage = {"0": B}
    missing = {"x": Tensor(Storage(LongStorage, "1", 2), 0, (2,), (1,))}
    for data, what in (
        (checkpoint({"lr": 0.1}, {}), "'lr' is a float; give "),
        (checkpoint([1], {}), "no checkpoint of PyTorch; give "),
        (checkpoint({}, {}, start=1), "no checkpoint of PyTorch; give "),
        (checkpoint(missing, storage), r"damaged \(KeyError\)"),
        (checkpoint(missing, storage, keys=["1", "2"]), "damaged"),
        (checkpoint(missing, {"1": np.arange(3)}), r"damaged \(ValueError\)"),
    ):
        with pytest.raises(DataError, match=f"^weights: {what}"):
            read_checkpoint(data)
