"""Which branch of each layer a task runs through, as a diagram."""

from collections.abc import Mapping
from html import escape
from typing import Any

from jaxcl.reporting.html.document import remark

Routes = Mapping[str, Mapping[str, str]]
"""task -> layer -> task that the branch was made for."""
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442")
"""Of Okabe & Ito, Color universal design, 2008."""
WIDTH, HEIGHT = 104, 26
ACROSS, DOWN = 132, 58
LETTERS = 14  # that have room in a box


def diagrams(summary: dict[str, Any]) -> str:
    """Returns a diagram of each way in which seeds branched; nothing where nothing did.

    Columns are tasks, rows are layers from the input to the output. A full box is a branch
    that was made for the task, an outline is one that it shares, and a line leads to where that was
    made.
    """
    found: dict[str, list[int]] = {}
    for seed, routes in zip(summary["seeds"], summary["routes"], strict=True):
        if len({tuple(route.items()) for route in routes.values()}) > 1:
            found.setdefault(_diagram(routes), []).append(seed)
    parts = []
    for svg, seeds in found.items():
        if len(found) > 1 or len(seeds) < len(summary["seeds"]):
            parts.append(remark(f"seeds: {', '.join(map(str, seeds))}"))
        parts.append(f"<figure>\n{svg}\n</figure>")
    told = "Full: made for the task. Outline: shared; the line leads to the task it was made for."
    return "\n".join([remark(told), *parts]) if parts else ""


def _diagram(routes: Routes) -> str:
    tasks = list(routes)
    layers = list(dict.fromkeys(layer for route in routes.values() for layer in route))
    left = 20 + 8 * min(LETTERS, max(map(len, layers)))
    width, height = left + ACROSS * len(tasks), 34 + DOWN * len(layers)
    about = "which layer of which task is shared with which"
    parts = [
        f'<svg class="whole" role="img" aria-label="{about}" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}" font-size="12">'
    ]
    for column, task in enumerate(tasks):
        parts.append(_text(left + ACROSS * column + WIDTH / 2, 16, task, 'font-weight="bold"'))
    for row, layer in enumerate(layers):
        top = 44 + DOWN * row
        parts.append(_text(left / 2 - 4, top + HEIGHT / 2 + 4, layer))
        for column, task in enumerate(tasks):
            if (owner := routes[task].get(layer)) is not None:
                place = tasks.index(owner) if owner in tasks else column
                parts.append(_box(task, owner, left + ACROSS * column, top, place, column))
    return "\n".join([*parts, "</svg>"])


def _box(task: str, owner: str, x: int, y: int, place: int, column: int) -> str:
    """The branch that a task runs through in a layer, and the line to the one that it shares."""
    colour, own = COLOURS[place % len(COLOURS)], task == owner
    look = f'fill="{colour}"' if own else 'fill="none"'
    drawn = (
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="6" {look}'
        f' fill-opacity="0.35" stroke="{colour}" stroke-width="2"/>'
    )
    if own:
        return drawn + _text(x + WIDTH / 2, y + HEIGHT / 2 + 4, "new", about=f"made for {task}")
    middle, start = x + WIDTH / 2, x - ACROSS * (column - place) + WIDTH / 2
    line = (
        f'<path d="M {middle} {y} C {middle - 20} {y - 16} {start + 20} {y - 16} {start} {y}"'
        f' fill="none" stroke="{colour}" stroke-width="2"/>'
    )
    about = f"{task} shares the branch that was made for {owner}"
    return line + drawn + _text(x + WIDTH / 2, y + HEIGHT / 2 + 4, f"as {owner}", about=about)


def _text(
    x: float | int, y: float | int, text: str, look: str = "", about: str | None = None
) -> str:
    """Words around a place, cut where they have no room; whole where a pointer rests on them."""
    short = text if len(text) <= LETTERS else f"{text[: LETTERS - 1]}…"
    whole = f"<title>{escape(about or text)}</title>"
    return f'<text x="{x}" y="{y}" text-anchor="middle" {look}>{whole}{escape(short)}</text>'
