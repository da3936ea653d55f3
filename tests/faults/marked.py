"""The scenario command, with a file that says what it is doing at any moment.

    python tests/faults/marked.py FILE [options of the command]

The file holds two bytes: what the run does, and what the thread that saves does.
They are written through a shared memory map, so they stay when the process is
killed.  Each byte is a position in ``MOMENTS``.
"""

import functools
import mmap
import sys
from pathlib import Path

MOMENTS = ("starting", "growth", "training", "evaluation", "end of a task", "finishing", "saving")
RUN, SAVER = 0, 1


def read(path: Path) -> list[str]:
    """What a process was doing when it was killed: the run, and the saver if it worked."""
    seed_loop, saver = path.read_bytes()
    return [MOMENTS[seed_loop], *([MOMENTS[saver]] if saver else [])]


def main() -> None:
    file, *sys.argv[1:] = sys.argv[1:]
    Path(file).write_bytes(bytes(2))
    with open(file, "r+b") as opened:
        marks = mmap.mmap(opened.fileno(), 2)

    def mark(module, name: str, moment: str, slot: int = RUN) -> None:
        """Says so while a function runs."""
        inner = getattr(module, name)

        @functools.wraps(inner)
        def call(*args, **kwargs):
            before, marks[slot] = marks[slot], MOMENTS.index(moment)
            try:
                return inner(*args, **kwargs)
            finally:
                marks[slot] = before

        setattr(module, name, call)

    from jaxcl.checkpointing import checkpoint
    from jaxcl.experiments import scenario
    from jaxcl.learner import seed_loop
    from jaxcl.runner import recorder
    from jaxcl.training import vectorized

    mark(seed_loop, "begin", "growth")
    mark(seed_loop, "plan_epoch", "training")
    mark(vectorized, "_made", "training")
    mark(seed_loop, "test", "evaluation")
    mark(seed_loop, "end", "end of a task")
    mark(recorder, "_finish", "finishing")
    mark(recorder, "_save_params", "finishing")
    mark(checkpoint, "write", "saving", SAVER)
    mark(checkpoint, "clean", "saving", SAVER)
    scenario.run()


if __name__ == "__main__":
    main()
