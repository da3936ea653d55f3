"""What a command is told about runs, beside their settings.

Light to import (no JAX), so that the command line answers at once.
"""

import dataclasses
from pathlib import Path
from typing import Annotated

from jaxcl.core.fields import shown
from jaxcl.learner.settings.config import Config


@dataclasses.dataclass(frozen=True)
class How:
    """How runs are run, of which their results are independent."""

    checkpoint_every: str = "1"
    """Epochs, or seconds: 30s."""
    keep: int = 2
    """Checkpoints that are kept."""
    mesh: Annotated[str | None, shown("all seeds", "STR")] = None
    """Devices: seed=4,data=2,model=1."""
    stream: bool = False
    """Inputs stay on the host."""
    log: Annotated[tuple[str, ...], shown("nothing", "NAME")] = ()
    """Also to: csv, tensorboard, wandb."""


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a run is kept.

    Attributes:
      out: its folder; None: a new one.
      resume: the folder of a run to go on with.
      overwrite: whether a run that the folder holds is replaced.
      explain: whether it is shown what was measured and decided as a task came.
      noted: whether a bare ``--resume`` is to find it while it is not finished.
      heirs: runs that train the first task as this one does, to the bit, and so go on from what
        it has learned then, if they have not begun.
    """

    out: Path | None = None
    resume: Path | None = None
    overwrite: bool = False
    explain: bool = False
    noted: bool = False
    heirs: "tuple[RunCommand, ...]" = ()


@dataclasses.dataclass(frozen=True)
class RunCommand:
    """A run to begin or to go on with.

    Attributes:
      config: its settings.
      how: it is run.
      place: where it is kept.
      own_process: whether the process is there for it alone, as that of a command is: a second
        signal then ends it at once.
    """

    config: Config
    how: How
    place: Place
    own_process: bool = False
