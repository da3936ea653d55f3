"""What is said where an extra is missing, and that the core does without."""

import importlib.metadata as metadata
import os
import subprocess
import sys

import core_alone
import pytest
from packaging.utils import canonicalize_name

from jaxcl import __main__, extras
from jaxcl.experiments.command_line import cli

NEEDS = "needs what the core does not bring"
EXPERIMENTS = 'is missing): pip install "jaxcl[experiments]"'
COMMANDS = ([f"jaxcl.experiments.{name}"] for name in __main__.COMMANDS)


@pytest.fixture(scope="module")
def in_core(tmp_path_factory):
    """Runs Python where the core alone can be imported: what else there is here is hidden."""
    folder = tmp_path_factory.mktemp("core")
    # None in sys.modules is how Python marks a module that cannot be imported.
    hide = f"import sys\nsys.modules.update(dict.fromkeys({core_alone.absent()}))\n"
    (folder / "sitecustomize.py").write_text(hide)
    env = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{core_alone.ROOT}"}

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *args]
        return subprocess.run(command, capture_output=True, text=True, env=env, cwd=folder)

    return run


def test_the_core_is_small():
    """Everything heavy that is installed here is hidden, and little else is there."""
    needed = {"jax", "jaxlib", "optax", "chex", "jaxtyping", "numpy", "scipy"}
    assert needed <= core_alone.packages()
    assert len(core_alone.packages()) <= 16
    hidden = core_alone.absent()
    assert {"flax", "tyro", "rich", "PIL", "matplotlib", "equinox", "beartype"} <= set(hidden)
    assert not {"jax", "optax", "toolz", "jaxcl"} & set(hidden)


def test_what_the_core_can_do(in_core):
    """Transforms, methods as values, networks that are plain functions, growth."""
    done = in_core(
        "-c",
        "import jaxcl, jax\n"
        "from jaxcl.transforms import *\n"
        "from jaxcl.transforms import chain, ewc\n"
        "from jaxcl.growth import add_head\n"
        "jaxcl.from_functions(lambda key, x: ({}, ()), lambda *given: given)\n"
        "net = jaxcl.networks.mlp(3, (4,))\n"
        "print(jaxcl.methods.EWC(5.0).strength, len(net.layers))\n",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "5.0 0\n"


def test_a_program_gets_an_error_of_one_line(in_core):
    done = in_core(
        "-c",
        "import importlib, jaxcl\n"
        "asked = [(jaxcl, name) for name in ('fit', 'load', 'from_nnx', 'from_equinox')]\n"
        "asked.append((jaxcl.networks, 'residual'))\n"
        "for room, name in asked:\n"
        "    try: getattr(room, name)\n"
        "    except ImportError as error: print(error)\n"
        "try: importlib.import_module('jaxcl.experiments.scenario')\n"
        "except ImportError as error: print(error)\n",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"jaxcl.fit {NEEDS} (rich {EXPERIMENTS}",
        f"jaxcl.load {NEEDS} (PIL {EXPERIMENTS}",
        f"jaxcl.from_nnx {NEEDS} (flax {EXPERIMENTS}",
        f'jaxcl.from_equinox {NEEDS} (equinox is missing): pip install "equinox"',
        f"jaxcl.networks.residual {NEEDS} (flax {EXPERIMENTS}",
        f"a command of jaxcl {NEEDS} (rich {EXPERIMENTS}",
    ]


@pytest.mark.parametrize("command", [*COMMANDS, ["jaxcl", "scenario"], ["jaxcl", "show"]])
def test_a_command_says_it_in_a_line(in_core, command):
    done = in_core("-m", *command, "--method=select")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: a command of jaxcl {NEEDS} (rich {EXPERIMENTS}\n"


def test_the_list_of_commands_needs_no_extra(in_core):
    done = in_core("-m", "jaxcl")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\n  scenario " in done.stdout


def test_a_command_that_misses_something_later_says_so(capsys, monkeypatch):
    def body(module):
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr(sys, "argv", ["scenario"])
    with pytest.raises(SystemExit, match="2"):
        cli.main(lambda args: "grain.python", body)
    assert capsys.readouterr().err == f"error: this command {NEEDS} (grain {EXPERIMENTS}\n"
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'mine\.grain'$"):
        cli.main(lambda args: "mine.grain", body)


def test_a_name_that_needs_another_is_the_one_that_was_asked_for():
    inner = extras.explained("jaxcl.networks.residual", ModuleNotFoundError(name="flax.linen"))
    outer = extras.explained("jaxcl.fit", inner)
    assert str(outer) == f"jaxcl.fit {NEEDS} (flax {EXPERIMENTS}"
    assert outer.name == "flax.linen"


def test_check_goes_by_what_is_installed(monkeypatch):
    extras.check("this", "rich", "tyro")
    monkeypatch.setitem(sys.modules, "tyro", None)
    with pytest.raises(extras.MissingExtra, match=r"^this needs .* \(tyro is missing\)"):
        extras.check("this", "rich", "tyro")


def test_each_module_comes_with_the_extra_that_is_named():
    owners = metadata.packages_distributions()
    required = {core_alone.name_of(each) for each in core_alone.EXTRAS["experiments"]}
    brought = extras.BRINGS["jaxcl[experiments]"]
    found = [{canonicalize_name(owner) for owner in owners[module]} for module in brought]
    assert all(names & required for names in found)
    assert required <= set().union(*found)
    for name in ("launch", "tensorboard", "wandb"):
        (module,) = extras.BRINGS[f"jaxcl[{name}]"]
        assert module.lower() in map(core_alone.name_of, core_alone.EXTRAS[name])


@pytest.mark.parametrize("name", sorted(core_alone.EXTRAS.keys() - {"experiments"}))
def test_other_extras_bring_the_commands(name):
    assert core_alone.EXTRAS[name][0] == "jaxcl[experiments]"
