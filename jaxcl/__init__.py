"""Continual learning in JAX: composable loss transforms and growing networks.

A network learns one task after another without the old data, and must not forget. jaxcl is made
of two things: loss transforms, which turn one loss into another as optax turns one gradient into
another (`jaxcl.transforms`), and networks that grow new heads, branches and columns
(`jaxcl.networks`). A method, such as elastic weight consolidation, is a choice of both
(`jaxcl.methods`).

There are three ways to use it. The first is a command: it learns a scenario by name, shows
progress, and writes the run to a folder:

    jaxcl scenario --scenario=split-mnist --method=ewc
    jaxcl scenario --list

The second is a program: `jaxcl.fit` does the same with tasks (`jaxcl.Task`), methods and networks
of one's own, and returns a `jaxcl.Result`, which `jaxcl.load` reads again later:

    tasks = [jaxcl.Task("first", x, y, x_test, y_test), jaxcl.Task("second", ...)]
    result = jaxcl.fit(
        tasks,
        method=jaxcl.methods.EWC(1e4),
        network=jaxcl.networks.MLP((100, 100)),
        setting="class",
        out="runs/mine",
    )
    result.accuracy  # [seed, after task, task] in percent

Data are read by `jaxcl.read_data` and `jaxcl.from_huggingface`, and one data set becomes several
tasks by `jaxcl.split_classes`. A network of Flax or Equinox is taken by `jaxcl.from_linen`,
`jaxcl.from_nnx` and `jaxcl.from_equinox`, any other one by `jaxcl.from_functions`. What a program
registers (`jaxcl.register_method`, `jaxcl.register_network`, `jaxcl.register_scenario`,
`jaxcl.register_dataset`, `jaxcl.register_logger`) has a name in the command as well, which is
given ``--plugin FILE``.

The third is a training loop of one's own: `jaxcl.transforms.chain` puts transforms together, and
`jaxcl.transforms.gradients` returns the gradient of the loss that they make. This needs no
more than the core that ``pip install jaxcl`` brings, whatever the network library:

    transform = chain(ewc=ewc(1e4), l2=l2(1e-4))
    state = transform.init(params)
    for task in tasks:  # a TaskData each
        state = transform.begin_task(state, params, task, key)
        for batch in batches(task):
            found = gradients(transform, state, loss_of, Context(params, None, batch), forward)
            params, before = update(params, found.gradient), params  # the optimiser's step
            state = transform.update(state, found.step(params))
        state, params = transform.end_task(state, params, task, key)

In all texts accuracies are in percent unless a fraction is said, losses in nats, and ``[b, ...]``
is the shape of an array, with the examples first.
"""

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

__docformat__ = "google"  # how pdoc reads docstrings
__version__ = "0.2.0"
__all__ = [
    "Interrupted", "Result", "Task", "Training", "fit", "from_equinox", "from_functions",
    "from_huggingface", "from_linen", "from_nnx", "load", "methods", "networks", "read_data",
    "register_dataset", "register_logger", "register_method", "register_network",
    "register_scenario", "split_classes", "transforms",
]  # fmt: skip


def public(package: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """Makes a package's ``__getattr__``: its names are imported when they are asked for (PEP 562).

    So a room can name what it offers, and one of its files be imported without JAX.  What was found
    stays in the package's dictionary: it is found faster later, and where pdoc looks for it.

    Args:
      package: its name.
      names: public name -> file of the package that has it, which has another name.

    A name whose file needs an extra that is not installed raises a
    :class:`jaxcl.extras.MissingExtra`, an ImportError of one line.
    """

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            found = getattr(importlib.import_module(f"{package}.{names[name]}"), name)
        except ModuleNotFoundError as error:
            from jaxcl import extras

            raise extras.explained(f"{package}.{name}", error) from None
        setattr(sys.modules[package], name, found)
        return found

    return find


if TYPE_CHECKING:
    from jaxcl import methods, networks, transforms
    from jaxcl.front.fitting import fit
    from jaxcl.front.own_data import from_huggingface, read_data, split_classes
    from jaxcl.front.registry import (
        register_dataset,
        register_logger,
        register_method,
        register_network,
        register_scenario,
    )
    from jaxcl.front.results import Result, load
    from jaxcl.networks import from_equinox, from_functions, from_linen, from_nnx
    from jaxcl.runner.interrupt import Interrupted
    from jaxcl.scenarios.task import Task
    from jaxcl.training.settings import Training

_ROOMS = "methods", "networks", "transforms"
_NAMES = public(
    __name__,
    {
        "Interrupted": "runner.interrupt",
        "Result": "front.results",
        "Task": "scenarios.task",
        "Training": "training.settings",
        "fit": "front.fitting",
        "from_huggingface": "front.own_data",
        "read_data": "front.own_data",
        "split_classes": "front.own_data",
        "from_equinox": "networks.adapters.equinox",
        "from_functions": "networks.adapters.functions",
        "from_linen": "networks.adapters.linen",
        "from_nnx": "networks.adapters.nnx",
        "load": "front.results",
        "register_dataset": "front.registry",
        "register_logger": "front.registry",
        "register_method": "front.registry",
        "register_network": "front.registry",
        "register_scenario": "front.registry",
    },
)


def __getattr__(name: str) -> Any:
    if name in _ROOMS:  # ``import jaxcl`` is enough to say ``jaxcl.methods.EWC``
        return importlib.import_module(f"{__name__}.{name}")
    return _NAMES(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})  # for help() and for completion
