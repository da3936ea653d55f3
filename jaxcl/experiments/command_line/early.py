"""What is read before all other options: plug-ins, which register what these name, and the data.

With ``--list``, every command says what there is and ends.

A plug-in that cannot be imported shows its own traceback, without the lines of ours above it.
"""

import sys
import traceback
from collections.abc import Collection, Sequence
from types import TracebackType

from jaxcl.core.errors import UsageError
from jaxcl.experiments.command_line.words import groups, words_of
from jaxcl.front import plugins
from jaxcl.front.plugins import kept, load_plugins
from jaxcl.learner.settings.config import option
from jaxcl.learner.settings.protocols import FILE

IMPORT = "importlib"


def prepared(args: Sequence[str]) -> list[str]:
    """Loads the plug-ins that are installed or named, and says which scenario ``--data`` means.

    Args:
      args: the command line.

    Returns:
      The command line with one ``--plugin``, whose paths are whole, and with the scenario.

    Raises:
      UsageError: a plug-in that there is not, ``--data`` with another scenario.
      SystemExit: a plug-in that cannot be imported, code 1; or ``--list`` was asked for, 0.
    """
    said, named = list(groups(args)), []
    for name, words in said:
        if name == "plugin":
            named += words_of(words, name, ())
            _check_value(name, words)
    load(named)
    if any(words == ["--list"] for _, words in said):
        from jaxcl.experiments.command_line.listing import listing
        from jaxcl.reporting.console import make_console

        listing(make_console())
        sys.exit(0)
    rest = [word for name, words in said if name != "plugin" for word in words]
    whole = ["--plugin", *kept(named)] if named else []
    return [*_with_scenario(rest), *whole]


def load(named: Collection[str]) -> None:
    """Loads plug-ins; SystemExit if one cannot be imported, when that was said."""
    try:
        load_plugins(tuple(named))
    except UsageError:
        raise
    except Exception as error:
        traceback.print_exception(type(error), error, _own_trace(error.__traceback__))
        sys.exit(1)


def _own_trace(trace: TracebackType | None) -> TracebackType | None:
    """A traceback without what leads to the plug-in's own lines: ours and the import's."""
    found = []
    while trace is not None:
        found.append(trace)
        trace = trace.tb_next
    files = [each.tb_frame.f_code.co_filename for each in found]
    last = max((i for i, file in enumerate(files) if file == plugins.__file__), default=-1)
    own = (t for t, file in list(zip(found, files, strict=True))[last + 1 :] if IMPORT not in file)
    return next(own, None)


def _with_scenario(args: list[str]) -> list[str]:
    """The command line with the scenario that ``--data`` means."""
    said = dict(groups(args))
    if "data" not in said:
        return args
    _check_value("data", said["data"])
    scenario = " ".join(words_of(args, "scenario", (FILE,)))
    if scenario != FILE:
        raise UsageError(f"data: scenario {scenario!r} has its own; leave --data or --scenario out")
    return args if "scenario" in said else [*args, f"--scenario={FILE}"]


def _check_value(name: str, words: Sequence[str]) -> None:
    if not any(words_of(words, name, ())):
        raise UsageError(f"{name}: no value; give {option(name)} and a file or a name")
