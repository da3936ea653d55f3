"""SIGTERM and SIGINT: finish what runs, save, go; a second one does not wait for that.

Python runs the handler of a signal between two lines of the main thread, and while the
device works there is none.  So signals are read by a thread of its own, from the pipe
that the interpreter writes their numbers to as they come (``signal.set_wakeup_fd``).
"""

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)
ONE_SIGNAL = 1.0  # seconds
STOPPING = (
    "stopping: the steps that run are finished and saved; a second signal, a second or more later,"
    " stops at once without saving"
)


class Interrupted(Exception):
    """The run was asked to stop and has saved what it did.

    :func:`jaxcl.fit` raises it after SIGTERM or SIGINT (Ctrl-C); the same call goes on, or returns
    what was found if the run was at its end.
    """


@contextlib.contextmanager
def catching(
    say: Callable[[str], None], *, own_process: bool = False
) -> Iterator[Callable[[], bool]]:
    """Notes the first signal while the block lasts; a second one is not waited for.

    Signals within a second are one: a scheduler may send several, a terminal sends Ctrl-C to
    a launcher and its child.  The folder of a run then holds the latest checkpoint.

    Args:
      say: told about the first signal, from another thread.
      own_process: whether the second one ends the process at once, even while the device works,
        with the exit code of a signal, 128 and its number.  Else it does what it does outside of
        the block, as soon as the device lets Python's next line run: Ctrl-C is a
        KeyboardInterrupt, so that a notebook keeps its variables.

    Yields:
      A function that returns whether a signal came.
    """
    if threading.current_thread() is not threading.main_thread():  # which alone gets signals
        yield lambda: False
        return
    came: list[float] = []
    second: list[int] = []

    def again(number: int) -> None:
        if own_process:
            os._exit(128 + number)
        if not second:
            second.append(number)
            # The main thread may have run its handler before this was noted.
            os.kill(os.getpid(), number)

    def handle(number: int, frame: object) -> None:  # in the main thread, which alone may
        del number, frame
        if second:
            _give_back(before, pipe_before)
            signal.raise_signal(second[0])

    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    pipe_before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    # A handler must be there, or the process would end; the thread does what is to be done first.
    before = {number: signal.signal(number, handle) for number in SIGNALS}
    told = ours, came, say, again
    thread = threading.Thread(target=_listen, args=told, name="signals", daemon=True)
    thread.start()
    try:
        yield lambda: bool(came)
    finally:
        _give_back(before, pipe_before)
        theirs.close()
        thread.join()
        ours.close()


def _give_back(handlers: Mapping[signal.Signals, Any], pipe: int) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
    signal.set_wakeup_fd(pipe)


def _listen(
    pipe: socket.socket,
    came: list[float],
    say: Callable[[str], None],
    again: Callable[[int], None],
) -> None:
    """Notes when signals came and says so at the first one; calls ``again`` with a later one."""
    while numbers := pipe.recv(64):
        now = time.monotonic()
        for number in filter(SIGNALS.__contains__, numbers):
            if came and now - came[0] > ONE_SIGNAL:
                again(number)
                continue
            came.append(now)
            if len(came) == 1:
                with contextlib.suppress(Exception):  # a second signal must still be heard
                    say(STOPPING)
