"""What a run found: accuracies, history, networks that predict."""

import dataclasses
import json
import shutil
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy import ndarray

from jaxcl.checkpointing import run_folder, saved_settings
from jaxcl.core.errors import OutputError, UsageError, check_name
from jaxcl.core.types import PyTree
from jaxcl.front.networks import Networks
from jaxcl.front.plugins import kept, load_plugins
from jaxcl.learner.settings.config import Config
from jaxcl.networks.base import Variables
from jaxcl.networks.choices import Network
from jaxcl.reporting.pictures import Form
from jaxcl.training.events import EpochEnded, events_of


class Result:
    """What a finished run found; arrays are read from its folder when they are asked for.

    :func:`fit` returns it, and :func:`load` reads it again.

    Attributes:
      folder: of the run.
      summary: all figures, as ``summary.json`` has them.
      config: the settings.
    """

    folder: Path
    summary: dict[str, Any]
    config: Config

    def __init__(self, folder: Path, summary: dict[str, Any], config: Config) -> None:
        """Takes what was read; :func:`load` reads it.

        Args:
          folder: of the run.
          summary: all figures, as ``summary.json`` has them.
          config: the settings.
        """
        self.folder, self.summary, self.config = folder, summary, config
        self._networks = Networks(folder, summary, config)

    @property
    def tasks(self) -> list[str]:
        """Returns the names of the tasks, in the order in which they were learned."""
        return list(self.summary["tasks"])

    @property
    def class_names(self) -> dict[str, list[str]]:
        """Returns for each task the names of its classes, by label; none where nobody named them.

        In the class setting labels count on from task to task, as those of :meth:`predict` do.
        """
        found = self.summary.get("class_names") or [[] for _ in self.tasks]  # an older run has none
        return dict(zip(self.tasks, found, strict=True))

    @property
    def accuracy(self) -> ndarray:
        """Returns ``[seed, after task, task]`` in percent; NaN before a task is seen."""
        return np.asarray(self.summary["accuracy"], float)

    @property
    def routes(self) -> list[dict[str, dict[str, str]]]:
        """Returns for each seed: task -> layer -> task that the branch was made for."""
        return self.summary["routes"]

    @cached_property
    def history(self) -> list[EpochEnded]:
        """Returns every epoch of every seed: losses, accuracies in percent, seconds."""
        return events_of((self.folder / run_folder.METRICS).read_text())[0]

    @property
    def variables(self) -> list[Variables]:
        """Returns for each seed the final parameters and statistics."""
        return self._networks.variables

    @property
    def params(self) -> list[PyTree]:
        """Returns for each seed the final parameters, nested dictionaries."""
        return [variables.params for variables in self.variables]

    def predict(
        self, inputs: PyTree, task: str | None = None, *, seed: int | None = None
    ) -> ndarray:
        """Returns the class of each example, int ``[n]``, or ``[n, t]`` along a sequence.

        Of marks (``loss="binary"``) it is 0 or 1 for each, int ``[n, outputs]``, and numbers
        (``loss="squared"``) are returned as they are, float32 ``[n, outputs]``.

        In the class setting classes count over all tasks, in the order in which they were
        learned; else they are those of the task.

        Args:
          inputs: as those of the tasks, ``[n, ...]``.
          task: its name, where each has a head of its own.
          seed: of the network; by default the first one.

        Raises:
          UsageError: as :meth:`logits` does.
        """
        found, objective = self.logits(inputs, task, seed=seed), self._networks.objective
        if objective.classes:
            return found.argmax(-1)
        return (found > 0).astype(int) if objective.logits else found

    def logits(
        self, inputs: PyTree, task: str | None = None, *, seed: int | None = None
    ) -> ndarray:
        """Returns the logits of each example, float32 ``[n, classes]``.

        Where the method predicts by something else (``ncm``), these are its scores: those that
        the run was tested by, ``-inf`` for a class that it never predicts.

        Args:
          inputs: as those of the tasks, ``[n, ...]``.
          task: its name, where each has a head of its own.
          seed: of the network; by default the first one.

        Raises:
          UsageError: inputs of another shape or type than those that were learned, a task that
            is missing, unknown or not to be told, a seed that was not run, or another network
            than that of the run.
        """
        return self._networks.logits(inputs, task, seed=seed)

    def save(self, folder: Path | str) -> None:
        """Copies the run to another folder, from which it can be loaded.

        Args:
          folder: one that is not there yet, or is empty.

        Raises:
          UsageError: the folder holds something already.
          OutputError: it cannot be written.
        """
        folder = Path(folder)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(f"folder: {folder} holds something already; name another")
        try:
            shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        except OSError as error:
            reason = error.strerror or "files could not be copied"
            raise OutputError(f"folder: {folder} cannot be written ({reason})") from error

    def plot(self) -> Any:
        """Returns the picture of accuracies while training, a ``PIL.Image.Image``."""
        from PIL import Image

        with Image.open(self.folder / run_folder.PLOT) as picture:
            return picture.copy()

    def pictures(self, folder: Path | str | None = None, form: Form = "png") -> list[Path]:
        """Writes curves, matrix, forgetting and branches, by default to its folder's pictures.

        Returns:
          Their files.

        Raises:
          UsageError: another form than png, svg and pdf.
          OutputError: a file cannot be written.
        """
        from jaxcl.reporting.pictures.run import write

        check_name("form", form, get_args(Form))
        place = self.folder / run_folder.PICTURES if folder is None else Path(folder)
        return write(self.summary, self.history, place, form)

    def __repr__(self) -> str:
        """Returns one line: method, tasks, accuracy, folder."""
        mean = self.summary["average_accuracy"]["mean"]
        what = f"{self.summary['method']}, {len(self.tasks)} tasks"
        return f"Result({what}: average accuracy {mean:.1f} %, {self.folder})"


def load(
    folder: Path | str, *, network: Network | None = None, plugins: Sequence[str] = ()
) -> Result:
    """Returns what a finished run found.

    Args:
      folder: of the run.
      network: the one that a program gave; a run keeps no code.
      plugins: modules or files that the run needs.

    Raises:
      UsageError: the folder holds no finished run; a network or a plug-in is missing.

    >>> load("no-such-run")
    Traceback (most recent call last):
    jaxcl.core.errors.UsageError: folder: the run in no-such-run is not there; run it first
    """
    folder = Path(folder)
    load_plugins(plugins)
    if not run_folder.finished(folder):
        within = sorted(str(file.parent) for file in folder.glob(f"*/{run_folder.SUMMARY}"))
        if within:
            text = f"{folder} holds several runs; name one of them, such as {within[0]}"
            raise UsageError(f"folder: {text}")
        what = "is not finished" if run_folder.holds_run(folder) else "is not there"
        raise UsageError(f"folder: the run in {folder} {what}; run it first")
    config = saved_settings.saved_config(Config, folder, kept(plugins), saved_settings.by_argument)
    if network is not None:
        config = dataclasses.replace(config, network=network)
    file = folder / run_folder.SUMMARY
    try:
        summary = json.loads(file.read_text())
    except ValueError as error:
        raise UsageError(f"folder: {file} is damaged; restore it, or run again") from error
    return Result(folder, summary, config)
