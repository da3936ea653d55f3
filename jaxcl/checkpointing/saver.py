"""Checkpoints in the background, while the run goes on."""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any, NamedTuple

from jaxcl.checkpointing import checkpoint
from jaxcl.checkpointing.checkpoint import Arrays


class Saver(NamedTuple):
    """Saves in the background, one checkpoint at a time.

    Attributes:
      save: ``(arrays, meta)``; waits for the checkpoint before, then returns at once.
      wait: until the last checkpoint is on disk; returns whether it is.
    """

    save: Callable[[Arrays, Mapping[str, Any]], None]
    wait: Callable[[], bool]


def saver(
    folder: Path, after: int, keep: int, say: Callable[[str], None], writer: Executor
) -> Saver:
    """Makes a :class:`Saver` that keeps the last few checkpoints.

    A checkpoint that cannot be written (a full disk) is reported and removed; the
    one before it stays and the run goes on.

    Args:
      folder: of all checkpoints of a run.
      after: number of the checkpoint that the run goes on from, 0 for none.
      keep: how many to keep.
      say: told about a checkpoint that could not be written.
      writer: the one thread that uses Orbax, which does not write two things at once.
    """
    pending: list[Future[None]] = []
    number = after

    def task(number: int, arrays: Arrays, meta: Mapping[str, Any]) -> None:
        checkpoint.write(folder, number, arrays, meta)
        checkpoint.clean(folder, set(checkpoint.numbers(folder)[-keep:]))

    def wait() -> bool:
        if not pending:
            return True
        try:
            pending.pop().result()
        except Exception as error:  # whatever Orbax raises, the run is worth more
            checkpoint.clean(folder, set(checkpoint.numbers(folder)))
            reason = str(error).strip().split("\n")[0] or type(error).__name__
            say(f"checkpoint {number} was not written ({reason}); the run goes on")
            return False
        return True

    def save(arrays: Arrays, meta: Mapping[str, Any]) -> None:
        nonlocal number
        wait()
        number += 1
        pending.append(writer.submit(task, number, arrays, meta))

    return Saver(save, wait)
