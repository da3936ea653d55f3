"""What a plug-in registers can be named on the command line, and nothing imports one unasked."""

import json
import sys
from functools import partial
from pathlib import Path

import pytest

import jaxcl
from jaxcl.checkpointing import run_folder
from jaxcl.core.errors import UsageError
from jaxcl.experiments import compare, scenario, sweep
from jaxcl.front.plugins import load_plugins
from jaxcl.learner.build import check_config
from jaxcl.learner.settings.configuration import configure
from jaxcl.learner.settings.protocols import SCENARIOS
from jaxcl.methods import METHODS
from jaxcl.networks.choices import NETWORKS
from jaxcl.runner import execute
from jaxcl.runner.interrupt import Interrupted
from jaxcl.scenarios.datasets.sources import REGISTERED

MINE = '''
import dataclasses
import numpy as np
import jaxcl
from jaxcl.core.fields import Positive, Traced
from jaxcl.methods.base import Method

@jaxcl.register_method
@dataclasses.dataclass(frozen=True)
class Nudge(Method):
    """Does nothing."""
    strength: Traced[Positive[float]] = 3.0
    """How much it does nothing."""
    summary = "nothing, by name"

@jaxcl.register_network
def tiny(units: int = 8):
    """a few dense units"""
    return jaxcl.networks.MLP((units,))

def task(name):
    labels = np.arange(24) % 4
    inputs = np.eye(4, dtype=np.float32)[labels]
    return jaxcl.Task(name, inputs, labels, inputs[:8], labels[:8])

@jaxcl.register_scenario
def two_tasks():
    """the same thing twice"""
    return [task("one"), task("two")]

@jaxcl.register_dataset
def corners():
    """four corners"""
    return task("corners")
'''
TUTORIALS = Path(__file__).parents[2] / "experiments" / "tutorials"
QUICK = ["--iterations", "2", "--batch-size", "8"]
OWN = ["--plugin", "mine.py", "--scenario", "two-tasks", "--net", "tiny", *QUICK]


@pytest.fixture(autouse=True)
def mine(tmp_path):
    """A file that registers; what was registered is forgotten after the test."""
    known, modules = [METHODS, NETWORKS, SCENARIOS, REGISTERED], set(sys.modules)
    before = [dict(each) for each in known]
    (tmp_path / "mine.py").write_text(MINE)
    yield str(tmp_path / "mine.py")
    _forget(known, before)
    for name in set(sys.modules) - modules:
        if name.startswith(("jaxcl_plugin_", "my_installed")):
            del sys.modules[name]


def _forget(known=None, before=None):
    for each, old in zip(known, before, strict=True):
        each.clear()
        each.update(old)


@pytest.fixture
def forget():
    """As another process, which has imported no plug-in."""
    known = [METHODS, NETWORKS, SCENARIOS, REGISTERED]
    before = [dict(each) for each in known]

    def do():
        _forget(known, before)
        for name in [name for name in sys.modules if name.startswith("jaxcl_plugin_")]:
            del sys.modules[name]

    return do


@pytest.fixture
def run(call):
    return partial(call, scenario)


def test_what_is_registered_is_listed_and_has_options(run):
    code, out, _ = run("--plugin=mine.py", "--list")
    assert code == 0
    for name, text in (("nudge", "nothing, by name"), ("tiny", "a few dense units")):
        assert f"  {name:<18}  {text}\n" in out
    for name, text in (("two-tasks", "the same thing twice"), ("corners", "four corners")):
        assert f"  {name:<18}  {text}\n" in out
    code, out, _ = run(*OWN, "--method=nudge", "--help")
    assert code == 0
    assert "How much it does nothing. (default: 3.0)" in out
    assert "--units" in out


def test_the_tutorials_of_a_method_and_of_a_network_are_plug_ins(run, tmp_path):
    """They only register: what a tutorial runs is for ``__main__``."""
    files = [
        f"--plugin={TUTORIALS / name}.py" for name in ("4_your_own_network", "5_your_own_method")
    ]
    code, out, _ = run(*files, "--list")
    assert code == 0
    assert "  pull_back           pull every weight back to where the task before left it\n" in out
    assert "  small_net           A small network with batch normalisation\n" in out
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_run_keeps_the_plug_in_and_goes_on_with_it_alone(run, forget, mine, tmp_path):
    code, _, err = run(*OWN, "--method", "nudge", "--out", "one")
    assert (code, err) == (0, "")
    assert f'"{mine}"' in (tmp_path / "one/config.toml").read_text()
    (tmp_path / "one/summary.json").unlink()
    forget()
    code, _, err = run("--resume=one")
    assert code == 2
    assert err == (
        f"error: resume: one/config.toml: name: 'nudge' is unknown; give --plugin {mine}\n"
    )
    assert "nudge" not in METHODS
    moved = tmp_path / "elsewhere.py"  # it need not lie where it lay
    moved.write_text(MINE)
    code, out, err = run("--resume=one", f"--plugin={moved}")
    assert (code, err) == (0, "")
    assert "written to one" in out
    assert json.loads((tmp_path / "one/summary.json").read_text())["method"] == "nudge"


@pytest.mark.parametrize(
    ("args", "what"),
    [
        (["--method", "nudge", "--scenario", "split-digits"], "name: 'nudge'"),
        (["--method", "ewc", "--net", "tiny", "--scenario", "split-digits"], "name: 'tiny'"),
        (["--method", "ewc", "--scenario", "two-tasks"], "scenario: 'two-tasks'"),
        (["--method", "ewc", "--data", "corners"], "data: 'corners'"),
    ],
)
def test_a_run_that_cannot_go_on_without_one_names_the_option(
    run, forget, mine, monkeypatch, tmp_path, args, what
):
    def begin(commands, console, tasks=None):
        config, out = execute.settled(commands[0])
        execute.run_folder.create(out, config)
        raise Interrupted(out)

    with monkeypatch.context() as patch:
        patch.setattr(execute, "execute", begin)
        code, _, err = run(*args, "--plugin", "mine.py", "--out", "one")
        assert code == 75
        assert err.endswith(f"--resume=one --plugin={mine}\n")
    forget()
    code, _, err = run("--resume", "one")
    assert code == 2
    assert err == f"error: resume: one/config.toml: {what} is unknown; give --plugin {mine}\n"


def test_a_program_that_loads_without_one_is_told_its_argument(forget, mine, tmp_path):
    load_plugins([str(mine)])
    config = configure("nudge", "split-digits", plugins=(str(mine),))
    run_folder.create(tmp_path / "one", check_config(config))
    (tmp_path / "one/summary.json").write_text("{}")
    forget()
    with pytest.raises(UsageError) as error:
        jaxcl.load(tmp_path / "one")
    assert str(error.value).endswith(f"name: 'nudge' is unknown; give plugins=[\"{mine}\"]")
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__


@pytest.mark.slow
def test_others_compare_and_search(call, tmp_path):
    args = [*OWN, "--methods", "finetune", "nudge", "--strength", "2", "--out", "both"]
    code, _, err = call(compare, *args)
    assert (code, err) == (0, "")
    rows = json.loads((tmp_path / "both/comparison.json").read_text())
    assert [row["method"] for row in rows] == ["finetune", "nudge"]
    grid = ["--grid", "strength=1,2", "units=4,8", "--out", "grid"]
    code, _, err = call(sweep, *OWN, "--method", "nudge", *grid)
    assert (code, err) == (0, "")
    assert (tmp_path / "grid/strength=2,units=4/summary.json").exists()


def test_a_dry_run_reads_tasks_that_only_the_plug_in_knows(run, tmp_path):
    before = set(tmp_path.iterdir())
    code, out, _ = run(*OWN, "--method", "nudge", "--units", "7", "--dry-run")
    assert code == 0
    assert "fc1" in out
    assert "35" in out  # (4 inputs and a bias) x 7 units
    assert "one: 24 to train, 8 to test, 4 outputs, float32 4" in out
    assert set(tmp_path.iterdir()) == before


def test_one_that_cannot_be_imported_shows_its_own_traceback(run, tmp_path):
    (tmp_path / "bad.py").write_text("def f():\n    raise OSError('mine')\n\nf()\n")
    code, _, err = run("--plugin", "bad.py", "--help")
    assert code == 1
    first, second, third, *_, last = err.splitlines()
    assert first == "error: plugin bad.py cannot be imported; this is what it raised:"
    assert second == "Traceback (most recent call last):"
    assert "bad.py" in third
    assert last == "OSError: mine"
    assert "jaxcl/front" not in err
    (tmp_path / "worse.py").write_text("x = (")
    code, _, err = run("--plugin", "worse.py")
    assert code == 1
    assert err.splitlines()[-1] == "SyntaxError: '(' was never closed"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--plugin", "none.py"], "plugin: none.py is no file; give one that is there"),
        (["--plugin", "no.such"], "plugin: no module 'no.such' is installed; give one that is"),
        (["--plugin", "./mine"], "plugin: no module './mine' is installed; give one that is"),
        (["--plugin"], "plugin: no value; give --plugin and a file or a name"),
        (["--plugin", "taken.py"], "plugin taken.py: method: 'ewc' is taken; choose another"),
        (["--method", "nudge"], "method: 'nudge' is unknown"),
    ],
)
@pytest.mark.parametrize("module", [scenario, sweep])
def test_what_is_wrong_is_said_in_a_line(call, tmp_path, module, args, message):
    (tmp_path / "taken.py").write_text(MINE.replace("class Nudge", "class EWC"))
    code, out, err = call(module, *args)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_several_in_one_option_or_in_many(tmp_path):
    (tmp_path / "more.py").write_text("")
    files = [str(tmp_path / name) for name in ("mine.py", "more.py")]
    for args in (["--plugin", *files], [f"--plugin={file}" for file in files]):
        assert scenario.read([*args, "--method", "nudge"]).config.plugins == tuple(files)


@pytest.mark.slow
def test_what_is_installed_is_there_without_being_named(run, tmp_path, monkeypatch):
    folder = tmp_path / "installed"
    (folder / "mine-1.0.dist-info").mkdir(parents=True)
    (folder / "mine-1.0.dist-info/METADATA").write_text("Name: mine\nVersion: 1.0\n")
    (folder / "mine-1.0.dist-info/entry_points.txt").write_text(
        "[jaxcl.plugins]\nmine = my_installed\n"
    )
    (folder / "my_installed.py").write_text(MINE)
    monkeypatch.syspath_prepend(folder)
    args = ["--method", "nudge", "--scenario", "two-tasks", "--net", "tiny", *QUICK]
    code, _, err = run(*args, "--out", "one")
    assert (code, err) == (0, "")
    assert "plugins = []" in (tmp_path / "one/config.toml").read_text()
    (folder / "my_installed.py").write_text("import none_such")
    del sys.modules["my_installed"]
    code, _, err = run(*args)
    assert code == 1
    assert err.startswith("error: plugin my_installed (installed) cannot be imported; this is")
