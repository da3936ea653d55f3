"""Joint training."""

import dataclasses

from jaxcl.methods.base import Method


@dataclasses.dataclass(frozen=True)
class Joint(Method):
    """All data of all tasks so far, as if nothing had to be given up."""

    one_head = True
    summary = "train on the data of all tasks so far: the upper bound"
    on_all_data = True
