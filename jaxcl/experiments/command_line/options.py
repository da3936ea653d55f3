"""Settings as options of a command: those that the method, network and scenario have.

What other settings hang on (``--method``, ``--scenario``, ``--setting``, ``--net``,
``--replay``) is read first, after plug-ins and ``--data``
(:mod:`jaxcl.experiments.command_line.early`); then the parser is built, so that the help shows
the values in force, and only what applies.
"""

import dataclasses
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Annotated, Any, Generic, Literal, TypeVar

import tyro

from jaxcl.core.errors import UsageError, check_name
from jaxcl.core.fields import shown
from jaxcl.experiments.command_line.words import groups, run_tyro
from jaxcl.learner.settings.config import SYNONYMS, Config, known_settings, option, unknown
from jaxcl.learner.settings.configuration import CHOICES, configure, takes_replay
from jaxcl.methods import METHODS
from jaxcl.methods.replay import REPLAYS
from jaxcl.networks.choices import NETWORKS

Extra = TypeVar("Extra")


@dataclasses.dataclass(frozen=True)
class Parsed(Generic[Extra]):
    """A command line as a configuration and what is the command's own.

    Attributes:
      config: of the run.
      extra: the command's own options.
      said: names of all options that are given.
      build: ``(**settings) -> config``: the configuration with other settings, which may be
        those that others hang on.
    """

    config: Config
    extra: Extra
    said: frozenset[str]
    build: Callable[..., Config]


def choices(args: Sequence[str], without: Collection[str] = ()) -> dict[str, str]:
    """Returns what is said of the settings that others hang on.

    Args:
      args: the command line.
      without: those of them that the command itself decides.

    Raises:
      UsageError: one of them without a value.
    """
    found: dict[str, str] = {}
    for name, words in groups(args):
        if name in CHOICES and name not in without:
            value = words[0].partition("=")[2] if "=" in words[0] else "".join(words[1:2])
            if not value:
                raise UsageError(f"{name}: no value; give {option(name)} and a name")
            found[name] = value
    return found


def parse(
    prog: str,
    extra: type[Extra],
    args: Sequence[str],
    usual: Config,
    *,
    assumed: Mapping[str, Any] | None = None,
    without: Collection[str] = (),
) -> Parsed[Extra]:
    """Reads a command line.

    Args:
      prog: name of the program, for the help.
      extra: a dataclass of the command's own options.
      args: the command line.
      usual: the configuration at the values that the help shows.
      assumed: settings that are not the protocol's, and hold unless they are given.
      without: settings that others hang on and that the command itself decides.

    Raises:
      UsageError: an option that is unknown, or that nothing here has; a value that is none.
    """
    own = _own(extra, usual, without)
    said = [name for name, _ in groups(args)]
    for name in said:
        if name not in own and _is_setting(name):
            raise unknown(name, usual)
    command = _command(extra, usual, without)
    parsed = run_tyro(command, prog, inspect.getdoc(extra) or "", args, own)
    values = _values(parsed)
    given = {name: values[name] for name in said if name in values and name not in CHOICES}
    settings_of = usual.flat() | {"replay": usual.replay_on_top}
    chosen: dict[str, Any] = {name: settings_of[name] for name in CHOICES}
    known: dict[str, Any] = {**(assumed or {}), **given}
    if PLUGIN in known:
        known["plugins"] = known.pop(PLUGIN)

    def build(**settings: Any) -> Config:
        other = {n: settings.pop(n) for n in CHOICES if n in settings}
        base = configure(**(chosen | other)) if other else usual
        return base.changed(**(known | settings))

    return Parsed(build(), parsed.extra, frozenset(said), build)


def _own(extra: type, usual: Config, without: Collection[str]) -> set[str]:
    """The names of all options that there are."""
    names = {field.name for field in dataclasses.fields(extra)} | {"help"}
    return names | ((usual.flat().keys() | set(CHOICES) | {PLUGIN}) - set(without))


def for_methods(
    prog: str,
    extra: type[Extra],
    args: Sequence[str],
    methods: Sequence[str],
    *,
    scenario: str | None = None,
    **assumed: Any,
) -> tuple[dict[str, Config], Extra]:
    """Reads a command line for several methods, each of which takes the options that it has.

    Args:
      prog: name of the program, for the help.
      extra: a dataclass of the command's own options.
      args: the command line.
      methods: their names.
      scenario: its name, where the command itself decides it.
      assumed: settings that hold unless they are given.

    Raises:
      UsageError: an option that none of the methods has.
    """
    without = {"method"} if scenario is None else {"method", "scenario", PLUGIN}
    chosen = choices(args, without) | ({} if scenario is None else {"scenario": scenario})
    for method in methods:
        check_name("method", method, METHODS)
    able = [m for m in methods if takes_replay(METHODS[m], chosen.get("replay"))]
    parsed: dict[str, Parsed[Extra]] = {}
    taken: set[str] = set()
    for name in methods:
        # What some have replays on top of them; where none can have it, the first says why.
        drop = {"replay"} if able and name not in able else set()
        kept = {n: v for n, v in chosen.items() if n not in drop}
        usual = configure(**kept, method=name, **assumed)
        own = _own(extra, usual, without) - drop
        known = [(n, words) for n, words in groups(args) if n in own or not _is_setting(n, drop)]
        taken |= {each for each, _ in known}
        words = [word for _, words in known for word in words]
        parsed[name] = parse(prog, extra, words, usual, assumed=assumed, without=without)
    first = next(iter(parsed.values()))
    for name, _ in groups(args):
        if name not in taken:  # what none has is refused
            raise unknown(name, first.config)
    return {name: each.config for name, each in parsed.items()}, first.extra


def _is_setting(name: str, also: Collection[str] = ()) -> bool:
    return name in known_settings() | SYNONYMS.keys() | set(also)


def _command(extra: type, usual: Config, without: Collection[str]) -> Any:
    """A dataclass of all options, at their usual values."""
    fields = [
        ("method", _told(str, METHOD), usual.method.name),
        ("scenario", _told(str, "See --list, or give --data."), usual.scenario),
        ("net", _told(Literal[tuple(NETWORKS)], "See --list.", "STR"), usual.network.name),
        ("seeds", _told(tuple[int, ...], "Such as 0 1 2, or 0..2.", "INT"), usual.seeds),
        ("together", _told(TOGETHER, "Networks trained at once."), usual.together),
    ]
    fields.append((PLUGIN, MORE, usual.plugins))
    if takes_replay(type(usual.method)):
        fields.append(("replay", _told(ON_TOP, REPLAYED), usual.replay_on_top))
    fields = [each for each in fields if each[0] not in without]
    for name, part in usual.parts():
        if dataclasses.fields(part):
            # Beside the names above, which stand for the kind of a part.
            fields.append((f"{name}_settings", _flat(type(part)), part))
    fields.append(("extra", Annotated[extra, tyro.conf.arg(name="")], extra()))
    made = [(n, hint, dataclasses.field(default=value)) for n, hint, value in fields]
    return dataclasses.make_dataclass("Command", made, frozen=True)


METHOD = "See --list; usually select, or finetune where nothing can branch."
PLUGIN = "plugin"
MORE = Annotated[
    tuple[str, ...],
    tyro.conf.arg(
        help="Files or modules that register more.",
        metavar="FILE",
        help_behavior_hint=lambda default: f"(default: {default or 'none'})",
    ),
]
TOGETHER = Annotated[int | None, shown("all; CPU: 1", "INT")]
REPLAYED = f"{', '.join(REPLAYS)}."
ON_TOP = Annotated[
    Literal[tuple(REPLAYS)] | None,  # pyright: ignore[reportOperatorIssue]
    shown("nothing", "KIND"),
]


def _told(hint: Any, text: str, metavar: str | None = None) -> Any:
    return Annotated[hint, tyro.conf.arg(help=text, metavar=metavar)]


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
