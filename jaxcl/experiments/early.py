"""What is read before all other options: plug-ins, which register what these name, and the data.

A plug-in that cannot be imported shows its own traceback, without the lines of ours above it.
"""

import sys
import traceback
from collections.abc import Collection, Sequence

from jaxcl.core.errors import UsageError
from jaxcl.experiments.words import groups, words_of
from jaxcl.front.plugins import kept, load_plugins
from jaxcl.learner.config import option
from jaxcl.learner.protocols import FILE


def prepared(args: Sequence[str]) -> list[str]:
    """Loads the plug-ins that are installed or named, and says which scenario ``--data`` means.

    Args:
      args: the command line.

    Returns:
      The command line with one ``--plugin``, whose paths are whole, and with the scenario.

    Raises:
      UsageError: a plug-in that there is not, ``--data`` with another scenario.
      SystemExit: a plug-in that cannot be imported; code 1.
    """
    said, named = list(groups(args)), []
    for name, words in said:
        if name == "plugin":
            named += words_of(words, name, ())
            _check_value(name, words)
    load(named)
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
        trace = error.__traceback__
        while trace is not None and _is_ours(trace.tb_frame.f_code.co_filename):
            trace = trace.tb_next
        traceback.print_exception(type(error), error, trace)
        sys.exit(1)


def _is_ours(file: str) -> bool:
    from jaxcl.front import plugins

    return file in (__file__, plugins.__file__) or file.startswith(("<frozen ", "<@beartype"))


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
