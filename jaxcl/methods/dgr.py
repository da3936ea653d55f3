"""Deep generative replay."""

import dataclasses

from jaxcl.methods.base import Method
from jaxcl.methods.replay import GenerativeReplay


@dataclasses.dataclass(frozen=True)
class DGR(Method):
    """Replays images of a generator with the old responses."""

    one_head = True
    summary = "deep generative replay: images of a generator with the old responses"
    paper = "Shin et al. 2017"
    replay = GenerativeReplay
    generates = True
