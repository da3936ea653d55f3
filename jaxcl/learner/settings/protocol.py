"""What a protocol is: the settings that go with a sequence of tasks.

Light to import (no JAX), so that the command line answers at once.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from jaxcl.methods import METHODS
from jaxcl.methods.base import Method
from jaxcl.methods.lwf import LwF
from jaxcl.methods.replay import BufferReplay
from jaxcl.networks.choices import CNN, MLP, Network
from jaxcl.scenarios.settings import DataSettings
from jaxcl.training.settings import GeneratorSettings, Training

if TYPE_CHECKING:
    from jaxcl.scenarios.task import Task

Methods = Mapping[str | tuple[str, str], Method]
"""Name of a method, or (name, setting) -> the method at the protocol's settings."""


class Protocol(NamedTuple):
    """Settings for what a user leaves open: those of the LwF path-selection paper, unless given.

    It has 10 epochs of batches of 100, and lambda 15.  What it leaves open is ours: Adam, L2, T.

    Attributes:
      data: setting, heads, sizes.
      network: what learns.
      training: how.
      methods: those that are not at their usual settings.
      warmups: method -> epochs of a task in which what is new trains alone.
      replay: what a buffer keeps; its weight holds for every kind of replay.
      generator: of generative replay.
    """

    data: DataSettings = DataSettings()
    network: Network = CNN()
    training: Training = Training()
    methods: Methods = {}  # noqa: RUF012 - never written
    warmups: Mapping[str, int] = {"lwf_gr": 1}
    replay: BufferReplay = BufferReplay()
    generator: GeneratorSettings = GeneratorSettings()

    def method(self, name: str, setting: str) -> Method:
        """Returns a method at the settings that the protocol has for it."""
        usual = self.methods.get(name)
        return self.methods.get((name, setting)) or usual or METHODS[name]()


def distilling(**settings: Any) -> Methods:
    """Returns all methods that distil, at the same settings."""
    kinds = (kind for kind in METHODS.values() if issubclass(kind, LwF))
    made = {method.name: method for method in (kind(**settings) for kind in kinds)}
    by_tasks = {
        (name, "domain"): dataclasses.replace(method, lwf_weighting="tasks")
        for name, method in made.items()
    }
    return {**made, **by_tasks}


class Scenario(NamedTuple):
    """A sequence of tasks.

    Attributes:
      summary: one line for a person.
      tasks: names of data sets, in order.
      protocol: the settings that go with it.
      made: how tasks are made, where they come from a single data set.
      count: how many tasks are made, unless given.
      make: makes the tasks, where a plug-in does.
    """

    summary: str
    tasks: tuple[str, ...]
    protocol: Protocol = Protocol()
    made: (
        Literal["split", "groups", "permuted", "permuted32", "rotated", "repeated", "file"] | None
    ) = None
    count: int = 0
    make: "Callable[[], Sequence[Task]] | None" = None


OWN, FILE = "own", "data"
GIVEN = Scenario("tasks that a program gives", (), Protocol(network=MLP((400, 400))))
"""The scenario of tasks that have no name."""
OF_DATA = Scenario(
    "a data set of one's own: give --data", (), Protocol(network=MLP((400, 400))), "file"
)
"""The scenario of ``--data``."""
