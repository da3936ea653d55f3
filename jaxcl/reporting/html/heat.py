"""The matrix of accuracies as a table whose cells are coloured."""

from html import escape
from typing import Any

from jaxcl.reporting.html.document import frame
from jaxcl.reporting.pictures.style import cell_colours
from jaxcl.reporting.report import accuracy_cells, mean_text


def heat_table(summary: dict[str, Any]) -> str:
    """Returns a table of tasks against accuracy after each task, means over seeds, 0 to 100 %."""
    columns, rows = accuracy_cells(summary)
    names = "".join(f'<th scope="col">{escape(name)}</th>' for name in ("task", *columns))
    lines = []
    for task, means in rows:
        cells = "".join(_cell(mean) for mean in means) or "<td></td>" * len(columns)
        lines.append(f'<tr><th scope="row">{escape(task)}</th>{cells}</tr>')
    return frame(f"<thead><tr>{names}</tr></thead>", lines, "numbers heat") + _scale()


def _cell(mean: dict[str, float | None]) -> str:
    if mean["mean"] is None:
        return "<td></td>"
    back, ink = cell_colours(mean["mean"])
    return f'<td style="background:{back};color:{ink}">{mean_text(mean)}</td>'


def _scale() -> str:
    stops = ",".join(cell_colours(10.0 * tenth)[0] for tenth in range(11))
    bar = f'<i style="background:linear-gradient(90deg,{stops})"></i>'
    return f'<div class="scale quiet">0 % {bar} 100 %</div>'
