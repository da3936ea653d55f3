"""Options of commands: each method takes those that it has, and none is passed over."""

import itertools
import os
import subprocess
from pathlib import Path

import pytest

from jaxcl.core.errors import UsageError
from jaxcl.core.fields import hints
from jaxcl.experiments import compare, reproduce, scenario, sweep
from jaxcl.experiments.command_line.cli import ranges
from jaxcl.learner.settings.configuration import configure, takes_replay
from jaxcl.methods import METHODS
from jaxcl.methods.replay import REPLAYS

SPLIT = ("--scenario", "split-digits", "--method", "er")
ROOT = Path(__file__).parents[2]
MODULES = {"compare": compare, "reproduce": reproduce, "scenario": scenario, "sweep": sweep}


def test_a_sweep_over_what_others_hang_on_keeps_what_is_held_out():
    parsed = sweep.read(["--method", "finetune", "--lr", "0.5"])
    for point in ({"net": "mlp"}, {"replay": "buffer"}, {"l2": 0.0}):
        config = parsed.build(**point)
        assert (config.data.validation, config.training.lr) == (0.1, 0.5)
    given = sweep.read(["--method", "finetune", "--validation", "0"])
    assert given.build(net="mlp").data.validation == 0


def test_no_method_has_a_setting_twice():
    for method, replay in itertools.product(METHODS, REPLAYS):
        if not takes_replay(METHODS[method], replay):
            with pytest.raises(UsageError, match=f"^replay: {method} has its own earlier images"):
                configure(method, replay=replay)
            continue
        config = configure(method, replay=replay)
        names = [name for _, part in config.parts() for name in hints(type(part))]
        assert len(names) == len(set(names)), (method, replay)
    with pytest.raises(UsageError, match="give exact, noise, generative, or leave it out"):
        configure("der", replay="buffer")


def test_replay_is_given_to_the_methods_that_can_have_it():
    configs, *_ = compare.read(["--methods", "er", "ewc", "--replay", "noise"])
    assert configs["ewc"].replay_on_top == "noise"
    assert configs["er"].replay_on_top is None
    with pytest.raises(UsageError, match="replay: er has its own"):
        compare.read(["--methods", "er", "dgr", "--replay", "noise"])


@pytest.mark.parametrize(
    ("read", "args", "message"),
    [
        (compare.read, ["--method", "lwf"], "Unrecognized options: --method"),
        (compare.read, ["--methods"], "methods: none given"),
        (reproduce.read, ["--scenario", "5"], "Unrecognized options: --scenario"),
        (reproduce.read, ["lwf"], "paper: 'lwf' is unknown"),
        (scenario.read, [*SPLIT, "--per-class", "None"], "per_class: not set, nor what it"),
        (scenario.read, ["--iterations", "None", "--epochs", "None"], "epochs: not set, nor what"),
        (scenario.read, ["--method", "ewc", "--labels", "hard"], "give --replay generative with"),
        (scenario.read, ["--method", "ewc", "--latent", "9"], "give --replay generative with it"),
        (scenario.read, ["--second", "copy"], "did you mean --reference"),
        (scenario.read, ["--method"], "method: no value; give --method and a name"),
        (scenario.read, ["--method", "ewc", "--strength", "nan"], "strength: nan is no number"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(read, args, message):
    def checked():
        read(args).config.check()

    with pytest.raises(UsageError) as error:
        checked()
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_help_of_reproduce(capsys):
    with pytest.raises(SystemExit) as stop:
        reproduce.read(["-h"])
    assert stop.value.code == 0
    assert "--no-runs" in capsys.readouterr().out


PYTHON = """#!/usr/bin/env bash
printf '%q ' "$@" >>"$SAID"
echo >>"$SAID"
"""


SCRIPTS = [p for p in sorted(ROOT.glob("experiments/*/*.sh")) if "jaxcl.exp" in p.read_text()]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.parent.name)
@pytest.mark.slow
def test_commands_beside_results_can_be_read(script, tmp_path):
    """Everything that a script would start has options that its command knows."""
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    said = tmp_path / "said"
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "SAID": str(said)}
    subprocess.run(["bash", script, str(tmp_path / "runs")], env=env, cwd=tmp_path, check=False)
    lines = [line.split() for line in said.read_text().splitlines() if "jaxcl.experiments" in line]
    assert lines
    for _, module, *args in (line[line.index("-m") :] for line in lines):
        command = MODULES[module.removeprefix("jaxcl.experiments.")]
        command.read(ranges([arg.replace("\\", "") for arg in args]))
