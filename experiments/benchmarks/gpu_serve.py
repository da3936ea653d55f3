"""A side of ``gpu.py``: a process that gets cases ready and runs them, a line of JSON each."""

import fcntl
import json
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from side import Case, measured

Prepare = Callable[[list[str], Path, bool], Iterator[tuple[str, Any]]]
"""(names, folder, one at a time?) -> (name, future of (case, seconds)), as they are done."""


@contextmanager
def tuning(folder: Path) -> Iterator[None]:
    """Has the GPU to itself while algorithms are timed to choose the fastest."""
    with (folder / "tuning").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def serve(prepare: Prepare) -> None:
    """Answers until the input ends.

    ``{"prepare": names, "alone": bool}`` is answered by a line for each name, and
    ``{"run": name, "units": n}`` by what they took.
    """
    folder = Path(sys.argv[1])
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever else is printed is no answer
    ready: dict[str, Case] = {}

    def answer(**values: Any) -> None:
        print(json.dumps(values), file=answers, flush=True)

    def got(name: str, future: Any) -> None:
        try:
            ready[name], seconds = future.result()
            answer(name=name, seconds=seconds, check=ready[name].check())
        except Exception as error:  # one case must not cost the others
            traceback.print_exc()
            answer(name=name, error=f"{type(error).__name__}: {str(error)[:300]}")

    for line in sys.stdin:
        asked = json.loads(line)
        if "prepare" in asked:
            for name, future in prepare(asked["prepare"], folder, asked["alone"]):
                got(name, future)
        elif "drop" in asked:
            for name in asked["drop"]:
                ready.pop(name, None)
            answer(dropped=len(asked["drop"]))
        else:
            answer(**measured(ready[asked["run"]].run, asked["units"]))
