"""Which loggers there are, and how they are told of a run."""

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from jaxcl.core.errors import OutputError, UsageError, check_name
from jaxcl.reporting.loggers.base import Logged, Logger
from jaxcl.reporting.loggers.csv_files import CsvLogger
from jaxcl.reporting.loggers.tensorboard import TensorBoardLogger
from jaxcl.reporting.loggers.weights_and_biases import WandbLogger
from jaxcl.training.events import EpochEnded, SeedEnded

Tell = Callable[[EpochEnded | SeedEnded], None]
LOGGERS: dict[str, type[Logger]] = {
    "csv": CsvLogger,
    "tensorboard": TensorBoardLogger,
    "wandb": WandbLogger,
}


def check(names: Sequence[str]) -> None:
    """Raises a UsageError for a logger that is unknown, named twice, or lacks its package."""
    for name in names:
        check_name("log", name, LOGGERS)
        module, install = LOGGERS[name].needs or ("", "")
        if module and importlib.util.find_spec(module) is None:
            raise UsageError(f"log: {name} needs {module}; pip install '{install}'")
    if len(set(names)) < len(names):
        raise UsageError(f"log: {' '.join(names)}; give each once")


@contextmanager
def opened(
    names: Sequence[str], run: Logged, past: Sequence[EpochEnded | SeedEnded]
) -> Iterator[Tell]:
    """Makes loggers of a run, and closes them at the end of the block.

    Args:
      names: of the loggers.
      run: that is logged; its folder is that in which each logger has its own.
      past: what the run has kept of earlier processes, in order for each seed.

    Yields:
      What tells all of them of an event.

    Raises:
      OutputError: in the block too: a logger cannot write.
    """
    with ExitStack() as held:
        try:
            loggers: list[Logger] = []
            for name in names:
                loggers.append(LOGGERS[name](run._replace(folder=run.folder / name)))
                held.callback(loggers[-1].close)
            tell = _telling(loggers)
            for event in past:
                tell(event)
        except OSError as error:
            raise _unwritten(error) from error
        yield tell


def _telling(loggers: Sequence[Logger]) -> Tell:
    def tell(event: EpochEnded | SeedEnded) -> None:
        for each in loggers:
            try:
                each.take(event)
            except OSError as error:
                raise _unwritten(error) from error

    return tell


def _unwritten(error: OSError) -> OutputError:
    if isinstance(error, OutputError):
        return error
    return OutputError(f"log: {error.filename} cannot be written: {error.strerror}")
