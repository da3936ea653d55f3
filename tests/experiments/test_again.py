"""The command that makes a run again."""

import dataclasses
import shlex

import pytest

from jaxcl.core.errors import UsageError
from jaxcl.experiments import scenario
from jaxcl.experiments.command_line import again
from jaxcl.learner.settings.config import Config
from jaxcl.learner.settings.configuration import configure, differing


def commanded(config: Config) -> str | None:
    return again.command(config, differing(config))


@pytest.mark.parametrize(
    "args",
    [
        "--method ewc",
        "--method select --scenario split-mnist --setting class --iterations 7 --seeds 3 1",
        "--method ewc --net linear --replay buffer --buffer 50 --scratch True --together 1",
        "--method er --scenario permuted-mnist --tasks 3 --augment crop flip --data-dir '/x y'",
        "--method dgr --scenario split-digits --later-lr 1e-05 --validation 0.1",
        "--data /none.npz --split-classes 2 --method lwf",
    ],
)
def test_it_has_the_same_settings(args):
    config = scenario.read(shlex.split(args)).config
    command = commanded(config)
    assert command is not None
    program, name, *words = shlex.split(command)
    assert (program, name) == ("jaxcl", "scenario")
    assert scenario.read(words).config == config


def test_only_what_is_not_usual_is_said():
    assert commanded(configure("ewc", "split-mnist")) == (
        "jaxcl scenario --method ewc --scenario split-mnist"
    )
    assert commanded(configure("ewc", replay="noise")) == (
        "jaxcl scenario --method ewc --scenario builtin --replay noise"
    )
    config = configure("ewc", strength=2.5, setting="domain")
    assert differing(config) == {"strength": (10_000.0, 2.5), "setting": ("task", "domain")}


def test_what_no_command_can_say_has_none():
    assert commanded(configure("ewc", "own")) is None
    usual = configure("ewc", limit=5)
    found = differing(usual) | {"limit": (5, None)}
    assert again.command(usual.changed(limit=None), found) is None
    with pytest.raises(UsageError, match="'none' is unknown"):
        differing(dataclasses.replace(usual, scenario="none"))
