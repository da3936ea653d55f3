"""Names as text: those of tasks where room is short, and points of a grid.

Light to import (no JAX), so that finished runs are shown at once.
"""

from collections.abc import Sequence
from typing import Any

SHOWN = 20  # tasks of which a matrix of accuracies is shown whole
SHORTEST = 8  # characters of a task's name, where room is short


def shortened(name: str, most: int) -> str:
    """Shortens a name in its middle; where names differ is at their ends.

    Args:
      name: of a task, say.
      most: characters that it may have, at least 4.

    >>> shortened("cifar100-0-1-2-3-4-5-6-7-8-9", 13)
    'cifar100-0…-9'
    >>> shortened("digits", 13)
    'digits'
    """
    if len(name) <= most:
        return name
    last = max(2, (most - 1) // 5)
    return f"{name[: most - 1 - last]}…{name[-last:]}"


def lengths(names: Sequence[str]) -> range:
    """Returns how long names may be, from their whole length down."""
    longest = max(map(len, names))
    return range(max(longest, SHORTEST), SHORTEST - 1, -1)


def label(point: dict[str, Any]) -> str:
    """Writes a point as text, which can be the name of a folder.

    >>> label({"strength": 1000.0, "start": "copy"})
    'strength=1000,start=copy'
    """
    return ",".join(f"{name}={value_text(value)}" for name, value in point.items())


def value_text(value: Any) -> str:
    """Writes a value as short as it can be told from others."""
    short = f"{value:.6g}" if isinstance(value, float) else str(value)
    return short if not isinstance(value, float) or float(short) == value else repr(value)
