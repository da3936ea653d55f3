"""What :func:`jaxcl.fit` is given, looked at before anything is done with it."""

import dataclasses
import numbers
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from jaxcl.core.errors import UsageError
from jaxcl.core.fields import hints
from jaxcl.methods import METHODS
from jaxcl.methods.base import Method
from jaxcl.networks.choices import Network
from jaxcl.scenarios.task import Task

A_METHOD = "a name, or a method such as jaxcl.methods.EWC()"
NETWORKS = "a name, jaxcl.networks.MLP(), or a network of your own by jaxcl.from_linen, say"


def tasks_of(tasks: Any) -> list[Task] | None:
    """Returns tasks as a list, however they are given; None for the name of a scenario.

    Raises:
      UsageError: a single task, or what holds something else.

    >>> tasks_of({"digits": 0})
    Traceback (most recent call last):
    jaxcl.core.errors.UsageError: tasks: str is among them; give jaxcl.Task(name, x, y, x, y)
    """
    if isinstance(tasks, str):
        return None
    if isinstance(tasks, Task):
        raise UsageError("tasks: a single Task is given; give a list, [task]")
    try:
        each_once = iter(tasks)
    except TypeError as error:
        remedy = "give one of jaxcl.Task, or a scenario"
        raise UsageError(f"tasks: {type(tasks).__name__} is no list; {remedy}") from error
    found = list(each_once)
    for each in found:
        if not isinstance(each, Task):
            kind = type(each).__name__
            raise UsageError(f"tasks: {kind} is among them; give jaxcl.Task(name, x, y, x, y)")
    return found


def check_arguments(method: Any, network: Any) -> None:
    """Raises a UsageError for a method or a network of another kind than :func:`jaxcl.fit` takes.

    >>> check_arguments(Method, None)
    Traceback (most recent call last):
    jaxcl.core.errors.UsageError: method: Method is a class; give a method of it, Method()
    """
    _check_kind("method", method, Method, A_METHOD)
    if isinstance(method, Method) and METHODS.get(method.name) is not type(method):
        name = type(method).__name__
        raise UsageError(f"method: {name} is unknown; put @jaxcl.register_method above its class")
    if network is not None:
        _check_kind("network", network, Network, NETWORKS)


def check_given(settings: Mapping[str, Any], **parts: Any) -> None:
    """Raises a UsageError for a setting that stands beside the object that has it.

    >>> check_given({"strength": 2.0}, method=METHODS["ewc"]())
    Traceback (most recent call last):
    jaxcl.core.errors.UsageError: strength: given beside method=EWC(...); give it there
    """
    for part, value in parts.items():
        if dataclasses.is_dataclass(value):
            for name in settings.keys() & hints(type(value)).keys():
                kind = type(value).__name__
                raise UsageError(f"{name}: given beside {part}={kind}(...); give it there")


def _check_kind(name: str, value: Any, kind: type, remedy: str) -> None:
    if isinstance(value, type) and issubclass(value, kind):
        made = value.__name__
        raise UsageError(f"{name}: {made} is a class; give a {name} of it, {made}()")
    if not isinstance(value, str | kind):
        raise UsageError(f"{name}: {type(value).__name__} is none; give {remedy}")


def plain_number(value: Any) -> Any:
    """Returns a number of NumPy's as one of Python's, and anything else as it is.

    >>> plain_number(np.float64(0.5)), plain_number("mlp")
    (0.5, 'mlp')
    """
    return value.item() if isinstance(value, np.generic) else value


def seeds_of(seeds: Any) -> tuple[int, ...]:
    """Returns seeds as a tuple.

    Raises:
      UsageError: a single number, or what is no whole number.

    >>> seeds_of(range(2))
    (0, 1)
    >>> seeds_of(2)
    Traceback (most recent call last):
    jaxcl.core.errors.UsageError: seeds: 2 is no list; give range(2) for 2 of them, or [2]
    """
    if isinstance(seeds, numbers.Integral):
        remedy = f"give range({seeds}) for {seeds} of them, or [{seeds}]"
        raise UsageError(f"seeds: {seeds} is no list; {remedy}")
    if isinstance(seeds, str) or not isinstance(seeds, Iterable):
        raise UsageError(f"seeds: {seeds!r} is no list of whole numbers; give [0], say")
    found = tuple(seeds)
    for seed in found:
        if not isinstance(seed, numbers.Integral) or isinstance(seed, bool):
            raise UsageError(f"seeds: {seed!r} is no whole number; give [0], say")
    return tuple(int(seed) for seed in found)
