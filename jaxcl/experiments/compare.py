"""Compare methods on one scenario: ``python -m jaxcl.experiments.compare``.

After the command come options, or the folders of runs that are finished: ``compare RUN RUN``.
"""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

from jaxcl.checkpointing import run_folder
from jaxcl.core.errors import NonFiniteLoss, UsageError
from jaxcl.core.fields import shown
from jaxcl.experiments import show
from jaxcl.experiments.command_line import cli, early
from jaxcl.experiments.command_line.options import for_methods
from jaxcl.experiments.command_line.words import groups, words_of
from jaxcl.learner.settings.config import Config
from jaxcl.reporting.console import make_console
from jaxcl.runner.commands import How

USUAL = ("finetune", "ewc", "si", "lwf", "er", "joint")


@dataclasses.dataclass(frozen=True)
class Options(How):
    """Run several methods on one scenario and put their results side by side.

    Or name the folders of finished runs instead: compare RUN RUN ... runs nothing.

    An option that only some of the methods have is given to these; the help shows those of the
    first one.
    """

    methods: tuple[str, ...] = USUAL
    """What to compare."""
    out: Annotated[Path | None, shown("runs/compare/...", "PATH")] = None
    """Folder of the runs; what it holds is gone on with."""


class Comparison(NamedTuple):
    """What is compared: the settings of each method, and the command's own options.

    Attributes:
      configs: method -> settings of its run.
      options: of the command.
      usual_batches: whether nobody said how large a batch is.
    """

    configs: Mapping[str, Config]
    options: Options
    usual_batches: bool


def read(args: Sequence[str]) -> Comparison | show.Command:
    """Reads the command line, plug-ins first; folders of runs are read as ``show`` does."""
    if _names_runs(args):
        return show.read(args, cli.program("compare"))
    args = early.prepared(args)
    methods = words_of(args, "methods", USUAL)
    if not methods:
        raise UsageError("methods: none given; give at least one, such as ewc")
    if len(set(methods)) < len(methods):
        raise UsageError(f"methods: {' '.join(methods)}; give each method once")
    configs, options = for_methods(cli.program("compare"), Options, args, methods)
    said = {name for name, _ in groups(args)}
    return Comparison(configs, options, "batch_size" not in said)


def _names_runs(args: Sequence[str]) -> bool:
    """Whether folders of runs are given, first or after options that finished runs have too."""
    if args and not args[0].startswith("-"):
        return True
    ours = {field.name for field in dataclasses.fields(show.Command)}
    after = (word for name, words in groups(args) if name in ours for word in words[1:])
    return any(run_folder.holds_run(Path(word)) for word in after)


def main(comparison: Comparison | show.Command) -> None:
    """Runs what is missing, then prints and writes the comparison; of finished runs, prints it."""
    if isinstance(comparison, show.Command):
        return _finished(comparison)
    from jaxcl.core import processes
    from jaxcl.reporting import comparison as report
    from jaxcl.runner import several

    console, (configs, options, usual_batches) = make_console(), comparison
    scenario = next(iter(configs.values())).title
    out = options.out or run_folder.new("compare", scenario)
    said = options.out is not None
    prog = cli.program("compare")
    several.run_each(
        options, configs, out, console, prog, go_on=True, said=said, usual_batches=usual_batches
    )
    files = {method: out / method / run_folder.SUMMARY for method in configs}
    found = processes.on_primary(
        lambda: {m: json.loads(file.read_text()) for m, file in files.items() if file.exists()}
    )
    if not found:
        raise NonFiniteLoss("methods: every run diverged; try a smaller --lr")
    summaries = list(found.values())
    report.check_data(summaries, list(found))
    processes.on_primary(lambda: report.write(summaries, out))
    report.show(summaries, [summary["method"] for summary in summaries], console)
    console.print(f"written to {out}", highlight=False)
    console.print(f"picture: {out / report.PICTURE}.png", highlight=False)
    if failed := [method for method in configs if method not in found]:
        raise NonFiniteLoss(f"methods: {', '.join(failed)} diverged; try a smaller --lr")


def _finished(command: show.Command) -> None:
    """Prints runs side by side, each under its method, or its folder where methods are alike.

    The picture that is asked for lies in the folder that holds all of them.
    """
    from jaxcl.reporting import comparison as report

    summaries, folders = show.found(command), [str(folder) for folder in command.runs]
    report.check_alike(summaries, folders)
    methods = [summary["method"] for summary in summaries]
    names = methods if len(set(methods)) == len(methods) else folders
    console = make_console()
    report.show(summaries, names, console)
    if command.pictures is not None:
        common = Path(os.path.commonpath([folder.absolute() for folder in command.runs]))
        file = report.write_picture(summaries, names, common, command.pictures)
        console.print(f"picture: {_near(file)}", highlight=False)
    if command.html is not None:
        show.write_page(command, summaries, console)


def _near(file: Path) -> Path:
    """A file under the working directory by its short name."""
    return file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file


def run() -> None:
    """Runs the command of this process."""
    cli.main(read, main)


if __name__ == "__main__":
    run()
