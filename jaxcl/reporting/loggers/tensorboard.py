"""Events for TensorBoard, a run of its own for each seed."""

import shutil

from jaxcl.reporting.loggers.base import EpochCount, Logged, Logger, of_epoch, of_seed
from jaxcl.reporting.metrics import average_so_far
from jaxcl.training.events import EpochEnded, SeedEnded


class TensorBoardLogger(Logger):
    """Writes event files: ``tensorboard --logdir RUN/tensorboard`` shows them.

    The step of ``metrics/...``, ``accuracy/...`` and ``generator/...`` is the epoch of the seed,
    from 1; that of ``tasks/average_accuracy`` and of ``result/...`` is the number of tasks learned.
    """

    needs = ("tensorboardX", "jaxcl[tensorboard]")

    def __init__(self, run: Logged):
        """Removes what earlier processes wrote."""
        from tensorboardX import SummaryWriter

        super().__init__(run)
        shutil.rmtree(run.folder, ignore_errors=True)
        self._make = SummaryWriter
        self._writers: dict[int, SummaryWriter] = {}
        self._epochs = EpochCount()

    def take(self, event: EpochEnded | SeedEnded) -> None:
        """Adds the values of an event."""
        writer = self._writers.get(event.seed) or self._begin(event.seed)
        if isinstance(event, EpochEnded):
            epoch = self._epochs.next(event.seed)
            for name, value in of_epoch(event).items():
                writer.add_scalar(name, value, epoch)
        else:
            for learned, value in enumerate(average_so_far([event.matrix])[0], start=1):
                writer.add_scalar("tasks/average_accuracy", value, learned)
            for name, value in of_seed(event).items():
                writer.add_scalar(name, value, len(self.run.tasks))
        writer.flush()

    def _begin(self, seed: int):
        writer = self._make(logdir=str(self.run.folder / f"seed{seed}"))
        indented = "\n".join(f"    {line}" for line in self.run.config.splitlines())
        writer.add_text("settings", indented, 0)
        self._writers[seed] = writer
        return writer

    def close(self) -> None:
        """Closes the files."""
        for writer in self._writers.values():
            writer.close()
