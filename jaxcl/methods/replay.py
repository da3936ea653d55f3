"""What a method replays beside the new task, and how much the new task weighs.

Light to import (no JAX), so that the command line answers at once.
"""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from jaxcl.core.errors import UsageError
from jaxcl.core.fields import (
    Bool,
    OneOf,
    Positive,
    Unit,
    check_ranges,
    give_way,
    on_command_line,
    shown,
)

if TYPE_CHECKING:
    from jaxcl.transforms.rehearsal import buffers
    from jaxcl.transforms.rehearsal.memory import Memory

Storage = OneOf[Literal["reservoir", "class_balanced", "ring"]]


@dataclasses.dataclass(frozen=True)
class Replay:
    """The weight of the new task, where there is something else to learn from.

    By itself it replays nothing: a generator learns from earlier tasks with this weight.
    """

    replay_weight: Annotated[Unit[float] | None, shown("1/k in task k", "FLOAT")] = None
    """Weight of the new loss, share of new images."""

    exclusive: ClassVar[tuple[tuple[str, ...], ...]] = ()
    temperature: ClassVar[float] = 1.0  # of old responses, where a memory holds any

    @classmethod
    def kinds(cls) -> Mapping[str, type["Replay"]]:
        """Returns what can be replayed, by name; ``weighted`` replays nothing."""
        return {**REPLAYS, "weighted": Replay}

    @property
    def name(self) -> str:
        """Returns the name of the kind."""
        return next(name for name, kind in self.kinds().items() if kind is type(self))

    def check(self) -> None:
        """Raises a UsageError for a setting that it cannot have."""
        check_ranges(self)

    def options(self) -> dict[str, Any]:
        """Returns how earlier examples are replayed: arguments of ``transforms.replay``."""
        return {"weight": self.replay_weight, "temperature": self.temperature}

    def memory(self, classes: int) -> "Memory | None":
        """Returns what keeps earlier examples; None if nothing is replayed."""
        del classes
        return None


@dataclasses.dataclass(frozen=True)
class Kept:
    """Which images of earlier tasks are kept: settings of whatever has a memory of them."""

    per_class: Annotated[Positive[int] | None, shown("by --ratio", "INT")] = None
    """Images of each class that are kept."""
    ratio: Annotated[Unit[float] | None, shown("by --per-class", "FLOAT")] = 0.1
    """Part of each task that is kept."""
    buffer: Annotated[Positive[int] | None, shown("no limit", "INT")] = None
    """Images that are kept in all."""
    storage: Storage = "reservoir"
    """reservoir, class_balanced or ring: who stays."""

    exclusive: ClassVar[tuple[tuple[str, ...], ...]] = (("per_class", "ratio", "buffer"),)

    def __post_init__(self) -> None:
        give_way(self)

    def check(self) -> None:
        """Raises a UsageError for a setting that it cannot have."""
        check_ranges(self)
        if self.ratio == 0:
            raise UsageError("ratio: 0 keeps nothing; give 0.1, say")
        if self.buffer is None and self.storage != "reservoir":
            raise UsageError("storage: without --buffer it means nothing; give both, or neither")

    def memory(self, classes: int) -> "Memory":
        """Returns a memory of so many a class, of a part of each task, or a buffer."""
        from jaxcl.transforms.rehearsal.memory import fraction, per_class, stored

        if self.per_class is not None:
            return per_class(self.per_class, room=self.per_class * classes)
        if self.buffer is None:
            assert self.ratio is not None
            return fraction(self.ratio)
        return stored(self.kept_by(classes))

    def kept_by(self, classes: int) -> "buffers.Storage":
        """Returns which images stay, where so many are kept in all."""
        from jaxcl.transforms.rehearsal import buffers

        assert self.buffer is not None
        if self.storage == "class_balanced":
            return buffers.class_balanced(self.buffer, classes)
        return (buffers.ring if self.storage == "ring" else buffers.reservoir)(self.buffer)


@dataclasses.dataclass(frozen=True)
class Replayed(Kept):
    """Which images are kept, when, and how many of them a step trains on."""

    fill: OneOf[Literal["end", "online"]] = "end"
    """Kept at a task's end, or online: in its steps."""
    drawn: Annotated[Positive[int] | None, shown("as many as a batch", "INT")] = None
    """Kept images in a step."""

    def check(self) -> None:
        """Raises a UsageError for a setting that it cannot have."""
        super().check()
        if self.buffer is None and self.fill == "online":
            raise UsageError(
                "fill: online fills room for all images together; give --buffer, or --fill end"
            )

    def memory(self, classes: int) -> "Memory":
        """Returns a memory as of :class:`Kept`, or one that is filled in every step."""
        from jaxcl.transforms.rehearsal.memory import stored

        if self.fill == "end":
            return super().memory(classes)
        return stored(self.kept_by(classes), online=True)


@dataclasses.dataclass(frozen=True)
class Room:
    """How many images are kept in all: settings of whatever has room for so many."""

    per_class: Annotated[Positive[int] | None, shown("by --buffer", "INT")] = 100
    """Images kept in all, for each class."""
    buffer: Annotated[Positive[int] | None, shown("by --per-class", "INT")] = None
    """Images kept in all."""

    exclusive: ClassVar[tuple[tuple[str, ...], ...]] = (("per_class", "buffer"),)

    def __post_init__(self) -> None:
        give_way(self)

    def room(self, classes: int) -> int:
        """Returns for how many images there is room, with so many classes of all tasks."""
        if self.buffer is not None:
            return self.buffer
        assert self.per_class is not None
        return self.per_class * classes


@dataclasses.dataclass(frozen=True)
class BufferReplay(Replayed, Replay):
    """Some images of each task are kept."""

    joined: Bool = False
    """New and kept images pass as one batch."""

    def options(self) -> dict[str, Any]:
        """Returns how earlier examples are replayed, and how many in a step."""
        return {**super().options(), "n": self.drawn, "joined": self.joined}


@dataclasses.dataclass(frozen=True)
class ExactReplay(Replay):
    """All images of earlier tasks are kept."""

    def memory(self, classes: int) -> "Memory":
        """Returns a memory of everything."""
        from jaxcl.transforms.rehearsal.memory import fraction

        del classes
        return fraction(1.0)


@dataclasses.dataclass(frozen=True)
class NoiseReplay(Replay):
    """Gaussian noise with the old responses: a control."""

    def memory(self, classes: int) -> "Memory":
        """Returns a memory that keeps nothing and draws noise."""
        from jaxcl.transforms.rehearsal.made_examples import noise

        del classes
        return noise()


@dataclasses.dataclass(frozen=True)
class GenerativeReplay(Replay):
    """Images of a generator that has learned the earlier tasks."""

    labels: OneOf[Literal["soft", "hard"]] = "soft"
    """soft: old responses; hard: the likeliest class."""
    replay_temperature: Annotated[Positive[float], on_command_line(metavar="NUM")] = 2.0
    """Temperature of soft labels."""

    @property
    def temperature(self) -> float:
        """Returns the temperature of the old responses."""
        return self.replay_temperature

    def memory(self, classes: int) -> "Memory":
        """Returns a memory of generated images."""
        from jaxcl.transforms.rehearsal.made_examples import generated

        del classes
        return generated(soft=self.labels == "soft")


REPLAYS: Mapping[str, type[Replay]] = {
    "buffer": BufferReplay,
    "exact": ExactReplay,
    "noise": NoiseReplay,
    "generative": GenerativeReplay,
}
"""What can be replayed, by the name that ``--replay`` gives it."""
