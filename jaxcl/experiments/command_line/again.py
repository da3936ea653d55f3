"""The command that makes a run again."""

import shlex
from collections.abc import Mapping
from typing import Any

from jaxcl.learner.settings.config import Config, option
from jaxcl.learner.settings.protocols import FILE, OWN


def command(config: Config, changed: Mapping[str, tuple[Any, Any]]) -> str | None:
    """Returns a command line with all settings that are not usual; None if it cannot say them all.

    Args:
      config: of the run.
      changed: as :func:`jaxcl.learner.settings.configuration.differing` returns it.
    """
    values: dict[str, Any] = {"method": config.method.name}
    if config.scenario != FILE:  # else the data say so
        values["scenario"] = config.scenario
    values |= {name: value for name, (_, value) in changed.items() if name != "replay"}
    if config.replay_on_top is not None:
        values["replay"] = config.replay_on_top
    unset = {name for name, value in values.items() if value is None}
    made = config.scenario == OWN or config.data.augmentation is not None  # by a program
    if made or unset - _excluded(config):
        return None
    words = ["jaxcl", "scenario"]
    for name, value in values.items():
        if value is not None:
            words += [option(name), *map(str, value if isinstance(value, tuple) else (value,))]
    words += ["--plugin", *config.plugins] if config.plugins else []
    return shlex.join(words)


def _excluded(config: Config) -> set[str]:
    """Settings that are not set because others are, which exclude them."""
    return {
        name
        for _, part in config.parts()
        for group in part.exclusive
        for name in group
        if any(getattr(part, other) is not None for other in group)
    }
