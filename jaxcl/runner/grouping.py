"""Settings that differ in numbers alone: what is trained with them can be one program.

A strength is a leaf of a state, not a part of what is compiled.  So the points of a grid
are compiled once and, where ``together`` says so, trained side by side.
"""

import dataclasses
import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, TypeVar

import jax

from jaxcl.core.fields import traced
from jaxcl.core.sharding import SEED, size
from jaxcl.growth.plasticity import hidden_units
from jaxcl.learner.build import check_config, make_optimizer, transform
from jaxcl.learner.settings.config import Config
from jaxcl.learner.state import Setup
from jaxcl.scenarios.inputs import spec_of
from jaxcl.training.learner_state import Learner

Name = TypeVar("Name", bound=Hashable)


def untraced(config: Config) -> Config:
    """Returns the configuration with the usual values of all settings that one program can vary."""
    usual: dict[str, Any] = {}
    for name, part in config.parts():
        default = type(part)()
        own = {each: getattr(default, each) for each in traced(type(part))}
        usual[name] = dataclasses.replace(part, **own)
    return dataclasses.replace(config, **usual)


def groups(configs: Mapping[Name, Config]) -> list[dict[Name, Config]]:
    """Groups configurations that are trained side by side, with the settings to do so.

    Args:
      configs: ``together`` is how many networks are trained at once, all seeds of a
        configuration before another; None for all, on a CPU one.

    Returns:
      Groups of configurations; where ``together`` was given, it is now how many seeds of
      each are trained at once.

    Raises:
      UsageError: a configuration that cannot be run.
    """
    found: dict[Config, list[dict[Name, Config]]] = {}
    for name, config in configs.items():
        seeds = len(config.seeds)
        one = jax.default_backend() == "cpu" and size(SEED) == 1
        at_once = config.together or (1 if one else len(configs) * seeds)
        own = min(config.together, seeds) if config.together else None
        config = dataclasses.replace(config, together=own)
        like = untraced(check_config(config))
        parts = found.setdefault(like, [{}])
        if len(parts[-1]) == max(1, at_once // seeds):
            parts.append({})
        parts[-1][name] = config
    return [part for parts in found.values() for part in parts]


def at_once(configs: Mapping[Name, Config]) -> int:
    """Returns how many networks every program of :func:`groups` can be dealt out as, evenly."""
    many = {
        name: dataclasses.replace(
            config, together=config.together or len(configs) * len(config.seeds)
        )
        for name, config in configs.items()
    }
    found = [
        len(part) * (config.together or 1) for part in groups(many) for config in part.values()
    ]
    return math.gcd(*found)


def set_up_like(setup: Setup, config: Config) -> Setup:
    """Makes a setup for settings that differ from those of another in numbers alone.

    Data and networks are shared, and so is what is compiled.
    """
    config = check_config(config)
    units, (net, inputs) = None, (setup.net, setup.tasks.inputs)
    if config.method.resets_units:
        units = hidden_units(net, inputs, spec_of(inputs, setup.tasks.train[0]["input"]))
    return setup._replace(
        config=config,
        transform=transform(config, sum(setup.tasks.classes), units),
        optimizer=make_optimizer(config),
    )


def moment(learners: Sequence[Learner]) -> Hashable:
    """Returns where the seeds of a run are; runs at the same moment can go on side by side."""
    return tuple(each.at for each in learners)
