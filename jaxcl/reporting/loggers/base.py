"""What a logger is, and what most of them write down of an event."""

import abc
from pathlib import Path
from typing import ClassVar, NamedTuple

from jaxcl.reporting.metrics import (
    average_accuracy,
    backward_transfer,
    forgetting,
    learning_accuracy,
)
from jaxcl.training.events import GENERATOR, EpochEnded, SeedEnded


class Logged(NamedTuple):
    """A run, as a logger is told of it.

    Attributes:
      folder: the logger's own, in that of the run and under the logger's name; it may not be there,
        and where a run goes on it holds what earlier processes logged.
      title: of the run: its scenario and its method.
      config: all settings, in TOML.
      tasks: their names, in order.
      resumed: whether the run goes on.
    """

    folder: Path
    title: str
    config: str
    tasks: list[str]
    resumed: bool


class Logger(abc.ABC):
    """Writes down a run's events while it goes on.

    It is made when a run begins and when it goes on, and is told of every event from the run's
    first one, in order; where the run goes on, of those that the run has kept first. A logger that
    empties its folder when it is made therefore has nothing twice.

    Attributes:
      needs: module that must be installed, and what to install for it; None: nothing.

    Args:
      run: that is logged.
    """

    needs: ClassVar[tuple[str, str] | None] = None

    def __init__(self, run: Logged):
        """Keeps what is logged."""
        self.run = run

    @abc.abstractmethod
    def take(self, event: EpochEnded | SeedEnded) -> None:
        """Writes an event down; it has no arrays."""

    def close(self) -> None:  # noqa: B027 - most have something to close, not all
        """Is called once, as the run ends or is interrupted."""


class EpochCount:
    """Counts the epochs of each seed through all of its tasks, from 1."""

    def __init__(self):
        """Begins to count."""
        self._done: dict[int, int] = {}

    def next(self, seed: int) -> int:
        """Returns the number of the epoch that has ended."""
        self._done[seed] = self.done(seed) + 1
        return self._done[seed]

    def done(self, seed: int) -> int:
        """Returns how many epochs of a seed have ended."""
        return self._done.get(seed, 0)


def of_epoch(event: EpochEnded) -> dict[str, float]:
    """Returns what an epoch found.

    Returns:
      ``metrics/loss`` and the like, means over the epoch's steps; ``accuracy/<task>``, percent.
      Of an epoch of the generator, in which the network stands still, ``generator/wasserstein``
      and the like alone.
    """
    if event.phase == GENERATOR:
        return {f"generator/{name}": value for name, value in event.metrics.items()}
    found = {f"metrics/{name}": value for name, value in event.metrics.items()}
    return found | {f"accuracy/{task}": value for task, value in event.accuracy.items()}


def of_seed(event: SeedEnded) -> dict[str, float]:
    """Returns a seed's result: percent or percentage points; what is not defined is left out."""
    found = {
        "average_accuracy": average_accuracy(event.matrix),
        "learning_accuracy": learning_accuracy(event.matrix),
        "forgetting": forgetting(event.matrix),
        "backward_transfer": backward_transfer(event.matrix),
    }
    return {f"result/{name}": value for name, value in found.items() if value is not None}
