"""Events as CSV, a line for each value, as tools for tables like them."""

import csv
import shutil
from typing import Any

from jaxcl.reporting.loggers.base import EpochCount, Logged, Logger, of_epoch
from jaxcl.training.events import EpochEnded, SeedEnded

EPOCHS, ACCURACY = "epochs.csv", "accuracy.csv"
COLUMNS = {
    EPOCHS: ("seed", "epoch", "task", "task_epoch", "phase", "measure", "value"),
    ACCURACY: ("seed", "after", "task", "accuracy"),
}


class CsvLogger(Logger):
    """Writes ``epochs.csv`` and ``accuracy.csv``.

    ``epochs.csv``: ``seed``; ``epoch`` of the seed and ``task_epoch`` of its present ``task``, from
    1; ``phase``; ``measure``, such as ``metrics/loss`` or ``accuracy/<task>`` (percent); ``value``.
    ``accuracy.csv``, the matrix of accuracies, as a seed ends: ``seed``; ``after`` which task;
    ``task`` that was tested; ``accuracy`` in percent. Tasks that were not tested have no line.
    """

    def __init__(self, run: Logged):
        """Begins both files anew."""
        super().__init__(run)
        shutil.rmtree(run.folder, ignore_errors=True)
        run.folder.mkdir(parents=True, exist_ok=True)
        self._epochs = EpochCount()
        for name, columns in COLUMNS.items():
            self._write(name, [columns])

    def take(self, event: EpochEnded | SeedEnded) -> None:
        """Adds the lines of an event."""
        tasks = self.run.tasks
        if isinstance(event, EpochEnded):
            epoch, task = self._epochs.next(event.seed), tasks[event.task_index]
            where = (event.seed, epoch, task, event.epoch + 1, event.phase)
            self._write(EPOCHS, [(*where, *found) for found in of_epoch(event).items()])
            return
        rows = [
            (event.seed, tasks[after], tasks[task], value)
            for after, row in enumerate(event.matrix)
            for task, value in enumerate(row)
            if value is not None
        ]
        self._write(ACCURACY, rows)

    def _write(self, name: str, rows: list[tuple[Any, ...]]) -> None:
        with (self.run.folder / name).open("a", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
