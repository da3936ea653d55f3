"""Everything that decides the result of a run, in parts; and how it is put together by name.

Light to import (no JAX), so that the command line answers at once.
"""

import dataclasses
import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from jaxcl.core.errors import UsageError, check_name
from jaxcl.core.fields import hints
from jaxcl.methods import METHODS
from jaxcl.methods.base import Method
from jaxcl.methods.replay import REPLAYS, Replay
from jaxcl.networks.choices import NETWORKS, Network
from jaxcl.scenarios.settings import DataSettings
from jaxcl.training.settings import GeneratorSettings, Training


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of a run; one result for each seed follows from them.

    Attributes:
      scenario: name of the sequence of tasks.
      seeds: each is a run of its own.
      together: networks (seeds, points of a sweep) trained at once; None: all, on a CPU one.
      method: how forgetting is fought.
      replay: what is replayed, by the method itself or on top of it.
      network: what learns.
      training: how.
      data: of the tasks.
      generator: that learns the tasks too, if one does.
      plugins: modules and files that what is chosen here comes from.
    """

    scenario: str
    seeds: tuple[int, ...]
    together: int | None
    method: Method
    replay: Replay | None
    network: Network
    training: Training
    data: DataSettings
    generator: GeneratorSettings | None
    plugins: tuple[str, ...] = ()

    @property
    def replays(self) -> bool:
        """Returns whether anything is replayed."""
        return self.replay is not None and type(self.replay) is not Replay

    @property
    def replay_on_top(self) -> str | None:
        """Returns the name of what is replayed on top of a method that has no replay, if any."""
        if self.replay is None or type(self.replay) is self.method.replay:
            return None
        return self.replay.name

    @property
    def title(self) -> str:
        """Returns what is learned, as a folder is named after it."""
        return self.data.title or self.scenario

    @property
    def one_head(self) -> bool:
        """Returns whether a head that grows may be one array with room for all classes."""
        training = self.training
        own = vars(type(self.method)).get("one_head", False)  # a subclass may have other losses
        return own and not (training.scratch or training.warmup_epochs)

    @property
    def too_large(self) -> str:
        """Returns the options that may be too large where the loss is not finite."""
        return "--lr or --strength" if "strength" in hints(type(self.method)) else "--lr"

    def parts(self) -> Iterator[tuple[str, Any]]:
        """Yields the parts that are there, by name."""
        for name in PARTS:
            if (part := getattr(self, name)) is not None:
                yield name, part

    def check(self) -> "Config":
        """Returns the configuration if every setting is in its range.

        Raises:
          UsageError: naming the field, its value and what it may be.
        """
        for _, part in self.parts():
            part.check()
            for group in part.exclusive:
                given = {n: getattr(part, n) for n in group if getattr(part, n) is not None}
                if not given:
                    options = " or ".join(option(name) for name in group)
                    raise UsageError(f"{group[0]}: not set, nor what it excludes; give {options}")
                _excluding(part, given)
        if not self.seeds:
            raise UsageError("seeds: none given; give at least one, such as 0")
        if len(set(self.seeds)) < len(self.seeds):
            raise UsageError(f"seeds: {list(self.seeds)} has one twice; give each once")
        if not all(0 <= seed < 2**32 for seed in self.seeds):
            raise UsageError("seeds: outside [0, 2^32); give small whole numbers")
        if self.together is not None and self.together < 1:
            raise UsageError(f"together: {self.together} is not positive; give a number above 0")
        return self

    def changed(self, **given: Any) -> "Config":
        """Returns the configuration with other values of settings, each in the part that has it.

        Args:
          given: settings by their names; of those that exclude each other, such as
            ``epochs`` and ``iterations``, the one that is given holds.

        Raises:
          UsageError: a setting that no part has, or two that exclude each other.
        """
        own = ("seeds", "together", "plugins")
        new: dict[str, Any] = {n: given.pop(n) for n in own if n in given}
        for name, part in self.parts():
            own = {n: given.pop(n) for n in hints(type(part)) if n in given}
            new[name] = dataclasses.replace(part, **_excluding(part, own))
        for name in given:
            raise unknown(name, self)
        return dataclasses.replace(self, **new)

    def with_code(self, like: "Config") -> "Config":
        """Returns the configuration with the functions that no file keeps, from another one."""
        data = dataclasses.replace(self.data, augmentation=like.data.augmentation)
        same = to_name(self.network) == to_name(like.network)
        return dataclasses.replace(self, data=data, network=like.network if same else self.network)

    def flat(self) -> dict[str, Any]:
        """Returns all settings by name; a part's own name stands for its kind."""
        found: dict[str, Any] = {n: getattr(self, n) for n in ("scenario", "seeds", "together")}
        for name, part in self.parts():
            found |= {NAMED[name]: part.name} if name in NAMED else {}
            found |= {n: getattr(part, n) for n in hints(type(part))}
        return found


PARTS = ("method", "replay", "network", "training", "data", "generator")
NAMED = {"method": "method", "replay": "replay", "network": "net"}
"""Parts that come in several kinds -> the setting that says which."""
SYNONYMS = {"ratio": "per_class", "lam": "strength", "second": "reference"}
"""A setting that is asked for -> the one that does the same elsewhere."""


def _excluding(part: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """What is given, and None for what it excludes."""
    found = dict(given)
    for group in part.exclusive:
        own = [name for name in group if given.get(name) is not None]
        if len(own) > 1:
            one, other = (option(name) for name in own[:2])
            raise UsageError(f"{own[1]}: not together with {one}; give {one} or {other}")
        if own:
            found |= {name: None for name in group if name not in own}
    return found


def to_name(network: Network) -> tuple[Any, ...]:
    """Returns what a file keeps of a network."""
    return (network.name, *(getattr(network, each) for each in hints(type(network))))


def option(name: str) -> str:
    """Returns a setting as it is given on a command line."""
    return f"--{name.replace('_', '-')}"


def known_settings() -> frozenset[str]:
    """Returns the names of all settings that any method, network or scenario has."""
    kinds = [*METHODS.values(), *NETWORKS.values(), Training, GeneratorSettings]
    kinds += [*Replay.kinds().values(), *DataSettings.kinds().values()]
    return frozenset(name for kind in kinds for name in hints(kind)) | {"seeds", "together"}


def unknown(name: str, config: Config) -> UsageError:
    """Returns what is wrong with a setting that no part of a configuration has."""
    if name == "tasks":
        text = f"scenario {config.scenario!r} has its own; leave the option out"
        return UsageError(f"tasks: {text}")
    if name in ("data", "split_classes"):
        return UsageError(f"{name}: scenario {config.scenario!r} has its own data; {_OF_FILES}")
    if name == "order":
        text = f"scenario {config.scenario!r} deals no classes out; leave it out"
        return UsageError(f"order: {text}")
    if name not in known_settings() | SYNONYMS.keys():
        try:
            check_name("setting", name, sorted(known_settings()))
        except UsageError as error:
            return error
    of_network = any(name in hints(kind) for kind in NETWORKS.values())
    if of_network:
        text = f"the {config.network.name} network has no {option(name)}; leave it out"
        return UsageError(f"{name}: {text}")
    who = config.method.name
    return UsageError(f"{name}: {who} has no {option(name)}; {_remedy(name, config)}")


_OF_FILES = "leave it out, or give --data and no --scenario"


def _remedy(name: str, config: Config) -> str:
    own, method = config.flat(), config.method
    if SYNONYMS.get(name) in own:
        return f"did you mean {option(SYNONYMS[name])}?"
    near = difflib.get_close_matches(name, own, n=1, cutoff=0.7)
    if near:
        return f"did you mean {option(near[0])}?"
    kinds = [each for each, kind in REPLAYS.items() if name in hints(kind)]
    kinds = ["generative"] if name in hints(GeneratorSettings) else kinds
    if kinds and config.replay is None and not (method.on_all_data or method.own_images):
        return f"give --replay {' or '.join(kinds)} with it"
    has = ", ".join(option(each) for each in hints(type(config.method)))
    return f"it has {has}" if has else "leave it out"
