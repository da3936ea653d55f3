"""What the commands have in common: parsing, and errors as one line and an exit code."""

import sys
from collections.abc import Callable
from typing import TypeVar

from jaxcl.errors import NonFiniteLoss, OutputError, UsageError

Command = TypeVar("Command")


def main(command: type[Command], body: Callable[[Command], None], prog: str) -> None:
    """Parses the command line, runs the body and exits.

    Exit codes: 0 done, 2 bad usage or missing data, 1 anything else, 130
    interrupted.
    """
    import tyro

    parsed = tyro.cli(
        command, prog=prog, config=(tyro.conf.FlagCreatePairsOff,), description=command.__doc__
    )
    try:
        body(parsed)
    except UsageError as error:
        sys.exit(fail(error, 2))
    except (NonFiniteLoss, OutputError) as error:
        sys.exit(fail(error, 1))
    except KeyboardInterrupt:
        sys.exit(fail("interrupted; what was written is kept", 130))
    except BrokenPipeError:
        sys.exit(1)


def fail(message: object, code: int) -> int:
    """Prints a line on standard error and returns the exit code."""
    print(f"error: {message}", file=sys.stderr)
    return code
