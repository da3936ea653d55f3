"""Learning without Forgetting on generated images."""

import dataclasses
from types import MappingProxyType

from jaxcl.methods.lwf import LwF
from jaxcl.methods.replay import Replay


@dataclasses.dataclass(frozen=True)
class LwFGenerated(LwF):
    """Distils the old responses to images of a generator instead of the new ones."""

    one_head = True
    summary = "lwf with the old responses to images of a generator instead of the new ones"
    paper = "after Li & Hoiem 2016 and Shin et al. 2017"
    replay = Replay
    generates = True
    fails = MappingProxyType({})
    on_generated = True
