"""What the commands have in common: parsing, and errors as one line and an exit code."""

import contextlib
import io
import os
import re
import shlex
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from jaxcl import extras
from jaxcl.core import processes
from jaxcl.core.errors import NonFiniteLoss, OutputError, UsageError
from jaxcl.core.paths import expanded
from jaxcl.reporting.console import STAND_INS, fail, register_stand_ins

Parsed = TypeVar("Parsed")


def main(parse: Callable[[list[str]], Parsed], body: Callable[[Parsed], None]) -> None:
    """Parses the command line, runs the body and exits.

    Exit codes: 0 done, 2 bad usage or missing data, 1 anything else, 75 stopped (SIGTERM), with
    what was done saved, 130 the same by Ctrl-C before there was anything to save.

    Args:
      parse: arguments -> what the body needs.
      body: what to do.
    """
    sys.unraisablehook = _unraisable
    _plain_where_needed()
    # While a run trains, it has a handler of its own, which saves.
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        _check_text(sys.argv[1:])
        parsed = parse(at_home(ranges(sys.argv[1:])))
        processes.join()
        body(parsed)
    except processes.Elsewhere:
        sys.exit(1)
    except UsageError as error:
        sys.exit(fail(error, 2))
    except ModuleNotFoundError as error:
        sys.exit(fail(extras.explained("this command", error), 2))
    except (NonFiniteLoss, OutputError) as error:
        sys.exit(fail(error, 1))
    except BrokenPipeError:
        sys.exit(1)
    except (OSError, UnicodeError) as error:  # a name too long, a folder unreadable
        sys.exit(fail(error, 1))
    except Exception as error:
        if not processes.is_multiprocess():
            raise
        reason = str(error).strip().split("\n")[0][:200]
        if processes.is_lost(error):
            fail(f"another process has ended, or cannot be reached ({reason}); --resume goes on", 1)
        else:
            traceback.print_exc()
        processes.leave(1)  # to end in order, it would wait for the others
    except KeyboardInterrupt:
        sys.exit(fail("interrupted; what was written is kept", 130))
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(number: int, frame: object) -> NoReturn:
    """Ends the process with the code by which schedulers start it again.

    At once: an exception could come up within an import or a callback that lets none through.
    """
    del number, frame
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    if processes.is_primary():
        os.write(
            2, b"error: stopped; what was written is kept, and the same command starts again\n"
        )
    os._exit(75)


def program(command: str) -> str:
    """Returns how a command is called: as this process was, or as a module.

    ``jaxcl`` leaves its own name and that of the command in the place of the program's.
    """
    called, _, _ = sys.argv[0].rpartition(" ")
    usual = f"python -m jaxcl.experiments.{command}"
    return f"{called} {command}" if called in ("jaxcl", "python -m jaxcl") else usual


def go_on(folder: Path, plugins: Sequence[str] = ()) -> str:
    """Returns the command that goes on with the run in a folder.

    Args:
      folder: of the run.
      plugins: that it needs; no folder has one imported by itself.
    """
    words = [f"--resume={folder}", *(f"--plugin={each}" for each in plugins)]
    return f"{program('scenario')} {shlex.join(words)}"


def _plain_where_needed() -> None:
    """Lets output go to a stream that has no more than ASCII, say: signs get stand-ins."""
    register_stand_ins()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=STAND_INS)


def _check_text(args: Sequence[str]) -> None:
    """Raises a UsageError for names that are no text: files of a run could not hold them."""
    for name in (*args, os.getcwd()):
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise UsageError(f"{name!a}: this name is not text in UTF-8; give another") from error


def _unraisable(found: Any) -> None:
    """Shows what nobody could catch, except what the storage library leaves behind.

    After a write that failed its threads call an event loop that is closed by then, and
    would print hundreds of tracebacks; the failed write itself is raised and reported.
    """
    if "Event loop is closed" not in str(found.exc_value):
        sys.__unraisablehook__(found)


FOLDERS = ("--out", "--resume", "--runs", "--report")


def at_home(args: Sequence[str]) -> list[str]:
    """Arguments in which ``~`` of ``--out=~/mine`` is the home folder; a shell leaves it there."""
    found = []
    for arg in args:
        name, equals, value = arg.partition("=")
        if name in FOLDERS and value.startswith("~"):
            value = str(expanded(name.removeprefix("--"), value))
        found.append(name + equals + value)
    return found


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
