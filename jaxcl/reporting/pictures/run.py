"""All pictures of a run."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxcl.checkpointing import run_folder
from jaxcl.core.errors import OutputError
from jaxcl.reporting.pictures import Form
from jaxcl.reporting.pictures.curves import learning_curves
from jaxcl.reporting.pictures.forgetting import forgetting_bars
from jaxcl.reporting.pictures.matrix import accuracy_matrix
from jaxcl.reporting.pictures.routes import route_diagram, ways
from jaxcl.reporting.pictures.style import rendered
from jaxcl.reporting.report import measured, tested, what_text
from jaxcl.reporting.summary import curves
from jaxcl.training.events import GENERATOR, EpochEnded


def run_figures(
    summary: dict[str, Any], epochs: Sequence[EpochEnded]
) -> Iterator[tuple[str, Figure]]:
    """Yields each picture of a run and its name.

    ``accuracy`` (while training goes on; not where no epochs are known), ``matrix``, ``forgetting``
    (of several tasks that were tested at the end) and ``routes`` (where a layer branched).

    Args:
      summary: what ``summary.json`` holds.
      epochs: of all seeds.
    """
    title, tasks, matrices = what_text(summary), summary["tasks"], summary["accuracy"]
    measure = measured(summary)
    if any(event.phase != GENERATOR for event in epochs):
        drawn = learning_curves(*curves(epochs, tasks), title, tested(summary), measure)
        yield "accuracy", drawn
    yield "matrix", accuracy_matrix(matrices, tasks, title, measure)
    at_the_end = np.array([matrix[-1] for matrix in matrices], float)
    if len(tasks) > 1 and not np.isnan(at_the_end).any():
        yield "forgetting", forgetting_bars(matrices, tasks, title)
    if ways(summary["routes"], summary["seeds"]):
        yield "routes", route_diagram(summary["routes"], summary["seeds"], title)


def write(
    summary: dict[str, Any], epochs: Sequence[EpochEnded], folder: Path, form: Form = "png"
) -> list[Path]:
    """Writes each picture of a run to a folder, and returns their files.

    Args:
      summary: what ``summary.json`` holds.
      epochs: of all seeds.
      folder: is made where it is not there.
      form: of the files.

    Raises:
      OutputError: a file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror}") from error
    files = []
    for name, figure in run_figures(summary, epochs):
        files.append(folder / f"{name}.{form}")
        run_folder.write_bytes(files[-1], rendered(figure, form))
    return files
