"""Which images of a scenario are learned, and what must be told apart.

Light to import (no JAX), so that the command line answers at once.
"""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from jaxcl.core.errors import UsageError
from jaxcl.core.fields import (
    NO_SETTING,
    Bool,
    OneOf,
    Positive,
    Unit,
    Unseen,
    check_ranges,
    on_command_line,
    shown,
)
from jaxcl.core.paths import expanded

OWN = "own"
"""Name of an augmentation that is given as a function."""


@dataclasses.dataclass(frozen=True)
class DataSettings:
    """The tasks' images and outputs."""

    setting: OneOf[Literal["task", "domain", "class"]] = "task"
    """task, domain or class."""
    heads: OneOf[Literal["growing", "full"]] = "growing"
    """class: one growing head, or full."""
    resize: OneOf[Literal["bilinear", "pad", "keep"]] = "bilinear"
    """32x32 by bilinear, pad; or keep."""
    limit: Annotated[Positive[int] | None, shown("all", "INT")] = None
    """Most images of a task."""
    augment: Annotated[tuple[str, ...], shown("none", "NAME")] = ()
    """In training: crop, flip, cutout."""
    normalise: Bool = False
    """By mean and deviation of task one."""
    validation: Annotated[Unit[float], on_command_line(metavar="NUM")] = 0.0
    """Part held out and tested on."""
    test_on: OneOf[Literal["all", "newest"]] = "all"
    """all tasks so far, or the newest."""
    test_every: Annotated[Positive[int] | None, shown("20 times a task", "INT")] = None
    """Epochs between tests."""
    plasticity: Bool = False
    """Measure dormant units, ranks."""
    data_dir: Annotated[Path | None, shown("TFDS_DATA_DIR", "PATH")] = None
    """Folder of data sets."""
    augmentation: Unseen = dataclasses.field(default=None, metadata=NO_SETTING)
    """A function ``(key, inputs) -> inputs``; ``augment`` then names ``own``."""

    exclusive: ClassVar[tuple[tuple[str, ...], ...]] = ()

    @classmethod
    def kinds(cls) -> Mapping[str, type["DataSettings"]]:
        """Returns the kinds by name: of given tasks, or of tasks made from one data set."""
        return {
            "given": DataSettings,
            "made": MadeSettings,
            "split": SplitSettings,
            "file": FileSettings,
        }

    @property
    def name(self) -> str:
        """Returns the name of the kind."""
        return next(name for name, kind in self.kinds().items() if kind is type(self))

    @property
    def title(self) -> str | None:
        """Returns the name of a data set of one's own; None where the scenario says it."""
        return None

    def check(self) -> None:
        """Raises a UsageError for a setting that it cannot have."""
        check_ranges(self)
        if self.validation == 1:
            raise UsageError("validation: 1 leaves nothing to train on; give 0.1, say")
        if self.heads == "full" and self.setting != "class":
            raise UsageError(f"heads: the {self.setting} setting has no --heads; leave it out")


@dataclasses.dataclass(frozen=True)
class MadeSettings(DataSettings):
    """Tasks that are made from one data set."""

    tasks: Positive[int] = 5
    """How many are made."""


@dataclasses.dataclass(frozen=True)
class SplitSettings(MadeSettings):
    """Tasks of a few classes each."""

    order: int = 0
    """Another number deals the classes out anew."""

    def check(self) -> None:
        """Raises a UsageError for a setting that it cannot have."""
        super().check()
        if not 0 <= self.order < 2**32:
            raise UsageError(f"order: {self.order} is outside [0, 2^32); give a small number")


@dataclasses.dataclass(frozen=True)
class FileSettings(DataSettings):
    """Tasks of a data set of one's own."""

    data: Annotated[str, shown("missing", "PATH")] = ""
    """An .npz or .csv file, a folder, or a name."""
    split_classes: Annotated[Positive[int] | None, shown("all", "INT")] = None
    """Classes of a task."""
    order: int = 0
    """Another number deals the classes out anew."""

    @property
    def title(self) -> str | None:
        """Returns the name of the file without its ending, or of the folder or the data set."""
        return Path(os.path.abspath(expanded("data", self.data))).stem if self.data else None

    def check(self) -> None:
        """Raises a UsageError for a setting that it cannot have."""
        super().check()
        if not self.data:
            raise UsageError("data: missing; give --data with a file, a folder or a data set")
        if not 0 <= self.order < 2**32:
            raise UsageError(f"order: {self.order} is outside [0, 2^32); give a small number")
