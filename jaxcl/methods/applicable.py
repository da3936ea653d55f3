"""Which settings mean something for a method, a network and a setting."""

import dataclasses
import difflib
from collections.abc import Collection

from jaxcl.core.errors import UsageError
from jaxcl.methods.config import TRAINED, Config
from jaxcl.methods.table import (
    BRANCHES,
    GENERATOR,
    KEPT_IMAGES,
    METHODS,
    generates,
    replayed,
    union,
)

SYNONYMS = {"lam": "strength", "strength": "lam", "ratio": "per_class"}
"""A setting that a method has not -> the one that does the same in another."""
NEEDS = {
    "storage": ({"buffer": 1}, "--buffer"),
    "second": ({"similarity": TRAINED[0]}, f"--similarity {', '.join(TRAINED)}"),
}
"""A setting -> the one without which it means nothing, and how that is given."""

OF_SOME = frozenset(
    (
        *(name for method in METHODS.values() for name in method.settings),
        *(*BRANCHES, *KEPT_IMAGES, *GENERATOR, "labels", "replay_weight", "replay"),
        *("heads", "hidden", "initial"),
    )
)
"""Settings that only some methods, networks or settings have."""


def uses(config: Config) -> frozenset[str]:
    """Which of :data:`OF_SOME` mean something, the network and the setting being known."""
    method, kind = METHODS[config.method], replayed(config)
    found = {*method.settings, *(BRANCHES if method.branches else ())}
    if config.similarity not in TRAINED:
        found -= {"second"}
    if kind == "buffer":
        found |= {*KEPT_IMAGES}
    if config.buffer is None:
        found -= {"storage"}
    if kind == "generative":
        found |= {"temperature", "labels"}
    if generates(config):
        found |= {*GENERATOR}
    if kind is not None or generates(config):
        found |= {"replay_weight"}
    if method.replay is None and method.data is not union:
        found |= {"replay"}
    found |= {"heads"} if config.setting == "class" else set()
    found |= {"hidden"} if config.net == "mlp" else set()
    found |= {"initial"} if config.net != "cnn" and not method.columns else set()
    return frozenset(found)


def in_vain(config: Config) -> list[str]:
    """Settings that are given, other than they are by default, and mean nothing."""
    own = uses(config)
    given = [f.name for f in dataclasses.fields(config) if getattr(config, f.name) != f.default]
    return [name for name in given if name in OF_SOME and name not in own]


def check_used(config: Config, among: Collection[str] = OF_SOME) -> None:
    """Raises a UsageError for one of some settings that is given and means nothing."""
    for name in in_vain(config):
        if name not in among:
            continue
        other, option = NEEDS.get(name, ({}, ""))
        if other and name in uses(dataclasses.replace(config, **other)):
            raise UsageError(f"{name}: without {option} it means nothing; give both, or neither")
        raise UsageError(
            f"{name}: {_who(name, config)} has no {_option(name)}; {_remedy(name, config)}"
        )


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _who(name: str, config: Config) -> str:
    """What has no such setting: the setting, the network or the method."""
    if name == "heads":
        return f"the {config.setting} setting"
    columns = METHODS[config.method].columns
    if name == "hidden" or (name == "initial" and not columns):
        return f"the {config.net} network"
    return config.method


def _remedy(name: str, config: Config) -> str:
    own = uses(config)
    if SYNONYMS.get(name) in own:
        return f"did you mean {_option(SYNONYMS[name])}?"
    near = difflib.get_close_matches(name, own, n=1, cutoff=0.7)
    if near:
        return f"did you mean {_option(near[0])}?"
    has = ", ".join(_option(each) for each in METHODS[config.method].settings if each in own)
    return f"it has {has}" if has and _who(name, config) == config.method else "leave it out"
