"""SIGTERM and SIGINT: finish what runs, save, go; a second one stops at once.

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
from collections.abc import Callable, Iterator

SIGNALS = (signal.SIGTERM, signal.SIGINT)
ONE_SIGNAL = 1.0  # seconds
STOPPING = (
    "stopping: the steps that run are finished and saved; a second signal, a second or more later,"
    " stops at once without saving"
)


class Interrupted(Exception):
    """The run was asked to stop and has saved what it did.

    :func:`jaxcl.fit` raises it after SIGTERM or SIGINT (Ctrl-C); the same call goes on.
    """


@contextlib.contextmanager
def catching(say: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """Notes the first signal while the block lasts; a second one stops the process at once.

    Signals within a second are one: a scheduler may send several, a terminal sends Ctrl-C to
    a launcher and its child.  A process that is stopped at once ends with the exit code of
    a signal, 128 and its number; its folder holds the latest checkpoint.

    Args:
      say: told about the first signal, from another thread.

    Yields:
      A function that returns whether a signal came.
    """
    if threading.current_thread() is not threading.main_thread():  # which alone gets signals
        yield lambda: False
        return
    came: list[float] = []

    def listen(pipe: socket.socket) -> None:
        while numbers := pipe.recv(64):
            now = time.monotonic()
            for number in numbers:
                if number not in SIGNALS:
                    continue
                if came and now - came[0] > ONE_SIGNAL:
                    os._exit(128 + number)
                came.append(now)
                if len(came) == 1:
                    with contextlib.suppress(Exception):  # a second signal must still be heard
                        say(STOPPING)

    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    pipe_before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    # A handler must be there, or the process would end; the thread does what is to be done.
    before = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}
    thread = threading.Thread(target=listen, args=(ours,), name="signals", daemon=True)
    thread.start()
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(pipe_before)
        theirs.close()
        thread.join()
        ours.close()
