"""The look of all pictures: sizes, colours, kinds of lines, and the forms of files.

Nothing is set for all of Matplotlib: each picture is drawn within :func:`styled`.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from jaxcl.reporting.pictures import Form

WIDTH = 7.2  # inches, those of a page
SMALL = 8.0  # points of the smallest letters
OKABE_ITO = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Of Okabe & Ito, Color universal design, 2008, those that are seen on white and on black."""
ORDERED, PERCENT = "viridis", "cividis"
"""Colour maps of things in an order, and of percent from dark to light.

Both look nearly the same to those who tell red and green apart or do not (Nuñez, Anderton &
Renslow, Optimizing colormaps with consideration for color vision deficiency, 2018)."""
LINES, MARKERS = ("-", "--", "-.", ":"), ("o", "s", "^", "D", "v")


class Look(NamedTuple):
    """How a line is drawn, by the names that Matplotlib has for it."""

    color: str
    linestyle: str
    marker: str


@contextmanager
def styled(ink: str = "black") -> Iterator[None]:
    """Makes a context in which pictures have the common look, their letters in a colour."""
    inked = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    common: Any = {**dict.fromkeys(inked, ink), **STYLE}
    with matplotlib.rc_context(common):
        yield


STYLE: dict[str, Any] = {
    "font.size": 9.0, "axes.labelsize": 9.0, "axes.titlesize": 10.0, "axes.titlelocation": "left",
    "xtick.labelsize": SMALL, "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL, "legend.title_fontsize": SMALL, "legend.frameon": False,
    "legend.handlelength": 2.6,
    "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "axes.grid.axis": "y", "axes.axisbelow": True,
    "grid.color": "0.5", "grid.alpha": 0.25, "grid.linewidth": 0.6,
    "lines.linewidth": 1.5, "lines.markersize": 4.0, "errorbar.capsize": 3.0,
    "text.parse_math": False,  # names may hold the signs of formulas
    "svg.fonttype": "none", "svg.hashsalt": "jaxcl", "pdf.fonttype": 42, "savefig.dpi": 200,
}  # fmt: skip


def looks(n: int) -> list[Look]:
    """Returns ``n`` looks; no two have the same colour, up to 20 not the same line and marker.

    Of few the colours are those of Okabe & Ito, of more they go from dark to light in order.

    >>> looks(2)
    [Look(color='#0072b2', linestyle='-', marker='o'), Look(color='#d55e00', ...)]
    """
    colours = OKABE_ITO if n <= len(OKABE_ITO) else in_order(n)
    return [Look(c, LINES[i % 4], MARKERS[i % 5]) for i, c in enumerate(colours[:n])]


def in_order(n: int) -> list[str]:
    """Returns ``n`` colours from dark to light, without the ends that white or black hides."""
    return [to_hex(colormaps[ORDERED](0.1 + 0.8 * (i + 0.5) / n)) for i in range(n)]


def cell_colours(percent: float) -> tuple[str, str]:
    """Returns the colour of a cell, and the one of black and white that is easier to read on it.

    >>> cell_colours(0.0), cell_colours(100.0)
    (('#00224e', '#ffffff'), ('#fee838', '#000000'))
    """
    back = to_hex(colormaps[PERCENT](percent / 100))
    parts = [int(back[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    # Contrast to black is (luminance + 0.05) / 0.05, to white 1.05 / (luminance + 0.05) (WCAG 2).
    ink = "#000000" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "#ffffff"
    return back, ink


def lower_limit(values: np.ndarray) -> float:
    """Returns where an axis of percent up to 100 begins: at 0, or below what is less than that.

    >>> lower_limit(np.array([50.0, np.nan])), lower_limit(np.array([-100.0, 50.0]))
    (0.0, -104.0)
    """
    lowest = float(values[np.isfinite(values)].min(initial=0.0))
    return lowest - (100 - lowest) / 50 if lowest < 0 else 0.0


def seeds_text(counts: Sequence[int], band: str) -> str:
    """Returns what lines and bands are, by how many seeds there are of each line.

    >>> seeds_text([3, 5], "band: ± standard error"), seeds_text([1], "")
    ('mean of 3 to 5 seeds,\\nband: ± standard error', '1 seed')
    """
    few, many = min(counts), max(counts)
    if many == 1:
        return "1 seed"
    return f"mean of {few if few == many else f'{few} to {many}'} seeds,\n{band}"


def legend_text(name: str) -> str:
    """Returns a name as a legend has it: Matplotlib leaves out those that begin with ``_``.

    >>> legend_text("_a"), legend_text("a")
    (' _a', 'a')
    """
    return f" {name}" if name.startswith("_") else name


def rendered(figure: Figure, form: Form, ink: str = "black") -> bytes:
    """Returns a picture as the content of a file, the same each time.

    Args:
      figure: as the functions of this room return it.
      form: of the file.
      ink: that it was drawn with.
    """
    unsaid: dict[str, Any] = {
        "png": {},
        "svg": dict.fromkeys(("Creator", "Date", "Format", "Type")),
        "pdf": dict.fromkeys(("Creator", "Producer", "CreationDate")),
    }
    buffer = io.BytesIO()
    with styled(ink):
        figure.savefig(buffer, format=form, transparent=form != "png", metadata=unsaid[form])
    return buffer.getvalue()
