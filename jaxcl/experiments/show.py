"""Print what finished runs found: ``python -m jaxcl.experiments.show RUN``.

Reads ``summary.json`` alone and starts without JAX, so that it answers at once, unless a page or
pictures are to be written.
"""

import dataclasses
import inspect
import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import tyro
from rich.console import Console

from jaxcl.checkpointing import run_folder, saved_settings
from jaxcl.core.errors import UsageError
from jaxcl.core.fields import shown
from jaxcl.experiments.command_line import cli, early
from jaxcl.experiments.command_line.words import run_tyro
from jaxcl.reporting.console import make_console
from jaxcl.reporting.pictures import Form

PLUGIN = tyro.conf.arg(metavar="FILE", help_behavior_hint="(default: none)")


@dataclasses.dataclass(frozen=True)
class Command:
    """Print the tables of finished runs, and where their pictures are.

    Of a folder that compare or sweep wrote, its table.
    """

    runs: Annotated[tyro.conf.Positional[tuple[Path, ...]], shown("none", "PATH ...")] = ()
    """Folders of runs, such as runs/builtin/ewc/20261121-191612."""
    html: Annotated[Path | None, shown("none; FILE: RUN/report.html", "FILE")] = None
    """Write a page; of several runs, one that compares them."""
    pictures: Annotated[Form | None, shown("none; alone: png", "png|svg|pdf")] = None
    """Write pictures of each run to RUN/pictures: curves, matrix, forgetting, branches."""
    plugin: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], PLUGIN] = ()
    """Is read first; what runs found is shown without it, too."""


def read(args: Sequence[str], prog: str | None = None) -> Command:
    """Reads the command line, here or of another program."""
    known = [field.name for field in dataclasses.fields(Command)]
    args = _with_form(_with_file(args))
    return run_tyro(
        Command, prog or cli.program("show"), inspect.getdoc(Command) or "", args, known
    )


def _with_file(args: Sequence[str]) -> list[str]:
    """The command line in which a bare ``--html`` has a file: of one run, in its folder."""
    if "--html" not in args:
        return list(args)
    place = args.index("--html")
    before, after = list(args[:place]), list(args[place + 1 :])
    if after and not after[0].startswith("--") and not Path(after[0]).is_dir():
        return list(args)
    folders = [each for each in before + after if Path(each).is_dir()]
    if len(folders) > 1:
        raise UsageError("html: several runs; name the file: --html FILE")
    folder = Path(folders[0] if folders else "")
    return [*before, f"--html={folder / run_folder.REPORT}", *after]


def _with_form(args: Sequence[str]) -> list[str]:
    """The command line in which a bare ``--pictures`` has a form, which folders may follow."""
    if "--pictures" not in args:
        return list(args)
    place = args.index("--pictures")
    before, after = list(args[:place]), list(args[place + 1 :])
    said = after and (after[0] in get_args(Form) or not Path(after[0]).is_dir())
    if said and not after[0].startswith("-"):
        return [*before, f"--pictures={after[0]}", *after[1:]]
    return [*before, "--pictures=png", *after]


def main(command: Command) -> None:
    """Prints all runs, if all are finished, and writes a page of them."""
    if _is_table(command):
        return _show_several(command.runs[0], make_console())
    summaries, console = found(command), make_console()
    for folder, summary in zip(command.runs, summaries, strict=True):
        _show(folder, summary, console)
        picture = folder / run_folder.PLOT
        where = f"picture: {picture}" if picture.exists() else f"run: {folder}, without a picture"
        console.print(where, highlight=False)
        if command.pictures is not None:
            from jaxcl.experiments import pictures

            for file in pictures.write(folder, summary, command.pictures):
                console.print(f"picture: {file}", highlight=False)
    if command.html is not None:
        write_page(command, summaries, console)


def write_page(command: Command, summaries: Sequence[Any], console: Console) -> None:
    """Writes the page of the runs, and says where it is."""
    from jaxcl.experiments import page

    assert command.html is not None
    page.write(dict(zip(command.runs, summaries, strict=True)), command.html)
    console.print(f"page: {command.html}", highlight=False)


def _is_table(command: Command) -> bool:
    """Whether one folder is named, of several runs with their table, and nothing is to be drawn."""
    plain = command.html is None and command.pictures is None
    return plain and len(command.runs) == 1 and _tabled(command.runs[0]) is not None


def _tabled(folder: Path) -> Path | None:
    """The file that holds the table of the runs in a folder, if there is one."""
    files = [folder / name for name in (run_folder.COMPARISON, run_folder.SWEEP)]
    return next((file for file in files if file.exists()), None)


def _show_several(folder: Path, console: Console) -> None:
    """Prints the table of what compare or sweep ran in a folder."""
    from jaxcl.reporting import comparison, tuning

    file = _tabled(folder)
    assert file is not None
    try:
        found = json.loads(file.read_text())
        if file.name == run_folder.SWEEP:
            tuning.show(tuning.tried_of(found), console)
        else:
            comparison.show(found, [row["method"] for row in found], console)
            picture = folder / f"{comparison.PICTURE}.png"
            if picture.exists():
                console.print(f"picture: {picture}", highlight=False)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"run: {file} is damaged; name the folders of the runs within") from error


def found(command: Command) -> list[Any]:
    """Returns what the runs found.

    Raises:
      UsageError: none is named, or one of them is not finished.
    """
    if command.plugin:
        early.load(command.plugin)
    if not command.runs:
        raise UsageError("runs: none given; name the folder of a run, such as runs/.../...")
    return [_summary(folder) for folder in command.runs]


def _summary(folder: Path) -> Any:
    """What a finished run found; a UsageError says how to get there."""
    if not run_folder.holds_run(folder):
        what = "is no run by itself" if folder.is_dir() else "is not there"
        done, begun = (
            sorted(str(file.parent) for file in folder.glob(f"*/{name}"))
            for name in (run_folder.SUMMARY, run_folder.CONFIG)
        )
        named = f"name the runs within: {shlex.join(done)}" if done else ""
        if begun and not done:
            named = "the command that began those within goes on with them"
        raise UsageError(f"run: {folder} {what}; {named or 'name the folder that a run wrote'}")
    if not run_folder.finished(folder):
        again = cli.go_on(folder, saved_settings.plugins(folder))
        raise UsageError(f"run: {folder} is not finished; go on with: {again}")
    try:
        return json.loads((folder / run_folder.SUMMARY).read_text())
    except ValueError as error:
        raise _damaged(folder) from error


def _show(folder: Path, summary: Any, console: Console) -> None:
    from jaxcl.reporting import report
    from jaxcl.reporting.matrix import show_accuracy

    try:
        show_accuracy(summary, console)
        console.print(report.facts_table(summary))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise _damaged(folder) from error


def _damaged(folder: Path) -> UsageError:
    file = folder / run_folder.SUMMARY
    return UsageError(f"run: {file} is damaged; restore it, or run again with --overwrite")


def run() -> None:
    """Runs the command of this process."""
    cli.main(read, main)


if __name__ == "__main__":
    run()
