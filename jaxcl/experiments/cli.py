"""What the commands have in common: parsing, and errors as one line and an exit code."""

import contextlib
import inspect
import io
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from jaxcl import processes
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
    sys.unraisablehook = _unraisable
    try:
        given = ranges(sys.argv[1:])
        args, default = defaults(given) if defaults else (given, None)
        parsed = _parse(command, prog, args, default)
        processes.start()
        body(parsed)
    except processes.Elsewhere:
        sys.exit(1)
    except UsageError as error:
        sys.exit(fail(error, 2))
    except (NonFiniteLoss, OutputError) as error:
        sys.exit(fail(error, 1))
    except BrokenPipeError:
        sys.exit(1)
    except (OSError, UnicodeError) as error:  # a name too long, a folder unreadable
        sys.exit(fail(error, 1))
    except Exception as error:
        if not processes.several():
            raise
        reason = str(error).strip().split("\n")[0][:200]
        if processes.is_lost(error):
            fail(f"another process has ended, or cannot be reached ({reason}); --resume goes on", 1)
        else:
            traceback.print_exc()
        processes.leave(1)  # to end in order, it would wait for the others
    except KeyboardInterrupt:
        sys.exit(fail("interrupted; what was written is kept", 130))


def _unraisable(found: Any) -> None:
    """Shows what nobody could catch, except what the storage library leaves behind.

    After a write that failed its threads call an event loop that is closed by then, and
    would print hundreds of tracebacks; the failed write itself is raised and reported.
    """
    if "Event loop is closed" not in str(found.exc_value):
        sys.__unraisablehook__(found)


MOST = 10_000  # numbers that a range may stand for


def ranges(args: Sequence[str]) -> list[str]:
    """Arguments in which ``0..3`` after ``--seeds`` stands for ``0 1 2 3``.

    >>> ranges(["--seeds", "0..2", "7", "--lr", "1"])
    ['--seeds', '0', '1', '2', '7', '--lr', '1']
    """
    found: list[str] = []
    option = ""
    for arg in args:
        name, equals, value = arg.partition("=")
        if arg.startswith("--"):
            option = name
        form = re.fullmatch("([0-9]{1,10})[.][.]([0-9]{1,10})", value if equals else arg)
        if form is None or option != "--seeds":
            found.append(arg)
            continue
        first, last = int(form[1]), int(form[2])
        if not first <= last < first + MOST:
            raise UsageError(f"seeds: {form[0]} are none, or too many; give 0..3, say")
        found += [name] if equals else []
        found += [str(seed) for seed in range(first, last + 1)]
    return found


def _parse(
    command: type[Command], prog: str, args: Sequence[str], default: Command | None
) -> Command:
    import tyro

    boxes = io.StringIO()
    try:
        with contextlib.redirect_stderr(boxes):
            return tyro.cli(
                command,
                prog=prog,
                description=inspect.getdoc(command),
                args=args,
                default=tyro.MISSING_NONPROP if default is None else default,
                config=(tyro.conf.FlagCreatePairsOff,),
            )
    except SystemExit as stop:
        if stop.code == 2:
            raise UsageError(f"{_one_line(boxes.getvalue())}; see --help") from None
        raise
    except (OverflowError, AssertionError, ValueError) as error:  # of the parser, on odd values
        reason = str(error) or "an option has no value"
        raise UsageError(f"the command line cannot be read ({reason}); see --help") from error


def _one_line(box: str) -> str:
    """What a box of the parser says, and what it proposes, without title and frame."""
    words = re.sub("[│╭╮╰╯]", " ", box)
    parts = [" ".join(part.strip(" ─\n").split()) for part in re.split("[─-]{5,}", words)]
    _, message, *more = [part for part in parts if part]
    message = message.split(" Got errors:")[0].rstrip(". ")
    near = [part for part in more if part.startswith("Perhaps you meant")]
    return f"{message}. {' '.join(near[0].split()[:4])}" if near else message


def console():
    """Where a command speaks, if this is the process that does."""
    from rich.console import Console

    # Names of folders are no markup.
    return Console(soft_wrap=True, markup=False, quiet=not processes.primary())


def fail(message: object, code: int) -> int:
    """Prints a line on standard error and returns the exit code."""
    who = f" (process {processes.number()})" if processes.several() else ""
    sys.stderr.write(f"error{who}: {message}\n")
    return code
