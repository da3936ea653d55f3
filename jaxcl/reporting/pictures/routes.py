"""Which branch of each layer a task runs through, as a diagram."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path

from jaxcl.reporting.labels import shortened
from jaxcl.reporting.pictures.style import OKABE_ITO, SMALL, in_order, styled

Routes = Mapping[str, Mapping[str, str]]
"""task -> layer -> task that the branch was made for."""
NAMED = 6  # tasks whose boxes have room for words
WIDE, NARROW = 1.25, 0.34  # inches from box to box
ROW, BOX = 0.5, 0.24  # inches from layer to layer, and of a box's height
LONGEST, WORD = 16, 10  # letters of a task's or a layer's name, and of one within a box
LETTER = 0.075  # inches
ABOUT = "full: made for the task; outline: shared, the line leads to the task it was made for"


def ways(routes: Sequence[Routes], seeds: Sequence[int]) -> list[tuple[Routes, list[int]]]:
    """Returns each way in which seeds branched, and these seeds; none where nothing branched."""
    found: list[tuple[Routes, list[int]]] = []
    for seed, each in zip(seeds, routes, strict=True):
        if len({tuple(route.items()) for route in each.values()}) < 2:
            continue
        for way, same in found:
            if way == each:
                same.append(seed)
                break
        else:
            found.append((each, [seed]))
    return found


@styled()
def route_diagram(routes: Sequence[Routes], seeds: Sequence[int], title: str = "") -> Figure:
    """Draws which branch of each layer each task runs through.

    Columns are tasks, rows layers from the input to the output.  A full box is a branch that was
    made for the task, an outline one that it shares.  Seeds that branched alike have one diagram.

    Args:
      routes: of each seed, some of which branched.
      seeds: theirs.
      title: above the picture.
    """
    found = ways(routes, seeds)
    sizes = [_size(way) for way, _ in found]
    width = max(4.9, *(wide for wide, _ in sizes))
    head, foot = (0.3 if title else 0.0), 0.2
    top = sum(high for _, high in sizes) + head + foot
    figure = Figure(figsize=(width, top))
    figure.text(0.1 / width, 1 - 0.1 / top, title, va="top", fontsize="large")
    figure.text(0.1 / width, 0.1 / top, ABOUT, fontsize=SMALL)
    above = top - head
    for (way, same), (wide, high) in zip(found, sizes, strict=True):
        axes = figure.add_axes((0.0, (above - high) / top, wide / width, high / top))
        above -= high
        axes.set(xlim=(0, wide), ylim=(high, 0))
        axes.set_axis_off()
        if len(same) < len(seeds):
            text = f"seed{'s' if len(same) > 1 else ''} {', '.join(map(str, same))}"
            axes.text(0.1, 0.16, text, fontsize=SMALL)
        _draw(axes, way)
    return figure


def _layers(routes: Routes) -> list[str]:
    return list(dict.fromkeys(layer for route in routes.values() for layer in route))


def _left(routes: Routes) -> float:
    return 0.25 + LETTER * min(LONGEST, max(map(len, _layers(routes))))


def _across(routes: Routes) -> float:
    return WIDE if len(routes) <= NAMED else NARROW


def _head(routes: Routes) -> float:
    """Inches above the boxes: names of many tasks stand upright."""
    longest = min(LONGEST, max(map(len, routes)))
    return 0.6 if len(routes) <= NAMED else 0.4 + 0.07 * (longest + 4)


def _size(routes: Routes) -> tuple[float, float]:
    wide = _left(routes) + _across(routes) * len(routes) + 0.1
    return wide, _head(routes) + ROW * len(_layers(routes))


def _draw(axes: Axes, routes: Routes) -> None:
    tasks, few = list(routes), len(routes) <= NAMED
    named = few and max(map(len, tasks)) <= WORD
    left, across, head = _left(routes), _across(routes), _head(routes)
    colours = OKABE_ITO if len(tasks) <= len(OKABE_ITO) else in_order(len(tasks))
    for column, task in enumerate(tasks):
        x, name = left + across * (column + 0.45), shortened(task, LONGEST)
        text = name if named else f"{column + 1}  {name}"
        turned = {} if few else {"rotation": 90, "va": "bottom"}
        axes.text(x, head - 0.3, text, ha="center", weight="bold", fontsize=SMALL, **turned)
    for row, layer in enumerate(_layers(routes)):
        y = head + ROW * row
        name = shortened(layer, LONGEST)
        axes.text(left - 0.12, y + BOX / 2, name, ha="right", va="center", fontsize=SMALL)
        for column, task in enumerate(tasks):
            if (owner := routes[task].get(layer)) is None:
                continue
            place = tasks.index(owner) if owner in tasks else column
            x = left + across * column
            own = owner == task
            _box(axes, (x, y), 0.9 * across, colours[place], full=own)
            if not own:
                _arc(axes, x + 0.45 * across, y, -across * (column - place), colours[place])
            shared = f"as {owner}" if named else f"as task {place + 1}"
            said = ("new" if own else shared) if few else str(place + 1)
            middle = x + 0.45 * across, y + BOX / 2
            axes.text(*middle, said, ha="center", va="center_baseline", fontsize=SMALL)


def _box(axes: Axes, corner: tuple[float, float], width: float, colour: str, *, full: bool) -> None:
    """The branch that a task runs through in a layer."""
    shape = "round,pad=0,rounding_size=0.06"
    look = {"facecolor": (colour, 0.35) if full else "none", "edgecolor": colour, "linewidth": 1.6}
    axes.add_patch(FancyBboxPatch(corner, width, BOX, boxstyle=shape, **look))


def _arc(axes: Axes, x: float, y: float, apart: float, colour: str) -> None:
    """The line from a shared branch to the task that it was made for."""
    bend = 0.19
    points = [(x, y), (x - bend, y - bend), (x + apart + bend, y - bend), (x + apart, y)]
    path = Path(points, [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4])
    axes.add_patch(PathPatch(path, facecolor="none", edgecolor=colour, linewidth=1.4))
