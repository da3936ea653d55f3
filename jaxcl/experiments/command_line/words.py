"""The words of a command line, and what the parser says of them, as one line."""

import contextlib
import difflib
import io
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import tyro

from jaxcl.core.errors import UsageError
from jaxcl.learner.settings.config import option


def groups(args: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yields each option's name, as that of a setting, with its words.

    >>> list(groups(["--batch-size=3", "--seeds", "0", "1"]))
    [('batch_size', ['--batch-size=3']), ('seeds', ['--seeds', '0', '1'])]
    """
    words: list[str] = []
    name = ""
    for arg in args:
        if arg.startswith("--") and len(arg) > 2:
            if words:
                yield name, words
            name, words = arg[2:].partition("=")[0].replace("-", "_"), []
        words.append(arg)
    if words:
        yield name, words


def words_of(args: Sequence[str], name: str, usual: Sequence[str]) -> list[str]:
    """Returns the words after an option; those that are usual where it is not given.

    >>> words_of(["--methods", "ewc", "si", "--lr", "1"], "methods", ["er"])
    ['ewc', 'si']
    """
    found = list(usual)
    for each, words in groups(args):
        if each == name:
            first = words[0].partition("=")[2]
            found = ([first] if first else []) + words[1:]
    return found


def run_tyro(
    command: type[Any],
    prog: str,
    description: str,
    args: Sequence[str],
    known: Collection[str],
) -> Any:
    """Parses with tyro; its errors become one line.

    Raises:
      UsageError: of the command line.
    """
    boxes = io.StringIO()
    try:
        with contextlib.redirect_stderr(boxes):
            return tyro.cli(
                command,
                prog=prog,
                description=description,
                args=args,
                config=(tyro.conf.FlagCreatePairsOff,),
            )
    except SystemExit as stop:
        if stop.code == 2:
            message = _one_line(boxes.getvalue())
            if unread := re.match("Error parsing --([a-z0-9-]+)", message):
                name = unread[1].replace("-", "_")
                message = f"{name}: {' '.join(words_of(args, name, ()))!r} cannot be read"
            near = "" if "Perhaps you meant" in message else _nearest(known, args)
            raise UsageError(f"{message}{near}; see --help") from None
        raise
    except (OverflowError, AssertionError, ValueError) as error:  # of the parser, on odd values
        reason = str(error) or "an option has no value"
        raise UsageError(f"the command line cannot be read ({reason}); see --help") from error


def _nearest(known: Collection[str], args: Sequence[str]) -> str:
    """The options that are nearest to unknown ones in ``--option=value`` form."""
    options = [option(name) for name in known]
    for name, _ in groups(args):
        if name and option(name) not in (*options, "--help"):
            near = difflib.get_close_matches(option(name), options, n=1, cutoff=0.6)
            return f". Perhaps you meant: {near[0]}" if near else ""
    return ""


def _one_line(box: str) -> str:
    """What a box of the parser says, and what it proposes, without title and frame."""
    words = re.sub("[│╭╮╰╯]", " ", box)
    parts = [" ".join(part.strip(" ─\n").split()) for part in re.split("[─-]{5,}", words)]
    _, message, *more = [part for part in parts if part]
    message = message.split(" Got errors:")[0].rstrip(". ")
    message = re.sub(r"one of \((.*)\)", _in_order, message)
    near = [part for part in more if part.startswith("Perhaps you meant")]
    return f"{message}. {' '.join(near[0].split()[:4])}" if near else message


def _in_order(choices: re.Match[str]) -> str:
    """Sorts the choices, which the parser keeps in no order, and leaves out None."""
    names = re.findall(r"'([^']*)'", choices[1])
    return f"one of {', '.join(sorted(set(names) - {'None'}))}"
