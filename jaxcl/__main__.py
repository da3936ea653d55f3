"""All commands: ``jaxcl <command>``, or ``python -m jaxcl <command>``.

Light to import (no JAX), so that the list of commands is there at once.
"""

import importlib
import sys
from pathlib import Path

from jaxcl import __version__
from jaxcl.core.errors import UsageError, check_name
from jaxcl.extras import MissingExtra

COMMANDS = {
    "scenario": "Learn a scenario's tasks one after the other and report what was kept.",
    "compare": "Run several methods on one scenario and put their results side by side.",
    "sweep": "Run a method with every combination of some settings, and find the best one.",
    "show": "Print the tables of finished runs, and where their pictures are.",
    "prepare": "Download data sets for the scenarios.",
    "reproduce": "Run what is missing of a paper's tables, then write them anew.",
}
"""Every command -> what it does; each is a module of :mod:`jaxcl.experiments`."""


def main() -> None:
    """Runs the command that is named first; without a name, lists the commands.

    ``--version`` alone prints the version.
    """
    as_module = Path(sys.argv[0]).name == "__main__.py"
    program = "python -m jaxcl" if as_module else "jaxcl"
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        print(_listing(program))
        return
    if name == "--version":
        print(f"jaxcl {__version__}")
        return
    try:
        check_name("command", name, COMMANDS)
        # The command says by this how it was called: in its help, and where it says how to go on.
        sys.argv = [f"{program} {name}", *sys.argv[2:]]
        command = importlib.import_module(f"jaxcl.experiments.{name}")
    except (UsageError, MissingExtra) as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
    command.run()


def _listing(program: str) -> str:
    lines = [f"usage: {program} COMMAND [OPTIONS]", "", "Continual learning in JAX.", ""]
    lines += [f"  {name:<10} {text}" for name, text in COMMANDS.items()]
    lines += ["", f"{program} COMMAND --help shows the options of a command."]
    return "\n".join([*lines, f"{program} --version prints the version."])


if __name__ == "__main__":
    main()
