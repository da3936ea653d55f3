"""Replay of noise."""

import dataclasses
from types import MappingProxyType

from jaxcl.methods.base import Method
from jaxcl.methods.replay import NoiseReplay as Noise

LITTLE = "noise says little about the old images"


@dataclasses.dataclass(frozen=True)
class NoiseReplay(Method):
    """Replays Gaussian noise with the old responses: a control."""

    one_head = True
    summary = "replay of Gaussian noise with the old responses: a control"
    replay = Noise
    fails = MappingProxyType({"domain": LITTLE, "class": LITTLE})
