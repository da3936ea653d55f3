"""What each side of a benchmark offers for a case."""

import ctypes
import resource
import time
from collections.abc import Callable
from typing import NamedTuple

MALLOC = {  # number of a parameter in glibc's malloc.h, and its value
    "M_TRIM_THRESHOLD": (-1, 2**31 - 1),
    "M_TOP_PAD": (-2, 2**29),
    "M_MMAP_MAX": (-4, 0),
    "M_ARENA_MAX": (-8, 1),
}


class Case(NamedTuple):
    """StepRequest in units: training steps, or examples of a Fisher.

    Attributes:
      check: numbers that both sides must find, from the same first weights.
      run: does so many units, and returns when they are done.
    """

    check: Callable[[], list[float]]
    run: Callable[[int], None]


def measured(run: Callable[[int], object], units: int) -> dict[str, float]:
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


def keep_freed_memory() -> None:
    """Has the C library keep freed memory for the next use, in one arena (glibc alone).

    Each training step frees and asks for the same large arrays; given back to the system,
    their pages are fetched and cleared again every time, which on a CPU can cost more than
    the arithmetic.  To be called before JAX starts its threads.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return
    for name, value in MALLOC.values():
        mallopt(name, value)
