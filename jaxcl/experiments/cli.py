"""What the commands have in common: parsing, and errors as one line and an exit code."""

import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from jaxcl.errors import NonFiniteLoss, OutputError, UsageError

Command = TypeVar("Command")


def main(
    command: type[Command],
    body: Callable[[Command], None],
    prog: str,
    defaults: Callable[[Sequence[str]], tuple[list[str], Command]] | None = None,
) -> None:
    """Parses the command line, runs the body and exits.

    Exit codes: 0 done, 2 bad usage or missing data, 1 anything else, 75 interrupted
    and saved, 130 interrupted before there was anything to save.

    Args:
      command: a dataclass, one field for each option.
      body: what to do.
      prog: name of the program, for the help.
      defaults: completes the arguments and gives the defaults; by default those of
        the dataclass.
    """
    import tyro

    try:
        args, default = defaults(sys.argv[1:]) if defaults else (sys.argv[1:], None)
        parsed = tyro.cli(
            command,
            prog=prog,
            description=command.__doc__,
            args=args,
            default=tyro.MISSING_NONPROP if default is None else default,
            config=(tyro.conf.FlagCreatePairsOff,),
        )
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
