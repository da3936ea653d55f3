"""Where commands speak: a console for results, standard error for errors."""

import codecs
import sys
import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from jaxcl.core import processes

if TYPE_CHECKING:
    from rich.console import Console

Shown = TypeVar("Shown")
STAND_INS = "stand-ins"
"""Error handler of encoders: signs that an encoding lacks get stand-ins."""
PLAIN = {"·": "-", "±": "+/-", "→": "->", "…": ".."}
WIDE = 100_000  # columns, more than anything needs


def make_console(**options: Any) -> "Console":
    """Returns where a command speaks, if this is the process that does.

    Colours and progress bars are for terminals alone; a notebook gets plain text, of
    which rich would make an output for each line. Signs that the output's encoding lacks get
    their stand-ins before a table is laid out, so that its columns stay in line.

    Args:
      options: of ``rich.console.Console``, such as ``file`` and ``width``.
    """
    from rich.console import Console
    from rich.text import Text

    register_stand_ins()

    class Plain(Console):
        def render_str(self, text: str, **kwargs: Any) -> Text:
            # All strings come by here, those in tables too, before they are measured.
            plain = text.encode(self.encoding, STAND_INS).decode(self.encoding)
            return super().render_str(plain, **kwargs)

    # Names of folders are no markup.
    quiet = not processes.is_primary()
    if Console().is_jupyter:
        options = {"force_jupyter": False, "force_terminal": False, **options}
    return Plain(soft_wrap=True, markup=False, emoji=False, quiet=quiet, **options)


def register_stand_ins() -> None:
    """Makes ``errors="stand-ins"`` known to encoders: ``±`` becomes ``+/-`` in ASCII."""
    codecs.register_error(STAND_INS, _stand_ins)


def _stand_ins(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(PLAIN.get(sign) or _ascii(sign) for sign in signs), error.end


def _ascii(sign: str) -> str:
    """A letter without its accents; a question mark for what has no such letter."""
    return unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode() or "?"


def fits(what: Any, console: "Console") -> bool:
    """Returns whether a text or a table has room in the console's width."""
    options = console.options.update(max_width=WIDE)
    return console.measure(what, options=options).maximum <= console.width


def first_that_fits(candidates: Iterable[Shown], console: "Console") -> Shown:
    """Returns the first text or table that has room in the console's width, or the last one.

    Args:
      candidates: from the fullest to the shortest, at least one.
      console: where it is to be shown.
    """
    chosen = None
    for chosen in candidates:
        if fits(chosen, console):
            break
    assert chosen is not None
    return chosen


def fail(message: object, code: int) -> int:
    """Prints a line on standard error and returns the exit code."""
    who = f" (process {processes.number()})" if processes.is_multiprocess() else ""
    sys.stderr.write(f"error{who}: {message}\n")
    return code


def say(console: "Console", text: str) -> None:
    """Prints a remark."""
    console.print(text, style="dim", highlight=False)
