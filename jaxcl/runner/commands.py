"""What a command is told: the settings of a run, and how it is run.

Light to import (no JAX), so that the command line answers at once.
"""

import dataclasses
from pathlib import Path
from typing import Literal

from jaxcl.methods.config import Config


@dataclasses.dataclass(frozen=True)
class How(Config):
    """Settings, and how they are run, of which the result is independent."""

    checkpoint_every: str = "1"
    """Save after so many epochs, or seconds: 2, 30s."""
    keep: int = 2
    """Checkpoints to keep while a run goes on."""
    mesh: str | None = None
    """Devices: seed=4,data=2: 4 networks at a time, 2 devices each; model=2: large arrays split."""
    data: Literal["device", "stream"] = "device"
    """stream: images stay on the host, and come to the device as they are needed."""


HOW = ("checkpoint_every", "keep", "mesh", "data")


@dataclasses.dataclass(frozen=True)
class Command(How):
    """Learn a scenario's tasks one after the other and report what was kept.

    What is None follows from the scenario and the method.
    """

    out: Path | None = None
    """Output folder; default: runs/<scenario>/<method>/<time>."""
    overwrite: bool = False
    """Replace the run that the output folder holds."""
    resume: Path | None = None
    """Go on with the run in PATH; without one, in --out, or the newest that is not finished."""
    list: bool = False
    """Name the scenarios and methods, then stop."""
    explain: bool = False
    """Show how similar each layer is to each branch as a task comes, and what was decided."""
    dry_run: bool = False
    """Show settings, parameters and data, then stop."""
