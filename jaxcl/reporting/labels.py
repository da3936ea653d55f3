"""Points of a grid as text, and how much of a table has room.

Light to import (no JAX), so that finished runs are shown at once.
"""

from typing import Any

SHOWN = 20  # tasks whose accuracies have room side by side


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
