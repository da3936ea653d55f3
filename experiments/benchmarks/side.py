"""What each side of a benchmark offers for a case."""

import resource
import time
from collections.abc import Callable
from typing import NamedTuple


class Case(NamedTuple):
    """Work in units: training steps, or examples of a Fisher.

    Attributes:
      check: numbers that both sides must find, from the same first weights.
      run: does so many units, and returns when they are done.
    """

    check: Callable[[], list[float]]
    run: Callable[[int], None]


def measured(run: Callable[[int], None], units: int) -> dict[str, float]:
    """Seconds of so many units: by the clock, and of all processors together."""
    cpu, wall = cpu_seconds(), time.perf_counter()
    run(units)
    return {"wall": time.perf_counter() - wall, "cpu": cpu_seconds() - cpu}


def cpu_seconds() -> float:
    """User and system seconds of this process and all its threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_mib() -> float:
    """The largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
