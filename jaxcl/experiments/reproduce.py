"""Reproduce a paper's tables: ``python -m jaxcl.experiments.reproduce lwf-select``."""

import dataclasses
import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NamedTuple

from rich.console import Console

import jaxcl
from jaxcl.core.errors import UsageError, check_name
from jaxcl.experiments.command_line import cli
from jaxcl.experiments.command_line.options import for_methods
from jaxcl.experiments.command_line.words import words_of
from jaxcl.learner.settings.config import Config
from jaxcl.learner.settings.protocols import SCENARIOS
from jaxcl.reporting.console import make_console
from jaxcl.runner.commands import How

PAPERS = ("lwf-select",)
METHODS = ("lwf", "split", "select")
Run = tuple[str, str, int]
"""(scenario, method, seed)."""


@dataclasses.dataclass(frozen=True)
class Options(How):
    """Run what is missing of a paper's tables, then write them anew."""

    paper: Literal["lwf-select"] = "lwf-select"
    """Whose tables; the word can stand first, without the option."""
    scenarios: tuple[str, ...] = ("2", "3", "4")
    """Scenarios of the paper, or those with rendered letters in place of EMNIST."""
    methods: tuple[Literal["lwf", "split", "select"], ...] = METHODS
    """Methods of the paper."""
    out: Path = Path("runs", "lwf-select")
    """Folder of the runs; what it holds is gone on with."""
    report: Path = Path("experiments", "lwf-select")
    """Folder of the tables, the figure and results.json, whose runs count as done."""
    no_runs: bool = False
    """Only write the tables, of the runs that there are."""


class Tables(NamedTuple):
    """What is reproduced: the settings of each run, and the command's own options."""

    configs: Mapping[Run, Config]
    options: Options


def read(args: Sequence[str]) -> Tables:
    """Reads the command line."""
    args = list(args)
    if args and not args[0].startswith("-"):
        check_name("paper", args[0], PAPERS)
        args[0] = f"--paper={args[0]}"
    methods, names = (words_of(args, n, u) for n, u in (("methods", METHODS), ("scenarios", USUAL)))
    for what, given, one in (("methods", methods, "select"), ("scenarios", names, "3")):
        if not given:
            raise UsageError(f"{what}: none given; give at least one, such as {one}")
    for name in names:
        check_name("scenarios", name, [n for n in SCENARIOS if n[0].isdigit()])
    for name in methods:
        check_name("methods", name, METHODS)
    found: dict[Run, Config] = {}
    usual, options, prog = {"seeds": SEEDS}, Options(), cli.program("reproduce")
    for scenario in names:
        configs, options = for_methods(prog, Options, args, methods, scenario=scenario, **usual)
        for method, config in configs.items():
            for seed in config.check().seeds:
                found[scenario, method, seed] = config.changed(seeds=(seed,))
    order = sorted(found, key=lambda run: found[run].seeds)  # one seed of everything first
    return Tables({run: found[run] for run in order}, options)


USUAL = ("2", "3", "4")
SEEDS = (0, 1, 2)


def _recorded(file: Path) -> list[Any]:
    """The results in a file, none if there is no such file; a UsageError where it is damaged."""
    if not file.exists():
        return []
    try:
        found = json.loads(file.read_text())
        whole = all({"scenario", "method", "seed"} <= each.keys() for each in found)
    except (AttributeError, TypeError, ValueError):
        whole = False
    if not whole:
        raise UsageError(f"report: {file} is damaged; restore or remove it")
    return found


def main(tables: Tables) -> None:
    """Runs what is missing, one seed of everything first, and writes the tables."""
    from jaxcl.core import processes
    from jaxcl.learner.build import check_config

    configs, command = tables
    console, reproduction = make_console(), tables_of(command.paper)
    file = command.report / reproduction.RESULTS

    def kept() -> list[Any]:
        return processes.on_primary(lambda: _recorded(file))

    before = kept()
    for config in () if command.no_runs else configs.values():
        reproduction.check_same(before, reproduction.settings(check_config(config)))
    done = {(each["scenario"], each["method"], each["seed"]) for each in before}
    folders = {run: command.out.joinpath(run[0], run[1], f"seed{run[2]}") for run in configs}
    missing = {run: config for run, config in configs.items() if run not in done}
    try:
        if not command.no_runs:
            _run(command, missing, folders, console)
    finally:  # also what there is when a signal comes
        new = [each for folder in folders.values() if (each := reproduction.result(folder))]
        results = reproduction.merged(kept(), new)  # another command may have written meanwhile
        if results:
            processes.on_primary(lambda: reproduction.write(results, command.report))
    if not results and processes.is_primary():
        raise UsageError("runs: none is finished yet; leave --no-runs out")
    console.print(reproduction.table_4(results), highlight=False)
    console.print(reproduction.table_5(results), highlight=False)
    console.print(f"written to {command.report}", highlight=False)


def tables_of(paper: str) -> ModuleType:
    """Loads ``experiments/<paper>/tables.py``, which lies beside the results it is made of.

    Raises:
      UsageError: jaxcl was not installed from a checkout.
    """
    file = Path(jaxcl.__file__).parents[1] / "experiments" / paper / "tables.py"
    if not file.exists():
        where = 'run this in a checkout: pip install -e ".[experiments]"'
        raise UsageError(f"paper: {file} is missing; {where}")
    spec = importlib.util.spec_from_file_location(f"tables of {paper}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _run(
    options: Options, configs: Mapping[Run, Config], folders: Mapping[Run, Path], console: Console
) -> None:
    """The runs that are missing, a scenario and a seed at a time, whose tasks are loaded once."""
    from jaxcl.runner import several

    parts: dict[tuple[str, int], dict[str, Config]] = {}
    for run, config in configs.items():
        name = str(folders[run].relative_to(options.out))
        parts.setdefault((run[0], run[2]), {})[name] = config
    for group in parts.values():
        # The methods differ from the second task on, so the first is trained once.
        prog = cli.program("reproduce")
        several.run_each(options, group, options.out, console, prog, same_start=True)


def run() -> None:
    """Runs the command of this process."""
    cli.main(read, main)


if __name__ == "__main__":
    run()
