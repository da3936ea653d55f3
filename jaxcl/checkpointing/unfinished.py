"""Which runs are not finished, wherever they are: a list in the user's folder of states.

A small file for each run, so that processes that begin runs at once lose none: its name is made
of the run's folder, its content is that folder.  It says where to look, no more: a run that
is gone or finished is dropped as the list is read, and without the list runs can be named.
"""

import contextlib
import hashlib
import os
from pathlib import Path

from jaxcl.checkpointing import lock, run_folder
from jaxcl.core.errors import OutputError, UsageError
from jaxcl.core.paths import expanded


def place() -> Path:
    """Returns ``$XDG_STATE_HOME/jaxcl/runs``, by default ``~/.local/state/jaxcl/runs``.

    Raises:
      UsageError: neither is there, for a user without a home folder.
    """
    state = os.environ.get("XDG_STATE_HOME") or expanded("XDG_STATE_HOME", "~/.local/state")
    return Path(state) / "jaxcl" / "runs"


def note(folder: Path) -> None:
    """Notes a run whose folder was made; where that cannot be noted, it runs all the same."""
    with contextlib.suppress(OSError, OutputError, UsageError):
        place().mkdir(parents=True, exist_ok=True)
        run_folder.write_bytes(_file(folder), os.fsencode(folder.absolute()))


def forget(folder: Path) -> None:
    """Drops a run from the list."""
    with contextlib.suppress(OSError, UsageError):
        _file(folder).unlink(missing_ok=True)


def noted() -> list[Path]:
    """Returns the folders of runs that were noted and are not finished; drops the others.

    A run that another process is at is left out, and stays in the list.
    """
    found = []
    for file in sorted(place().glob("*.run")):
        with contextlib.suppress(OSError):
            folder = Path(os.fsdecode(file.read_bytes()))
            if not (folder / run_folder.CONFIG).exists() or run_folder.finished(folder):
                file.unlink(missing_ok=True)
            elif not lock.is_held(folder):
                found.append(folder)
    return found


def _file(folder: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()
    return place() / f"{digest[:32]}.run"
