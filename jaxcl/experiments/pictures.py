"""Finished runs as pictures: what their folders say of them."""

from pathlib import Path
from typing import Any

from jaxcl.checkpointing import run_folder
from jaxcl.core.errors import UsageError
from jaxcl.reporting.pictures import Form, run
from jaxcl.training.events import EpochEnded, events_of


def write(folder: Path, summary: dict[str, Any], form: Form) -> list[Path]:
    """Writes all pictures of a run to ``RUN/pictures``, and returns their files.

    Args:
      folder: of the run.
      summary: what it found.
      form: of the files.

    Raises:
      UsageError: a summary or epochs that cannot be used.
      OutputError: a file cannot be written.
    """
    try:
        return run.write(summary, epochs(folder), folder / run_folder.PICTURES, form)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"pictures: {folder}: damaged, or of an earlier version ({error!r})"
        ) from error


def epochs(folder: Path) -> list[EpochEnded]:
    """Returns the epochs that a run wrote down; none if the file is gone."""
    try:
        return events_of((folder / run_folder.METRICS).read_text())[0]
    except OSError:
        return []
