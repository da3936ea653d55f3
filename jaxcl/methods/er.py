"""Experience replay."""

import dataclasses

from jaxcl.methods.base import Method
from jaxcl.methods.replay import BufferReplay


@dataclasses.dataclass(frozen=True)
class ER(Method):
    """Trains on a few kept images of earlier tasks as well."""

    one_head = True
    summary = "experience replay: train on a few kept images of earlier tasks as well"
    paper = "Chaudhry et al. 2019"
    replay = BufferReplay
