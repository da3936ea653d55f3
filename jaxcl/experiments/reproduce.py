"""Reproduce a paper's tables: ``python -m jaxcl.experiments.reproduce lwf-select``."""

import dataclasses
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Annotated, Literal

import tyro

import jaxcl
from jaxcl.checkpointing.config_file import to_toml
from jaxcl.core.errors import UsageError, check_name
from jaxcl.experiments import cli
from jaxcl.methods.config import Config
from jaxcl.reporting.console import make_console
from jaxcl.runner import several


@dataclasses.dataclass(frozen=True)
class Command(several.Several):
    """Run what is missing of a paper's tables, then write them anew."""

    paper: tyro.conf.Positional[Literal["lwf-select"]] = "lwf-select"
    """Whose tables."""
    scenario: Annotated[str, tyro.conf.Suppress] = "2"
    method: Annotated[str, tyro.conf.Suppress] = "lwf"
    scenarios: tuple[str, ...] = ("2", "3", "4")
    """Scenarios of the paper, or those with rendered letters in place of EMNIST."""
    methods: tuple[Literal["lwf", "split", "select"], ...] = ("lwf", "split", "select")
    """Methods of the paper."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Random seeds, such as 0 1 2 or 0..2; each is a run of its own."""
    out: Path | None = Path("runs", "lwf-select")
    """Folder of the runs; what it holds already is gone on with."""
    report: Path = Path("experiments", "lwf-select")
    """Folder of the tables, the figure and results.json, whose runs count as done."""
    runs: bool = True
    """Run what is missing; --no-runs: only write the tables."""


def main(command: Command) -> None:
    """Runs what is missing, one seed of everything first, and writes the tables."""
    from jaxcl.core import processes
    from jaxcl.learner.build import check_config
    from jaxcl.scenarios.protocols import SCENARIOS

    console, reproduction = make_console(), tables_of(command.paper)
    command.check()
    if not command.methods:
        raise UsageError("methods: none given; give at least one, such as select")
    for name in command.scenarios:
        check_name("scenarios", name, [n for n in SCENARIOS if n[0] in reproduction.TABLE_4])
    file = command.report / reproduction.RESULTS
    before = processes.first(lambda: json.loads(file.read_text()) if file.exists() else [])
    for name in command.scenarios:
        for each in command.for_methods(command.methods, scenario=name).values():
            reproduction.check_same(before, reproduction.settings(to_toml(check_config(each))))
    done = {(each["scenario"], each["method"], each["seed"]) for each in before}
    wanted = [
        (scenario, method, seed)
        for seed in command.seeds
        for scenario in command.scenarios
        for method in command.methods
    ]
    out = command.out or several.new_folder(command.paper)
    folders = {run: out.joinpath(run[0], run[1], f"seed{run[2]}") for run in wanted}
    try:
        if command.runs:
            _run(command, {run: f for run, f in folders.items() if run not in done}, out, console)
    finally:  # also what there is when a signal comes
        new = [each for folder in folders.values() if (each := reproduction.result(folder))]
        results = reproduction.merged(before, new)
        if results:
            processes.first(lambda: reproduction.write(results, command.report))
    if not results and processes.primary():
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
        raise UsageError(f"paper: {file} is missing; run this in a checkout (pip install -e .)")
    spec = importlib.util.spec_from_file_location(f"tables of {paper}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _run(
    command: Command, folders: Mapping[tuple[str, str, int], Path], out: Path, console
) -> None:
    """The runs that are missing, a scenario and a seed at a time, whose tasks are loaded once."""
    parts: dict[tuple[str, int], dict[str, Config]] = {}
    for (scenario, method, seed), folder in folders.items():
        config = command.for_methods(command.methods, scenario=scenario, seeds=(seed,))[method]
        parts.setdefault((scenario, seed), {})[str(folder.relative_to(out))] = config
    for configs in parts.values():
        several.run_each(command, configs, out, console, PROG)


PROG = "python -m jaxcl.experiments.reproduce"

if __name__ == "__main__":
    cli.main(Command, main, PROG)
