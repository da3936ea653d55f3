"""Settings say where they are declared what they may be: ranges, marks, how None is shown.

Light to import (no JAX), so that the command line answers at once.
"""

import dataclasses
import functools
import math
import numbers
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

from jaxcl.core.errors import UsageError

try:
    from tyro import conf
except ModuleNotFoundError:  # the core has no command line; settings are dataclasses still
    conf = None

MOST = 100_000_000  # of anything that is counted
MOST_EPOCHS = 100_000


class Range(NamedTuple):
    """Which numbers a setting may have.

    Attributes:
      low: the smallest number.
      high: the largest number, or infinity.
      open: whether the smallest number itself is left out.
      most: the largest whole number.
    """

    low: float
    high: float = math.inf
    open: bool = False
    most: int = MOST


TRACED = "traced"
T = TypeVar("T")
Positive = Annotated[T, Range(0, open=True)]
NonNegative = Annotated[T, Range(0)]
Unit = Annotated[T, Range(0, 1)]
PositiveEpochs = Annotated[T, Range(0, open=True, most=MOST_EPOCHS)]
Epochs = Annotated[T, Range(0, most=MOST_EPOCHS)]
Traced = Annotated[T, TRACED]
"""May differ between networks that one compiled program trains: it is a leaf of a state, or
it decides what happens between two tasks."""


def on_command_line(**options: Any) -> Any:
    """Returns a mark that says how the help shows a setting: ``tyro.conf.arg`` of some options."""
    return None if conf is None else conf.arg(**options)


OneOf = Annotated[T, on_command_line(metavar="STR")]
"""One of some words, which the text of the setting names."""


Bool = Annotated[bool, on_command_line(metavar="BOOL")]
"""True or False on a command line, as a word after the option."""


NOTHING = ("None", "", "''")  # as the parser shows them


def shown(text: str, kind: str) -> Any:
    """Marks how the help shows a setting that may be None, or empty.

    Args:
      text: what it shows as the default where that is nothing, such as ``all``.
      kind: what can be given: ``INT``, ``FLOAT``, ``STR`` or ``PATH``.
    """

    def hint(default: str) -> str:
        return f"(default: {text if default in NOTHING else default})"

    return on_command_line(help_behavior_hint=hint, metavar=kind)


Unseen = Annotated[Any, None if conf is None else conf.Suppress]
"""Type of a field that is no setting."""
NO_SETTING = {"setting": False}
"""Metadata of a field that is no setting: nobody types it, and no file keeps it."""


@functools.cache
def hints(kind: type) -> Mapping[str, Any]:
    """Types of a dataclass's settings by name, with their marks."""
    found, fields = typing.get_type_hints(kind, include_extras=True), dataclasses.fields(kind)
    return {f.name: found[f.name] for f in fields if f.metadata.get("setting", True)}


def marks(hint: Any) -> tuple[Any, ...]:
    """Returns all marks of a type, those within a union too.

    >>> marks(Traced[Positive[int] | None])
    ('traced', Range(low=0, high=inf, open=True, most=100000000))
    """
    own = tuple(getattr(hint, "__metadata__", ()))
    if own:
        return own + marks(typing.get_args(hint)[0])
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return sum((marks(part) for part in typing.get_args(hint)), ())
    return ()


def plain(hint: Any) -> Any:
    """Returns a type without its marks and without None.

    >>> plain(Traced[Positive[int] | None])
    <class 'int'>
    """
    if hasattr(hint, "__metadata__"):
        return plain(typing.get_args(hint)[0])
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        parts = [part for part in typing.get_args(hint) if part is not types.NoneType]
        return plain(parts[0])
    return hint


def traced(kind: type) -> frozenset[str]:
    """Returns the names of the fields that are marked :data:`Traced`."""
    return frozenset(name for name, hint in hints(kind).items() if TRACED in marks(hint))


def give_way(settings: Any) -> None:
    """Sets to None what is at its default, where another setting that excludes it is given.

    What excludes each other stands in the class's ``exclusive``: groups of names.
    """
    defaults = {field.name: field.default for field in dataclasses.fields(settings)}
    for group in settings.exclusive:
        own = [name for name in group if getattr(settings, name) not in (None, defaults[name])]
        for name in group:
            if own and name not in own:
                object.__setattr__(settings, name, None)  # frozen, but still being made


def check_ranges(settings: Any) -> None:
    """Raises a :class:`UsageError` for the first field that is not in its range."""
    for name, hint in hints(type(settings)).items():
        value, kind = getattr(settings, name), plain(hint)
        if typing.get_origin(kind) is typing.Literal and value is not None:
            if value not in typing.get_args(kind):
                raise UsageError(f"{name}: {value!r}; give {' or '.join(typing.get_args(kind))}")
        elif kind is int and not isinstance(value, numbers.Integral | None):
            raise UsageError(f"{name}: {value!r} is no whole number; give one")
        elif kind is Path and not isinstance(value, Path | str | None):
            raise UsageError(f"{name}: {value!r} is no path; give one")
        for mark in marks(hint):
            if isinstance(mark, Range) and value is not None:
                _check_range(name, value, mark)


def _check_range(name: str, value: Any, allowed: Range) -> None:
    low, high, is_open, most = allowed
    if not issubclass(type(value), numbers.Real):
        raise UsageError(f"{name}: {value!r} is no number; give one")
    if value != value:
        raise UsageError(f"{name}: {value} is no number; give one")
    if high < math.inf and not low <= value <= high:
        raise UsageError(f"{name}: {value} is outside [{low}, {high}]")
    if is_open and not value > low:
        raise UsageError(f"{name}: {value} is not positive; give a number above 0")
    if not value >= low:
        raise UsageError(f"{name}: {value} is negative; give 0 or more")
    if isinstance(value, float) and value == math.inf:
        raise UsageError(f"{name}: too large; give a finite number")
    if isinstance(value, int) and value > most:
        raise UsageError(f"{name}: more than {most}; give fewer")
