"""All commands under one name, and how they say what they were called."""

import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

import jaxcl
from jaxcl import __main__ as front
from jaxcl.experiments import compare, reproduce, scenario, sweep
from jaxcl.experiments.command_line import cli
from jaxcl.runner import execute
from jaxcl.runner.interrupt import Interrupted

QUICK = ["--method", "finetune", "--scenario", "split-digits", "--hidden", "8"]


@pytest.fixture
def run(call, monkeypatch, tmp_path):
    """The program, started by its own name."""
    monkeypatch.setenv("COLUMNS", "80")
    return lambda *args: call(SimpleNamespace(__name__="/usr/bin/jaxcl", run=front.main), *args)


@pytest.mark.parametrize("args", [[], ["--help"], ["-h"]])
def test_without_a_command_all_are_listed_in_a_line_each(run, args):
    code, out, err = run(*args)
    assert (code, err) == (0, "")
    for name, text in front.COMMANDS.items():
        assert f"\n  {name:<10} {text}\n" in out
    assert all(len(line) <= 90 for line in out.splitlines())


def test_the_version_is_told(run):
    assert run("--version") == (0, f"jaxcl {jaxcl.__version__}\n", "")


def test_a_mistyped_command_names_the_nearest(run):
    code, out, err = run("scenaro", "--method=ewc")
    assert (code, out) == (2, "")
    assert err.startswith("error: command: 'scenaro' is unknown; did you mean 'scenario'? Known: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", front.COMMANDS)
def test_help_names_the_program_as_it_was_called(run, name):
    code, out, _ = run(name, "--help")
    assert code == 0
    assert out.startswith(f"usage: jaxcl {name} ")


@pytest.mark.parametrize(
    ("called", "program"),
    [
        ("jaxcl sweep", "jaxcl scenario"),
        ("python -m jaxcl show", "python -m jaxcl scenario"),
        ("/somewhere/jaxcl/experiments/sweep.py", "python -m jaxcl.experiments.scenario"),
        ("/home/a jaxcl/x y.py", "python -m jaxcl.experiments.scenario"),
    ],
)
def test_a_command_names_another_as_it_was_called_itself(monkeypatch, called, program):
    monkeypatch.setattr(sys, "argv", [called])
    assert cli.program("scenario") == program


def test_an_interrupted_run_says_how_to_go_on(run, tmp_path, monkeypatch):
    def stop(commands, console, tasks=None):
        assert all(each.own_process for each in commands)  # a second signal ends it at once
        raise Interrupted("here it is")

    monkeypatch.setattr(execute, "execute", stop)
    code, _, err = run("scenario", *QUICK, "--out", "here it is", "--keep=3", "--stream")
    assert code == 75
    again = "jaxcl scenario '--resume=here it is' --keep=3 --stream"
    assert err == f"error: interrupted and saved; go on with: {again}\n"
    code, _, err = run("compare", *QUICK[2:], "--methods", "finetune", "--out", "both")
    assert code == 75
    assert f"go on with: jaxcl compare {' '.join(QUICK[2:])} --methods finetune --out both" in err
    read = scenario.read(["--resume=x", "--out=x", "--keep=3", "--stream"])
    assert (read.extra.keep, read.extra.stream) == (3, True)


def test_modules_are_commands_still(capsys):
    for module in (compare, reproduce, scenario, sweep):
        with pytest.raises(SystemExit):
            module.read(["--help"])
        assert capsys.readouterr().out.startswith(f"usage: python -m {module.__name__} ")


def test_in_a_process_of_its_own_the_list_is_there_at_once():
    """It imports neither JAX nor NumPy, whatever the machine's speed."""
    script = "import runpy, sys; runpy.run_module('jaxcl', run_name='__main__', alter_sys=True);"
    script += "sys.exit(bool({'jax', 'numpy', 'tyro'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: python -m jaxcl COMMAND")


def test_help_fits_and_comes_without_jax():
    """At 80 columns, at most 60 lines, quickly."""
    script = "from jaxcl.experiments import scenario; import sys\n"
    script += "try: scenario.read(['--method=ewc', '--help'])\n"
    script += "except SystemExit as stop: sys.exit(stop.code or bool('jax' in sys.modules))"
    began = time.perf_counter()
    env = {**os.environ, "COLUMNS": "80"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) <= 60
    assert time.perf_counter() - began < 10  # 0.3 s on a machine that does nothing else
