"""Try settings out: ``python -m jaxcl.experiments.sweep``."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console

from jaxcl.checkpointing import run_folder
from jaxcl.core.errors import NonFiniteLoss, UsageError
from jaxcl.core.fields import shown
from jaxcl.experiments.command_line import cli, early
from jaxcl.experiments.command_line.options import Parsed, choices, parse
from jaxcl.experiments.command_line.words import groups
from jaxcl.learner.settings.config import Config
from jaxcl.learner.settings.configuration import configure
from jaxcl.reporting.console import make_console
from jaxcl.reporting.labels import label
from jaxcl.runner.commands import How

HELD_OUT = 0.1  # of the training images, to choose settings by


@dataclasses.dataclass(frozen=True)
class Options(How):
    """Run a method with every combination of some settings, and find the best one."""

    grid: tuple[str, ...] = ()
    """What to vary: strength=1e2:1e10:9 (first, last, how many), lr=1e-3,1e-2, start=copy,fresh."""
    halving: Annotated[int | None, shown("train all to the end", "INT")] = None
    """Train all for a part of the steps; one in so many goes on, so many times as long."""
    out: Annotated[Path | None, shown("runs/sweep/...", "PATH")] = None
    """Folder of the runs; what it holds is gone on with."""


def read(args: Sequence[str]) -> Parsed[Options]:
    """Reads the command line, plug-ins first."""
    args = early.prepared(args)
    if [name for name, _ in groups(args)].count("grid") > 1:
        raise UsageError("grid: given twice; give all settings after one --grid")
    assumed: dict[str, Any] = {"validation": HELD_OUT}
    usual = configure(**choices(args), **assumed)
    return parse(cli.program("sweep"), Options, args, usual, assumed=assumed)


def main(parsed: Parsed[Options]) -> None:
    """Runs what is missing, then prints and writes what was found."""
    from jaxcl.core import processes
    from jaxcl.reporting import tuning
    from jaxcl.runner import grid

    console, config, options = make_console(), parsed.config, parsed.extra
    varied = grid.axes(options.grid, config)
    for name in varied:
        if name in parsed.said:
            raise UsageError(f"{name}: given, and in the grid as well; give one of the two")
    points = grid.points(varied)
    out = options.out or run_folder.new("sweep", config.title, config.method.name)
    tried, first = _run(parsed, points, out, console)
    processes.on_primary(lambda: tuning.write(tried, first, varied, out))
    tuning.show(tried, console)
    where = "images held out from training" if config.data.validation else "the test set"
    console.print(f"accuracies are on {where}; written to {out}", highlight=False)


def _run(parsed: Parsed[Options], points: list[dict[str, Any]], out: Path, console: Console):
    """Each point as far as it was trained, and all of them after the first round."""
    from jaxcl.core import processes
    from jaxcl.reporting.comparison import check_data
    from jaxcl.reporting.tuning import Tried
    from jaxcl.runner import halving, several

    options, factor = parsed.extra, parsed.extra.halving
    training = _at(parsed, points[0]).training
    steps = training.epochs or training.iterations or 1
    parts = [1] if factor is None else halving.parts(len(points), factor, steps)
    if factor is not None and parts == [1]:
        console.print("halving: too few points or steps for a round; all are trained to the end")
    tried: dict[str, Tried] = {}
    first: list[Tried] = []
    for part in parts:
        names = {f"1-{part}/{label(p)}" if part > 1 else label(p): p for p in points}
        configs = {name: _at(parsed, point) for name, point in names.items()}
        if part > 1:
            console.print(f"1/{part} of the training", highlight=False)
            configs = {n: halving.shortened(config, part) for n, config in configs.items()}
        prog, said = cli.program("sweep"), options.out is not None
        usual = "batch_size" not in {*parsed.said, *points[0]}
        several.run_each(
            options, configs, out, console, prog, go_on=True, said=said, usual_batches=usual
        )
        files = [out / name / run_folder.SUMMARY for name in names]
        found = processes.on_primary(
            lambda files=files: [json.loads(f.read_text()) if f.exists() else None for f in files]
        )
        ended = {name: each for name, each in zip(names, found, strict=True) if each is not None}
        check_data(list(ended.values()), list(ended))
        now = [Tried(p, summary, part) for p, summary in zip(names.values(), found, strict=True)]
        if all(each.summary is None for each in now):
            raise NonFiniteLoss("grid: every run diverged; try smaller values, or a smaller --lr")
        first = first or now
        tried |= {label(each.point): each for each in now}
        points = halving.best(now, factor) if factor else points
    return list(tried.values()), first


def _at(parsed: Parsed[Options], point: dict[str, Any]) -> Config:
    """The configuration at a point; an option that it does not have names the point."""
    try:
        return parsed.build(**point)
    except UsageError as error:
        raise UsageError(f"grid, {label(point)}: {error}") from error


def run() -> None:
    """Runs the command of this process."""
    cli.main(read, main)


if __name__ == "__main__":
    run()
