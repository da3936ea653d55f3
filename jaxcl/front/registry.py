"""What a program or a plug-in adds: methods, networks, scenarios, data sets, loggers."""

import dataclasses
import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from jaxcl.checkpointing import run_folder
from jaxcl.core.errors import UsageError
from jaxcl.learner.settings.protocols import SCENARIOS, Protocol, Scenario
from jaxcl.methods import METHODS
from jaxcl.methods.base import Method
from jaxcl.networks.choices import NETWORKS, Network, Spec
from jaxcl.reporting.loggers.base import Logger
from jaxcl.reporting.loggers.known import LOGGERS
from jaxcl.scenarios.datasets.sources import REGISTERED
from jaxcl.scenarios.task import Task

Kind = TypeVar("Kind", bound=type)


def register_method(kind: Kind) -> Kind:
    """Makes a method known by the name of its class: ``DecayingEWC`` is ``decaying_ewc``.

    Args:
      kind: a frozen dataclass, a subclass of :class:`jaxcl.methods.Method` with a ``summary``.

    Raises:
      UsageError: no such class, or a name that is taken.

    >>> @register_method
    ... @dataclasses.dataclass(frozen=True)
    ... class Nothing(Method):
    ...     summary = "does nothing"
    >>> METHODS.pop("nothing") is Nothing
    True
    """
    if not (isinstance(kind, type) and issubclass(kind, Method)):
        raise UsageError(f"method: {kind!r} is no subclass of jaxcl.methods.Method; derive it")
    if "__dataclass_fields__" not in vars(kind) or not kind.summary:
        raise UsageError(
            f"method: {kind.__name__} lacks a summary, or @dataclasses.dataclass(frozen=True) below"
            " @register_method; give both"
        )
    name = _small(kind.__name__)
    _check_new("method", name, METHODS, kind)
    kind.registered_as = name
    METHODS[name] = kind
    return kind  # pyright: ignore[reportReturnType]


def register_network(make: Any) -> Any:
    """Makes a network known by its name: that of a function, or of a class in ``snake_case``.

    Args:
      make: returns a network (``jaxcl.from_linen(...)`` and the like); its keyword arguments
        with defaults and types become options. Or a subclass of
        :class:`jaxcl.networks.Network`.

    Raises:
      UsageError: an argument without a type or a default, or a name that is taken.

    >>> @register_network
    ... def my_net(width: int = 64) -> Network:
    ...     ...
    >>> NETWORKS.pop("my_net")(width=8)
    MyNet(width=8)
    """
    if isinstance(make, type) and issubclass(make, Network):
        name = _small(make.__name__)
        _check_new("network", name, NETWORKS, make)
        NETWORKS[name] = make
        return make
    name, kind = make.__name__, _network_of(make)
    _check_new("network", name, NETWORKS, kind)
    NETWORKS[name] = kind
    return make


def _network_of(function: Callable[..., Network]) -> type[Network]:
    """The settings of a network that a function makes."""
    fields: list[Any] = []
    for each in inspect.signature(function, eval_str=True).parameters.values():
        if each.default is each.empty or each.annotation is each.empty:
            raise UsageError(
                f"network: {function.__name__} has the argument {each.name!r} without a type or a"
                f" default; give both, as in {each.name}: int = 64"
            )
        fields.append((each.name, each.annotation, dataclasses.field(default=each.default)))

    def made(self: Network) -> Network:
        found = function(**{name: getattr(self, name) for name, *_ in fields})
        if not isinstance(found, Network):
            kind = type(found).__name__
            text = f"{function.__name__} returned a {kind}; return jaxcl.from_linen(...), say"
            raise UsageError(f"network: {text}")
        return found

    def make(self: Network, inputs: Spec, *, columns: bool = False) -> Any:
        return made(self).make(inputs, columns=columns)

    lines = (inspect.getdoc(function) or f"the network {function.__name__}").splitlines()
    body = {
        "summary": lines[0].rstrip("."),
        "make": make,
        "has_branches": property(lambda self: made(self).has_branches),
        "__doc__": lines[0],
        "__module__": function.__module__,
    }
    title = function.__name__.title().replace("_", "")
    return dataclasses.make_dataclass(title, fields, bases=(Network,), namespace=body, frozen=True)


def register_scenario(
    make: Callable[[], Sequence[Task]], *, summary: str = "", protocol: Protocol | None = None
) -> Callable[[], Sequence[Task]]:
    """Makes a scenario known by its name: that of a function that returns the tasks.

    Args:
      make: returns the tasks, in order.
      summary: one line for a person; by default the first of the function's docstring.
      protocol: settings that go with it.

    Raises:
      UsageError: a name that is taken.

    >>> @register_scenario
    ... def my_tasks() -> list[Task]:
    ...     "Two tasks of mine."
    ...     ...
    >>> SCENARIOS.pop("my-tasks").summary
    'Two tasks of mine.'
    """
    name = make.__name__.replace("_", "-")
    lines = (summary or inspect.getdoc(make) or name).splitlines()
    entry = Scenario(lines[0], (), protocol or Protocol(), make=make)
    _check_new("scenario", name, SCENARIOS, make)
    SCENARIOS[name] = entry
    return make


def register_dataset(read: Callable[[], Task]) -> Callable[[], Task]:
    """Makes a data set known by its name: that of a function that returns it as one task.

    ``--data NAME --split-classes 2`` then makes tasks of it.

    Args:
      read: returns the data set, a :class:`Task` of all classes.

    Raises:
      UsageError: a name that is taken.

    >>> @register_dataset
    ... def my_digits() -> Task:
    ...     ...
    >>> REGISTERED.pop("my_digits") is my_digits
    True
    """
    name = read.__name__
    _check_new("data set", name, REGISTERED, read)
    REGISTERED[name] = read
    return read


def register_logger(kind: Kind) -> Kind:
    """Makes a logger known by its name, that of its class in ``snake_case``: ``--log NAME``.

    Args:
      kind: a subclass of ``jaxcl.reporting.loggers.Logger``.

    Raises:
      UsageError: no such class, or a name that is taken, by a file of a run's folder too.

    >>> @register_logger
    ... class OneLine(Logger):
    ...     def take(self, event):
    ...         print(event.metrics)
    >>> LOGGERS.pop("one_line") is OneLine
    True
    """
    if not (isinstance(kind, type) and issubclass(kind, Logger)):
        raise UsageError(
            f"log: {kind!r} is no subclass of jaxcl.reporting.loggers.Logger; derive it"
        )
    name = _small(kind.__name__)
    if name in run_folder.FILES and name not in LOGGERS:
        raise UsageError(f"log: {name!r} is a part of every run's folder; choose another name")
    _check_new("log", name, LOGGERS, kind)
    LOGGERS[name] = kind
    return kind  # pyright: ignore[reportReturnType]


def _small(name: str) -> str:
    """A class's name as that of a file.

    >>> _small("ShrinkPerturb"), _small("EWC"), _small("L2SP")
    ('shrink_perturb', 'ewc', 'l2_sp')
    """
    return re.sub("(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _check_new(what: str, name: str, known: Any, new: Any) -> None:
    """Refuses a name that is taken by something else; the same file may be loaded again."""
    old = known.get(name)
    if old is None:
        return
    of = old.make if isinstance(old, Scenario) else old
    if getattr(of, "__qualname__", 0) != getattr(new, "__qualname__", 1) or (
        str(getattr(of, "__module__", "")).startswith("jaxcl.")
    ):
        raise UsageError(f"{what}: {name!r} is taken; choose another name")
