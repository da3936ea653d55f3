"""From names and settings to a whole configuration: the protocol fills in the others."""

import dataclasses
import typing
from typing import Any

from jaxcl.core.errors import UsageError, check_name
from jaxcl.core.fields import hints, plain
from jaxcl.learner.settings.config import Config
from jaxcl.learner.settings.protocols import Protocol, Scenario, scenario_of
from jaxcl.methods import METHODS
from jaxcl.methods.base import Method
from jaxcl.methods.replay import REPLAYS, BufferReplay, GenerativeReplay, Replay
from jaxcl.networks.choices import NETWORKS, Network
from jaxcl.scenarios.settings import DataSettings

CHOICES = ("method", "scenario", "setting", "net", "replay")
"""What other settings hang on: which there are, and their usual values."""
BRANCHING, PLAIN = "select", "finetune"


def configure(
    method: str | None = None,
    scenario: str = "builtin",
    *,
    setting: str | None = None,
    net: str | None = None,
    replay: str | None = None,
    **given: Any,
) -> Config:
    """Puts a configuration together; what is not given is the scenario's protocol's.

    Args:
      method: name of a method; None: ``select`` where it can run, ``finetune`` elsewhere.
      scenario: name of a scenario.
      setting: task, domain or class; None: the scenario's.
      net: name of a network; None: the scenario's.
      replay: what is replayed on top of the method; None: nothing.
      given: settings of the parts, by name.

    Raises:
      UsageError: an unknown name, or a setting that nothing here has.
    """
    if method is not None:
        check_name("method", method, METHODS)
    entry = scenario_of(scenario)
    protocol = entry.protocol
    setting = setting or protocol.data.setting
    check_name("setting", setting, typing.get_args(plain(hints(DataSettings)["setting"])))
    method = method or _usual_method(net, protocol, setting)
    chosen = protocol.method(method, setting)
    kind = _replay_kind(chosen, replay)
    generates = chosen.generates or kind is GenerativeReplay
    training = dataclasses.replace(protocol.training, warmup_epochs=protocol.warmups.get(method, 0))
    if chosen.from_scratch:
        training = dataclasses.replace(training, scratch=True, keep_optimizer=False)
    config = Config(
        scenario=scenario,
        seeds=(0,),
        together=None,
        method=chosen,
        replay=None if kind is None else _replay(kind, protocol),
        network=_network(net, protocol, chosen),
        training=training,
        data=_data(entry, setting),
        generator=protocol.generator if generates else None,
    )
    return config.changed(**given)


def differing(config: Config) -> dict[str, tuple[Any, Any]]:
    """Returns the settings in which a configuration is not the usual one.

    Returns:
      Name of a setting -> what it usually is for this scenario and method (and the setting, the
      network and the replay that are chosen), and what it is here.

    Raises:
      UsageError: a name that is unknown, such as that of a network that a program made.
    """
    method, scenario, own = config.method.name, config.scenario, config.flat()
    first = configure(method, scenario)
    chosen = configure(
        method,
        scenario,
        setting=config.data.setting,
        net=config.network.name,
        replay=config.replay_on_top,
    )
    usual = chosen.flat() | {n: first.flat().get(n) for n in ("setting", "net", "replay")}
    return {n: (usual.get(n), v) for n, v in own.items() if usual.get(n) != v}


def takes_replay(kind: type[Method], name: str | None = None) -> bool:
    """Returns whether something can be replayed on top of a method.

    Args:
      kind: the method.
      name: of what is replayed; None: anything. A kind with a setting that the method has too
        would be a second thing under its name.
    """
    if kind.replay not in (None, Replay) or kind.on_all_data or kind.own_images:
        return False
    if name is None or name not in REPLAYS:
        return True
    return not hints(REPLAYS[name]).keys() & hints(kind).keys()


def _replay_kind(method: Method, name: str | None) -> type[Replay] | None:
    if name is None:
        return method.replay
    check_name("replay", name, REPLAYS)
    if not takes_replay(type(method), name):
        able = [each for each in REPLAYS if takes_replay(type(method), each)]
        remedy = f"give {', '.join(able)}, or leave it out" if able else "leave it out"
        raise UsageError(
            f"replay: {method.name} has its own earlier images and has no --replay {name}; {remedy}"
        )
    return REPLAYS[name]


def _replay(kind: type[Replay], protocol: Protocol) -> Replay:
    if kind is BufferReplay:
        return protocol.replay
    return kind(replay_weight=protocol.replay.replay_weight)


def _usual_method(net: str | None, protocol: Protocol, setting: str) -> str:
    """The method where none is named: one that branches, where branches can be chosen."""
    network = _network(net, protocol, METHODS[PLAIN]())
    return BRANCHING if network.has_branches and setting != "domain" else PLAIN


def _network(name: str | None, protocol: Protocol, method: Method) -> Network:
    """The protocol's network, or another one with what the two have in common."""
    usual = protocol.network
    name = usual.name if name is None else name
    check_name("net", name, NETWORKS)
    kind = NETWORKS[name]
    common = hints(kind).keys() & hints(type(usual)).keys()
    if kind is not type(usual):  # what is wide for one is narrow for another
        common -= {"width"}
    if method.columns:  # they have first weights of their own
        common -= {"initial"}
    return kind(**{each: getattr(usual, each) for each in common})


def data_kind(entry: Scenario) -> type[DataSettings]:
    """Returns the kind of data settings that a scenario's tasks have."""
    own = entry.made if entry.made in ("split", "file") else "made"
    return DataSettings.kinds()[own if entry.made else "given"]


def _data(entry: Scenario, setting: str) -> DataSettings:
    """The protocol's data settings, of the kind that the scenario's tasks have."""
    kind: Any = data_kind(entry)
    usual = {name: getattr(entry.protocol.data, name) for name in hints(DataSettings)}
    usual |= {"setting": setting} | ({} if setting == "class" else {"heads": "growing"})
    return kind(**usual, **({"tasks": entry.count} if entry.count else {}))
