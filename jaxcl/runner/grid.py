"""Values of settings to try, from their text: ``strength=1e2:1e10:9``, ``start=copy,fresh``."""

import itertools
import re
import typing
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from jaxcl.core.errors import UsageError, check_name
from jaxcl.core.fields import MOST, hints, plain
from jaxcl.learner.settings.config import Config, known_settings, unknown
from jaxcl.methods.replay import REPLAYS
from jaxcl.networks.choices import NETWORKS
from jaxcl.reporting.labels import label

MOST_VALUES = 1000  # of one setting
LONGEST = 200  # characters of a folder's name
MEASURED = {"setting", "tasks", "order", "split_classes", "limit", "validation"}
"""Settings that change what is measured; results with several values say nothing."""


def axes(texts: Sequence[str], config: Config) -> dict[str, list[Any]]:
    """Returns setting -> its values, in the order they were given.

    ``name=a,b,c`` lists values; ``name=first:last:n`` are ``n`` values from the first to
    the last, each the same multiple of the one before.  ``method.name`` is ``name``.

    Args:
      texts: one for each setting.
      config: whose settings are varied.

    Raises:
      UsageError: no such setting, one that cannot be varied, or a value it cannot have.
    """
    types, found = _types(config), {}
    if not texts:
        raise UsageError("grid: nothing to vary; give --grid strength=1e2:1e6:5, say")
    for text in texts:
        name, equals, values = text.partition("=")
        name = name.removeprefix(f"{config.method.name}.").replace("-", "_")
        if not equals:
            raise UsageError(f"grid: {text!r} has no values; give {text}=1,10, say")
        if "." in name:
            method = config.method.name
            raise UsageError(f"grid: {name!r}, but the method is {method}; leave the dot out")
        if name in types and not _varies(name, types[name]):
            words = ", or declare its words, Literal[...]" if types[name] is str else ""
            raise UsageError(f"grid: {name} cannot be varied; give it as an option{words}")
        if name not in types and name in known_settings():
            raise UsageError(f"grid: {unknown(name, config)}")
        check_name("grid", name, [n for n, kind in types.items() if _varies(n, kind)])
        if name in found:
            raise UsageError(f"grid: {name} is there twice; give all its values at once")
        found[name] = _values(name, values, types[name])
    return found


def _types(config: Config) -> dict[str, Any]:
    """The type of each setting of a configuration, those that say which parts it has too."""
    found = {n: plain(hint) for _, part in config.parts() for n, hint in hints(type(part)).items()}
    names = {"net": Literal[tuple(NETWORKS)], "replay": Literal[tuple(REPLAYS)]}
    return found | names | {"seeds": tuple, "together": int}


def points(varied: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Returns all combinations; the last setting changes fastest.

    Raises:
      UsageError: so many settings that a folder cannot be named after them.

    >>> points({"xi": [1.0, 2.0], "start": ["copy"]})
    [{'xi': 1.0, 'start': 'copy'}, {'xi': 2.0, 'start': 'copy'}]
    """
    combined = itertools.product(*varied.values())
    found = [dict(zip(varied, values, strict=True)) for values in combined]
    if max(len(label(point)) for point in found) > LONGEST:
        raise UsageError("grid: too many settings for the name of a folder; vary fewer")
    return found


def _varies(name: str, hint: Any) -> bool:
    simple = hint in (int, float, bool) or typing.get_origin(hint) is Literal
    return simple and name not in MEASURED | {"together"}


def _values(name: str, text: str, hint: Any) -> list[Any]:
    parts = text.split(",")
    if hint is int and ":" in text:
        raise UsageError(f"grid: {name}={text!r}, but these are whole numbers; list them")
    if hint is float and ":" in text:
        found = _spaced(name, text)
    elif hint in (int, float):
        found = [_number(name, part, hint) for part in parts]
    else:
        known = {"true": True, "false": False, "True": True, "False": False}
        known = known if hint is bool else None
        known = known or {choice: choice for choice in typing.get_args(hint)}
        for part in parts:
            check_name(f"grid, {name}", part, known)
        found = [known[part] for part in parts]
    if len(set(found)) < len(found):
        raise UsageError(f"grid: {name} has a value twice; give each once")
    return found


def _number(name: str, text: str, kind: type) -> Any:
    try:
        return kind(text)
    except ValueError as error:
        what = "whole number" if kind is int else "number"
        raise UsageError(f"grid: {name}={text!r} is no {what}; give {name}=1,10, say") from error


def _spaced(name: str, text: str) -> list[float]:
    form = re.fullmatch(r"([^:]+):([^:]+):([0-9]{1,4})", text)
    if form is None:
        raise UsageError(f"grid: {name}={text!r} is not first:last:n, as in {name}=1e2:1e6:5")
    first, last = (_number(name, part, float) for part in form.groups()[:2])
    n = int(form[3])
    if not (0 < first <= MOST**2 and 0 < last <= MOST**2):
        raise UsageError(f"grid: {name}={text!r}; give a first and a last value above 0")
    if not 2 <= n <= MOST_VALUES:
        raise UsageError(f"grid: {name}={text!r} are {n} values; give 2 to {MOST_VALUES}")
    return [float(f"{value:.6g}") for value in np.geomspace(first, last, n)]
