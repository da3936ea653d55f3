"""SIGTERM and SIGINT: finish what runs, save, go."""

import contextlib
import signal
from collections.abc import Callable, Iterator

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(Exception):
    """The run was asked to stop and has saved what it did."""


@contextlib.contextmanager
def catching(say: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """Within it, the first signal is noted and the second stops the process at once.

    Args:
      say: told about the first signal.

    Yields:
      A function that returns whether a signal came.
    """
    came: list[int] = []

    def note(number: int, frame: object) -> None:
        del frame
        came.append(number)
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        say("stopping: the steps that run are finished and saved; once more stops at once")

    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
