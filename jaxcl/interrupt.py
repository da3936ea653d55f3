"""SIGTERM and SIGINT: finish what runs, save, go."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator

SIGNALS = (signal.SIGTERM, signal.SIGINT)
ONE_SIGNAL = 1.0  # seconds


class Interrupted(Exception):
    """The run was asked to stop and has saved what it did."""


@contextlib.contextmanager
def catching(say: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """Within it, the first signal is noted and the second stops the process at once.

    Signals within a second are one: a scheduler may send several, a terminal sends Ctrl-C to
    a launcher and its child.

    Args:
      say: told about the first signal.

    Yields:
      A function that returns whether a signal came.
    """
    came: list[float] = []

    def note(number: int, frame: object) -> None:
        del frame
        came.append(time.monotonic())
        if len(came) > 1:
            if came[-1] - came[0] > ONE_SIGNAL:
                signal.signal(number, signal.SIG_DFL)
                signal.raise_signal(number)
            return
        say("stopping: the steps that run are finished and saved; once more stops at once")

    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
