"""Where commands speak: a console for results, standard error for errors."""

import sys
from typing import TYPE_CHECKING

from jaxcl.core import processes

if TYPE_CHECKING:
    from rich.console import Console


def make_console() -> "Console":
    """Returns where a command speaks, if this is the process that does."""
    from rich.console import Console

    # Names of folders are no markup.
    return Console(soft_wrap=True, markup=False, quiet=not processes.is_primary())


def fail(message: object, code: int) -> int:
    """Prints a line on standard error and returns the exit code."""
    who = f" (process {processes.number()})" if processes.is_multiprocess() else ""
    sys.stderr.write(f"error{who}: {message}\n")
    return code


def say(console: "Console", text: str) -> None:
    """Prints a remark."""
    console.print(text, style="dim", highlight=False)
