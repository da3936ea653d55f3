"""Settings as a file, and back: a table for each part."""

import dataclasses
import tomllib
import types
import typing
from pathlib import Path
from typing import Any, Literal, TypeVar

from jaxcl.core.errors import UsageError, check_name
from jaxcl.core.fields import hints, plain

Settings = TypeVar("Settings")
NAME = "name"
"""Key of the name of a part that comes in several kinds."""


def to_toml(settings: Any) -> str:
    """Writes a dataclass of settings, and of parts, as TOML; what is None is left out."""
    import tomli_w

    return tomli_w.dumps(_table(settings))


def _table(settings: Any) -> dict[str, Any]:
    kind = type(settings)
    found = {NAME: settings.name} if hasattr(kind, "kinds") else {}
    for name in hints(kind):
        value = getattr(settings, name)
        if dataclasses.is_dataclass(value):
            found[name] = _table(value)
        elif value is not None:
            found[name] = str(value) if isinstance(value, Path) else value
    return found


def from_toml(kind: type[Settings], text: str) -> Settings:
    """Reads settings that :func:`to_toml` wrote.

    Args:
      kind: the dataclass that they are settings of. A part that comes in several kinds has a
        class method ``kinds() -> name -> dataclass``.
      text: in TOML.

    Raises:
      UsageError: not TOML, an unknown setting, or a value of another type.
    """
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"not TOML: {str(error)[:100]}") from error
    return _settings(kind, values)


def _settings(kind: type[Any], values: dict[str, Any]) -> Any:
    """The dataclass that a table holds."""
    if hasattr(kind, "kinds"):
        values, kinds = dict(values), kind.kinds()
        name = values.pop(NAME, None)
        if not isinstance(name, str):
            raise UsageError(f"{NAME}: missing in a part; {ANEW}")
        check_name(NAME, name, kinds)
        kind = kinds[name]
    known = hints(kind)
    for name, value in values.items():
        if dataclasses.is_dataclass(plain(known.get(name))) and not isinstance(value, dict):
            raise UsageError(f"{name}: {value!r}; an earlier version of jaxcl wrote it; {ANEW}")
    for name in values:
        check_name("setting", name, known)
    missing = [n for n, hint in known.items() if n not in values and not _optional(hint)]
    if missing:
        raise UsageError(
            f"{missing[0]}: missing; the file was cut off, or another version of jaxcl wrote it;"
            f" {ANEW}"
        )
    given = {n: _value(n, values[n], hint) if n in values else None for n, hint in known.items()}
    return kind(**given)


ANEW = "begin anew in another folder"


def _optional(hint: Any) -> bool:
    """Whether a setting may be None."""
    if hasattr(hint, "__metadata__"):
        return _optional(typing.get_args(hint)[0])
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return union and types.NoneType in typing.get_args(hint)


def _value(name: str, value: Any, hint: Any) -> Any:
    """A value from TOML as the type of a setting; UsageError if it is of another."""
    hint = plain(hint)
    kind = typing.get_origin(hint) or hint
    if dataclasses.is_dataclass(hint):
        return _settings(hint, value)  # pyright: ignore[reportArgumentType]
    if kind is Literal:
        choices = typing.get_args(hint)
        if value not in choices:
            raise UsageError(f"{name}: {value!r} is none of {', '.join(choices)}")
        return value
    if kind is tuple and isinstance(value, list):
        (of, *_) = typing.get_args(hint)
        return tuple(_value(name, part, of) for part in value)
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind is float and type(value) is int and abs(value) < 2**53:
        return float(value)
    if type(value) is kind and kind is not tuple:
        return value
    raise UsageError(f"{name}: {value!r} is of the wrong type")
