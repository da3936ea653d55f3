"""The configuration of a run as a file, and back."""

import dataclasses
import tomllib
import types
import typing
from pathlib import Path
from typing import Any, Literal, TypeVar

from jaxcl.core.errors import UsageError, check_name

Settings = TypeVar("Settings")


def to_toml(config: Any) -> str:
    """Writes a dataclass of settings as TOML; settings that are None are left out."""
    import tomli_w

    items = dataclasses.asdict(config).items()
    return tomli_w.dumps(
        {k: str(v) if isinstance(v, Path) else v for k, v in items if v is not None}
    )


def from_toml(kind: type[Settings], text: str) -> Settings:
    """Reads settings that :func:`to_toml` wrote.

    Args:
      kind: the dataclass that they are settings of.
      text: in TOML.

    Raises:
      UsageError: not TOML, an unknown setting, or a value of another type.
    """
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"not TOML: {str(error)[:100]}") from error
    hints = typing.get_type_hints(kind)
    for name in values:
        check_name("setting", name, hints)
    fields = dataclasses.fields(kind)  # pyright: ignore[reportArgumentType]
    missing = [f.name for f in fields if f.default is not None]
    missing = [name for name in missing if name not in values]
    if missing:
        raise UsageError(
            f"{missing[0]}: missing; the file was cut off, or another version of jaxcl wrote it"
        )
    return kind(**{name: _typed(name, value, hints[name]) for name, value in values.items()})


def _typed(name: str, value: Any, hint: Any) -> Any:
    """A value from TOML as the type of a setting; UsageError if it is of another."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not types.NoneType)
    kind = typing.get_origin(hint) or hint
    if kind is Literal:
        choices = typing.get_args(hint)
        if value not in choices:
            raise UsageError(f"{name}: {value!r} is none of {', '.join(choices)}")
        return value
    if kind is tuple and isinstance(value, list):
        return tuple(_typed(name, part, int) for part in value)
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind is float and type(value) is int and abs(value) < 2**53:
        return float(value)
    if type(value) is kind and kind is not tuple:
        return value
    raise UsageError(f"{name}: {value!r} is of the wrong type")
