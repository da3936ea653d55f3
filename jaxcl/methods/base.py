"""What a method is: settings, a growth rule, a chain of loss transforms.

Light to import (no JAX), so that the command line answers at once; what a method does is
imported when it is asked for.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from jaxcl.core.errors import UsageError
from jaxcl.core.fields import check_ranges
from jaxcl.methods.replay import Replay

if TYPE_CHECKING:
    from jaxcl.growth.routing import Rule
    from jaxcl.growth.trainable import Trains
    from jaxcl.transforms import LossTransform, Objective, Units
else:  # the types of a record's fields are evaluated, and these would need JAX
    Objective = Units = Any

SettingName = Literal["task", "domain", "class"]


class StreamInfo(NamedTuple):
    """What a method may know of the tasks before the first one comes.

    Attributes:
      classes: of all tasks together.
      setting: what must be told apart.
      objective: what is learned, a :class:`jaxcl.transforms.Objective`; None for classes.
      units: the network's hidden units, a :class:`jaxcl.transforms.Units`, for a method that asks
        for them; None where no network is made, as for what a finished run predicts.
    """

    classes: int
    setting: SettingName
    objective: Objective | None = None
    units: Units | None = None


def check_classes(stream: StreamInfo, name: str) -> None:
    """Raises a UsageError if a method needs classes and marks or numbers are learned."""
    learned = stream.objective
    if learned is not None and not learned.classes:
        raise UsageError(f"loss: {learned.name} has no classes, and {name} needs them; leave it")


def class_room(stream: StreamInfo) -> int | None:
    """Returns the classes that will be told apart; None where each task has its own, or all share.

    Given from the start, it spares programs that differ in the number of classes alone.
    """
    return stream.classes if stream.setting == "class" else None


@dataclasses.dataclass(frozen=True)
class Method:
    """A way to learn one task after another: the base of the classes in this package.

    A subclass has a file of its own, whose name is the name of the method. Its fields are its
    settings, with their usual values; ``Traced`` marks those that may differ between networks
    of one compiled program. What the class says beside that:

    Attributes:
      summary: one line for a person.
      paper: where the method comes from.
      replay: the kind of replay that it has of its own, if any.
      generates: whether a generator learns the tasks too.
      own_images: whether it keeps earlier images itself, and nothing is replayed on top of it.
      on_all_data: whether it trains on the data of all tasks so far.
      on_memory: name of the loss whose state has, as its ``memory``, a buffer that is all it
        trains on; "" where it trains on the task's data.
      from_scratch: whether each task usually begins with fresh weights and optimiser.
      branches: whether its rule can make new branches of a layer; such a method is a kind of
        ``Split``, whose settings say how tasks are compared.
      columns: whether the network is one of columns.
      one_head: whether its losses know of classes that are hidden until they come
        (``TaskData.before``), or it classifies by features alone; then the growing head of the
        class setting is one array from the start, and what is compiled for a task serves the
        next.  A subclass says it anew.
      follows_weights: whether its losses know the weights that training begins with, which
        fresh weights for each task are not.
      resets_units: whether it asks for the network's hidden units, those of dense layers.
      fails: setting -> why the method cannot be expected to work there.
      refuses: setting -> why it cannot be used there.
    """

    summary: ClassVar[str] = ""
    paper: ClassVar[str] = ""
    replay: ClassVar[type[Replay] | None] = None
    generates: ClassVar[bool] = False
    own_images: ClassVar[bool] = False
    on_all_data: ClassVar[bool] = False
    on_memory: ClassVar[str] = ""
    from_scratch: ClassVar[bool] = False
    branches: ClassVar[bool] = False
    columns: ClassVar[bool] = False
    one_head: ClassVar[bool] = False
    follows_weights: ClassVar[bool] = False
    resets_units: ClassVar[bool] = False
    fails: ClassVar[Mapping[str, str]] = MappingProxyType({})
    refuses: ClassVar[Mapping[str, str]] = MappingProxyType({})
    exclusive: ClassVar[tuple[tuple[str, ...], ...]] = ()
    registered_as: ClassVar[str] = ""

    @classmethod
    def kinds(cls) -> Mapping[str, type["Method"]]:
        """Returns every method by its name."""
        from jaxcl.methods import METHODS

        return METHODS

    @property
    def name(self) -> str:
        """Returns the name of the method: that of its file, or by which it was registered."""
        return method_name(type(self))

    def check(self) -> None:
        """Raises a UsageError for a setting that the method cannot have."""
        check_ranges(self)

    def trained_examples(self, seen: Sequence[int], classes: int) -> int:
        """Returns how many examples a task is trained on: equally many for every seed.

        Args:
          seen: examples of each task so far.
          classes: of all tasks together.
        """
        del classes
        return sum(seen) if self.on_all_data else seen[-1]

    def losses(self, stream: StreamInfo) -> dict[str, "LossTransform"]:
        """Returns what is done to the loss, by name and in this order; L2 comes after it."""
        del stream
        return {}

    def rule(self) -> "Rule":
        """Returns the rule ``(branches of a layer, similarity) -> branch to share, or None``."""
        from jaxcl.growth import routing

        return routing.share

    def trains(self) -> "Trains":
        """Returns which leaves train in the second and later tasks; in the first all do."""
        from jaxcl.growth.trainable import all_on_route

        return all_on_route


@dataclasses.dataclass(frozen=True)
class Penalty(Method):
    """A method that holds weights where they were: old heads stay, too."""

    fails: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "class": "a penalty on the weights keeps what tells the classes of one task apart,"
            " but no data ever tells them from those of another task"
        }
    )

    def trains(self) -> "Trains":
        """Returns the rule that old heads stay as they are."""
        from jaxcl.growth.trainable import shared_and_own_heads

        return shared_and_own_heads


def method_name(kind: type[Method]) -> str:
    """Returns the name of a method: by which it was registered, or that of its file."""
    return vars(kind).get("registered_as") or kind.__module__.rpartition(".")[2]
