"""Finished runs as a page: what their folders say of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxcl.checkpointing import run_folder
from jaxcl.checkpointing.config_file import from_toml
from jaxcl.core.errors import UsageError
from jaxcl.experiments.command_line import again
from jaxcl.experiments.command_line.words import groups
from jaxcl.experiments.pictures import epochs
from jaxcl.learner.settings.config import Config
from jaxcl.learner.settings.configuration import differing
from jaxcl.reporting.html.comparison import comparison_page
from jaxcl.reporting.html.run import RunShown, run_page, value_text


def write(summaries: Mapping[Path, dict[str, Any]], file: Path) -> None:
    """Writes a page of a run, or of several.

    Args:
      summaries: folder of a run -> what its summary holds.
      file: that is written, or replaced.

    Raises:
      UsageError: a summary or settings that cannot be used.
      OutputError: it cannot be written.
    """
    try:
        runs = [_shown(folder, summary) for folder, summary in summaries.items()]
        text = run_page(runs[0]) if len(runs) == 1 else comparison_page(runs)
    except UsageError:
        raise
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        named = ", ".join(map(str, summaries))
        raise UsageError(f"html: {named}: damaged, or of an earlier version ({error!r})") from error
    run_folder.write_bytes(file, text.encode())


def _said(name: str, config: Config, summary: Mapping[str, Any]) -> bool:
    """Whether a setting is anybody's choice: how many are trained at once may be the machine's."""
    settled = config.together in (1, len(config.seeds))
    return name != "together" or not settled or "together" in _options(summary.get("argv", ()))


def _options(argv: Sequence[str]) -> set[str]:
    return {name for name, _ in groups(argv)}


def _shown(folder: Path, summary: dict[str, Any]) -> RunShown:
    changed, command = None, None
    try:
        config = from_toml(Config, summary["config"])
        found = {n: each for n, each in differing(config).items() if _said(n, config, summary)}
    except UsageError:  # of a plug-in that is not given, of a program, of an earlier version
        pass
    else:
        changed = {n: (value_text(usual), value_text(here)) for n, (usual, here) in found.items()}
        command = again.command(config, found)
    name = str(folder) if folder.name else folder.absolute().name
    return RunShown(name, summary, epochs(folder), changed, command)
