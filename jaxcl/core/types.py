"""Names for the shapes and trees that travel through the library."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxtyping import Array, Bool, Float, Int, Key, PyTree, UInt8

Params = PyTree
"""Any pytree of arrays; jaxcl's own networks use nested dictionaries."""

Outputs = PyTree
"""What a forward function returns: one array of logits, or a dict of them."""

Batch = Mapping[str, PyTree]
"""Arrays, or trees of them, under names, all with the same leading (example) axis."""

Data = Mapping[str, PyTree]
"""A whole task, like a batch; what does not fit the device is in NumPy's arrays on the host."""

Metrics = dict[str, Any]
"""Scalars under names; nested under the name of the transform that made them."""


class ForwardPass(NamedTuple):
    """What a forward function may return in place of outputs, where more than these is asked for.

    Attributes:
      outputs: logits, an array or a dict of them.
      features: what the heads are given, ``[b, ...]``; None where nobody asks for them.
      aux: what passes through, such as new statistics; not differentiated.

    >>> ForwardPass.alone(ForwardPass("logits", features="f")), ForwardPass.alone("logits")
    ('logits', 'logits')
    """

    outputs: Outputs
    features: PyTree = None
    aux: PyTree = None

    @staticmethod
    def alone(found: "Outputs | ForwardPass") -> Outputs:
        """Returns the outputs of what a forward function returned."""
        return found.outputs if isinstance(found, ForwardPass) else found


Scalar = Float[Array, ""]
Logits = Float[Array, "classes"]
Images = UInt8[Array, "n height width channels"]
Labels = Int[Array, "n"]
PRNGKey = Key[Array, ""]

__all__ = [
    "Array", "Batch", "Bool", "Data", "Float", "ForwardPass", "Images", "Int", "Labels", "Logits",
    "Metrics", "Outputs", "PRNGKey", "Params", "PyTree", "Scalar", "UInt8",
]  # fmt: skip
