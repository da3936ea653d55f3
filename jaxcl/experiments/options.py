"""Settings as options of a command: those that the method, network and scenario have.

What other settings hang on (``--method``, ``--scenario``, ``--setting``, ``--net``,
``--replay``) is read first; then the parser is built, so that the help shows the values in
force, and only what applies.
"""

import contextlib
import dataclasses
import difflib
import inspect
import io
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Annotated, Any, Generic, Literal, TypeVar

import tyro

from jaxcl.core.errors import UsageError
from jaxcl.core.fields import shown
from jaxcl.learner.config import SYNONYMS, Config, known_settings, option, unknown
from jaxcl.learner.configure import CHOICES, configure
from jaxcl.methods.replay import Replay
from jaxcl.networks.choices import NETWORKS

Extra = TypeVar("Extra")


@dataclasses.dataclass(frozen=True)
class Parsed(Generic[Extra]):
    """A command line as a configuration and what is the command's own.

    Attributes:
      config: of the run.
      extra: the command's own options.
      given: settings that are given, by name.
      build: ``(**settings) -> config``: the configuration with other settings, which may be
        those that others hang on.
    """

    config: Config
    extra: Extra
    given: dict[str, Any]
    build: Callable[..., Config]


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


def choices(args: Sequence[str]) -> dict[str, str]:
    """What is said of the settings that others hang on.

    Raises:
      UsageError: one of them without a value.
    """
    found: dict[str, str] = {}
    for name, words in groups(args):
        if name in CHOICES:
            value = words[0].partition("=")[2] if "=" in words[0] else "".join(words[1:2])
            if not value:
                raise UsageError(f"{name}: no value; give {option(name)} and a name")
            found[name] = value
    return found


def parse(
    prog: str, extra: type[Extra], args: Sequence[str], usual: Config, default: Extra | None = None
) -> Parsed[Extra]:
    """Reads a command line.

    Args:
      prog: name of the program, for the help.
      extra: a dataclass of the command's own options.
      args: the command line.
      usual: the configuration at the values that the help shows.
      default: of the command's own options.

    Raises:
      UsageError: an option that is unknown, or that nothing here has; a value that is none.
    """
    names = {field.name for field in dataclasses.fields(extra)}  # pyright: ignore[reportArgumentType]
    own = names | usual.flat().keys() | set(CHOICES) | {"help"}
    said = [name for name, _ in groups(args)]
    for name in said:
        if name not in own and _is_setting(name):
            raise unknown(name, usual)
    command = _command(extra, usual, extra() if default is None else default)
    parsed = run_tyro(command, prog, inspect.getdoc(extra) or "", args, own)
    values = _values(parsed)
    given = {name: values[name] for name in said if name in values and name not in CHOICES}
    chosen = {n: v for n, v in values.items() if n in CHOICES and n != "replay"}
    chosen |= {"replay": usual.replay_on_top}

    def build(**settings: Any) -> Config:
        other = {n: settings.pop(n) for n in CHOICES if n in settings}
        if not other:
            return usual.changed(**(given | settings))
        return configure(**(chosen | other)).changed(**(given | settings))

    return Parsed(build(), parsed.extra, given, build)


def words_of(args: Sequence[str], name: str, usual: Sequence[str]) -> list[str]:
    """The words after an option; those that are usual where it is not given.

    >>> words_of(["--methods", "ewc", "si", "--lr", "1"], "methods", ["er"])
    ['ewc', 'si']
    """
    found = list(usual)
    for each, words in groups(args):
        if each == name:
            first = words[0].partition("=")[2]
            found = ([first] if first else []) + words[1:]
    return found


def for_methods(
    prog: str, extra: type[Extra], args: Sequence[str], methods: Sequence[str], **usual: Any
) -> tuple[dict[str, Config], Extra]:
    """Reads a command line for several methods, each of which takes the options that it has.

    Args:
      prog: name of the program, for the help.
      extra: a dataclass of the command's own options.
      args: the command line.
      methods: their names.
      usual: settings that hold unless they are given.

    Raises:
      UsageError: an option that none of the methods has.
    """
    chosen = {n: v for n, v in choices(args).items() if n != "method"}
    configs = {m: configure(**{**chosen, **usual, "method": m}) for m in methods}
    names = {field.name for field in dataclasses.fields(extra)}  # pyright: ignore[reportArgumentType]
    parsed: dict[str, Parsed[Extra]] = {}
    taken: set[str] = set()
    for name, config in configs.items():
        own = names | config.flat().keys() | set(CHOICES) | {"help"}
        known = [group for group in groups(args) if group[0] in own or not _is_setting(group[0])]
        taken |= {each for each, _ in known}
        parsed[name] = parse(prog, extra, [word for _, words in known for word in words], config)
    for name, _ in groups(args):
        if name not in taken:  # what none has is refused
            raise unknown(name, next(iter(configs.values())))
    first = next(iter(parsed.values()))
    return {name: each.config for name, each in parsed.items()}, first.extra


def _is_setting(name: str) -> bool:
    return name in known_settings() | SYNONYMS.keys()


def _command(extra: type, usual: Config, default: Any) -> Any:
    """A dataclass of all options, at their usual values."""
    fields = [
        ("method", _told(str, "See --list."), usual.method.name),
        ("scenario", _told(str, "See --list."), usual.scenario),
        ("net", _told(Literal[tuple(NETWORKS)], "Network."), usual.network.name),
        ("seeds", _told(tuple[int, ...], "Such as 0 1 2, or 0..2."), usual.seeds),
        ("together", _told(TOGETHER, "Networks trained at once."), usual.together),
    ]
    if usual.method.replay in (None, Replay) and not usual.method.on_all_data:
        fields.append(("replay", _told(ON_TOP, KINDS), usual.replay_on_top))
    for name, part in usual.parts():
        if dataclasses.fields(part):
            # Beside the names above, which stand for the kind of a part.
            fields.append((f"{name}_settings", _flat(type(part)), part))
    fields.append(("extra", Annotated[extra, tyro.conf.arg(name="")], default))
    made = [(n, hint, dataclasses.field(default=value)) for n, hint, value in fields]
    return dataclasses.make_dataclass("Command", made, frozen=True)


TOGETHER = Annotated[int | None, shown("all; CPU: 1", "INT")]
KINDS = "buffer, exact, noise or generative."
ON_TOP = Annotated[
    Literal["buffer", "exact", "noise", "generative"] | None, shown("nothing", "KIND")
]


def _told(hint: Any, text: str) -> Any:
    return Annotated[hint, tyro.conf.arg(help=text)]


def _flat(kind: type) -> Any:
    return tyro.conf.FlagConversionOff[Annotated[kind, tyro.conf.arg(name="")]]


def _values(parsed: Any) -> dict[str, Any]:
    """All values by the names of their options."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(parsed):
        value = getattr(parsed, field.name)
        if field.name.endswith("_settings"):
            found |= vars(value)
        elif field.name != "extra":
            found[field.name] = value
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
    near = [part for part in more if part.startswith("Perhaps you meant")]
    return f"{message}. {' '.join(near[0].split()[:4])}" if near else message
