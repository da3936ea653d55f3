"""Settings as options of a command: those that the method, network and scenario have.

What other settings hang on (``--method``, ``--scenario``, ``--setting``, ``--net``,
``--replay``) is read first; then the parser is built, so that the help shows the values in
force, and only what applies.
"""

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, Literal, TypeVar

import tyro

from jaxcl.core.errors import UsageError
from jaxcl.core.fields import shown
from jaxcl.experiments.words import groups, run_tyro
from jaxcl.learner.config import SYNONYMS, Config, known_settings, option, unknown
from jaxcl.learner.configuration import CHOICES, configure
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


def choices(args: Sequence[str]) -> dict[str, str]:
    """Returns what is said of the settings that others hang on.

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
