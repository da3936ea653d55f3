"""From the settings that are given to the whole of them: the protocol fills in the others."""

import dataclasses

from jaxcl.core.errors import UsageError, check_name
from jaxcl.methods.applicable import OF_SOME, uses
from jaxcl.methods.config import KEPT, Config
from jaxcl.scenarios.protocols import SCENARIOS

OF_CELLS = ("strengths", "warmups", "weightings")  # by method, or by setting
# Of the methods that have a penalty, where a protocol says nothing.
STRENGTH = {"ewc": 1e4, "online_ewc": 1e4, "si": 1.0, "mas": 1.0}


def situated(config: Config) -> Config:
    """The configuration with the settings on which it hangs what other settings mean."""
    protocol = SCENARIOS[config.scenario].protocol
    setting, net = config.setting or protocol.setting, config.net or protocol.net
    config = dataclasses.replace(config, setting=setting, net=net)
    if config.similarity is None and "similarity" in uses(config):
        return dataclasses.replace(config, similarity=protocol.similarity)
    return config


def resolve(config: Config) -> Config:
    """The configuration with every setting that was left open.

    Raises:
      UsageError: an unknown scenario, or a number of tasks that it does not have.
    """
    check_name("scenario", config.scenario, SCENARIOS)
    scenario = SCENARIOS[config.scenario]
    protocol = scenario.protocol
    if config.tasks is not None and scenario.made is None:
        raise UsageError(f"tasks: scenario {config.scenario!r} has its own; leave the option out")
    if config.order and scenario.made != "split":
        raise UsageError(f"order: scenario {config.scenario!r} deals no classes out; leave it out")
    config = situated(config)
    own = uses(config)
    given = {
        name: getattr(protocol, name)
        for name in protocol._fields
        if name not in OF_CELLS and getattr(config, name) is None
        if name in own or name not in OF_SOME
    }
    if config.iterations is not None or config.epochs is not None:
        given |= {"epochs": config.epochs, "iterations": config.iterations}
    if any(getattr(config, name) is not None for name in KEPT):
        given |= {name: getattr(config, name) for name in KEPT}
    where = (config.method, config.setting or protocol.setting)
    weight = protocol.strengths.get(where, STRENGTH.get(config.method))
    name = "strength" if config.method in STRENGTH else "lam"
    if weight is not None and getattr(config, name) is None:
        given[name] = weight
    if config.lwf_weighting is None and "lwf_weighting" in own:
        given["lwf_weighting"] = protocol.weightings.get(where[1], "one")
    if config.warmup_epochs is None:
        given["warmup_epochs"] = protocol.warmups.get(config.method, 0)
    if config.tasks is None and scenario.made is not None:
        given["tasks"] = scenario.count
    return dataclasses.replace(config, **given)
