"""Fine-tuning."""

import dataclasses
from types import MappingProxyType
from typing import TYPE_CHECKING

from jaxcl.methods.base import Method

if TYPE_CHECKING:
    from jaxcl.growth.trainable import Trains

NOTHING = "nothing is done against forgetting"


@dataclasses.dataclass(frozen=True)
class Finetune(Method):
    """Fine-tuning: the lower bound."""

    one_head = True
    summary = "train the shared layers and a new head; nothing is done against forgetting"
    fails = MappingProxyType({"domain": NOTHING, "class": NOTHING})

    def trains(self) -> "Trains":
        """Returns the rule that old heads stay as they are."""
        from jaxcl.growth.trainable import shared_and_own_heads

        return shared_and_own_heads
