"""What a run found: accuracies, history, networks that predict."""

import contextlib
import dataclasses
import json
import shutil
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from jaxcl.checkpointing import checkpoint, run_folder
from jaxcl.core.batching import examples, map_batches
from jaxcl.core.errors import UsageError
from jaxcl.core.types import Array, Batch, PyTree
from jaxcl.front.plugins import kept, load_plugins
from jaxcl.growth.heads import View, setting
from jaxcl.growth.parameters import task_name
from jaxcl.growth.sameness import difference
from jaxcl.learner.build import predicting
from jaxcl.learner.settings.config import Config
from jaxcl.learner.snapshot import rebuild
from jaxcl.networks import Pathway
from jaxcl.networks.base import Net, Variables
from jaxcl.networks.choices import Network
from jaxcl.reporting.pictures import Form
from jaxcl.scenarios.images import to_rgb32
from jaxcl.scenarios.inputs import Inputs, spec_of
from jaxcl.scenarios.task import as_kept, size_text
from jaxcl.training.evaluation import Predictor, answers, as_tested
from jaxcl.training.events import EpochEnded, events_of
from jaxcl.transforms import Context, LossTransform
from jaxcl.transforms.objectives import OBJECTIVES, Objective

PREDICTED = 500  # examples in a forward pass


class Result:
    """What a finished run found; arrays are read from its folder when they are asked for.

    Attributes:
      folder: of the run.
      summary: all figures, as ``summary.json`` has them.
      config: the settings.
    """

    def __init__(self, folder: Path, summary: dict[str, Any], config: Config) -> None:
        """Takes what was read; :func:`load` reads it."""
        self.folder, self.summary, self.config = folder, summary, config
        self._nets: dict[Any, Net] = {}

    @property
    def tasks(self) -> list[str]:
        """Returns the names of the tasks, in the order in which they were learned."""
        return list(self.summary["tasks"])

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
        """Returns every epoch of every seed: losses, accuracies, seconds."""
        return events_of((self.folder / run_folder.METRICS).read_text())[0]

    @cached_property
    def variables(self) -> list[Variables]:
        """Returns for each seed the final parameters and statistics."""
        return [
            Variables(*(self._tree(part, seed) for part in (run_folder.PARAMS, run_folder.STATS)))
            for seed in self.summary["seeds"]
        ]

    @property
    def params(self) -> list[PyTree]:
        """Returns for each seed the final parameters, nested dictionaries."""
        return [variables.params for variables in self.variables]

    def _tree(self, part: str, seed: int) -> PyTree:
        path = self.folder / part / f"seed{seed}"
        return checkpoint.load_params(path) if path.exists() else {}

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
          UsageError: inputs of another shape or type than those that were learned, or a task
            that is missing, unknown or not to be told.
        """
        found, objective = self.logits(inputs, task, seed=seed), self._objective
        if objective.classes:
            return found.argmax(-1)
        return (found > 0).astype(int) if objective.logits else found

    def logits(
        self, inputs: PyTree, task: str | None = None, *, seed: int | None = None
    ) -> ndarray:
        """Returns the logits of each example, float32 ``[n, classes]``; see :meth:`predict`.

        Where the method predicts by something else (``ncm``), these are its scores: those that
        the run was tested by, ``-inf`` for a class that it never predicts.
        """
        seeds = self.summary["seeds"]
        if seed is not None and seed not in seeds:
            raise UsageError(f"seed: {seed} was not run; choose from {', '.join(map(str, seeds))}")
        place = 0 if seed is None else seeds.index(seed)
        seen = self._as_learned(jax.tree.map(np.asarray, inputs))
        view = self._view(seen, place)
        index = self._index(view, task)
        data = {"input": seen, "task": np.full(examples(seen), index, np.int32)}
        data = jax.tree.map(jnp.asarray, data)
        if (differs := difference(view.net, self.variables[place])) is not None:
            raise UsageError(
                f"network: it is not the one of the run in {self.folder} ({differs}); load it with"
                " network="
            )
        predict, state = self._predictor(place) or (None, ())
        tested = as_tested(view, index, self.variables[place])
        return np.asarray(_scores(tested[0], predict, state, tested[1], data))

    @cached_property
    def _predicting(self) -> tuple[str, LossTransform] | None:
        classes = self.summary.get("classes")
        return None if classes is None else predicting(self.config, sum(classes))

    def _predictor(self, place: int) -> Predictor | None:
        """What predicts in place of the logits, as the run was tested; None where they serve."""
        if self._predicting is None:
            return None
        name, transform = self._predicting
        assert transform.predict is not None
        stored = self._tree(run_folder.PREDICTOR, self.summary["seeds"][place])
        like = jax.eval_shape(transform.init, self.variables[place].params)
        return Predictor(transform.predict, rebuild(like, stored.get(name)))

    @property
    def _objective(self) -> Objective:
        return OBJECTIVES[self.config.training.loss]

    def _as_learned(self, inputs: PyTree) -> PyTree:
        """The inputs as the tasks had them; UsageError if they are of another kind."""
        learned, resize = self.summary["inputs"]["kind"], self.config.data.resize
        kept = as_kept(inputs)
        if size_text(kept) != learned and resize != "keep" and learned.endswith(" 32x32x3"):
            with contextlib.suppress(ValueError):  # the tasks' images were made so, too
                kept = to_rgb32(kept, resize)
        if size_text(kept) != learned:
            raise UsageError(
                f"inputs: an example is {size_text(as_kept(inputs))}, and the network learned"
                f" {learned}; give these"
            )
        return kept

    def _view(self, inputs: PyTree, place: int) -> View:
        about, config, names = self.summary["inputs"], self.config, self.tasks
        how = Inputs(None, tuple(about["mean"]), tuple(about["deviation"]))
        spec = spec_of(how, inputs)
        leaves, tree = jax.tree.flatten(spec)
        kind = tree, *((leaf.shape, leaf.dtype) for leaf in leaves)
        if kind not in self._nets:  # the same one later, so that what was compiled of it serves
            made = config.network.make(spec, columns=config.method.columns)
            self._nets[kind] = made
        net = self._nets[kind]
        chosen = setting(config.data.setting, config.data.heads)
        routes = []
        for i, name in enumerate(names):
            own, route = task_name(i), self.routes[place][name]
            branches = tuple(task_name(names.index(route[layer])) for layer in net.layers)
            routes.append(Pathway(own, branches, task_name(0) if chosen.shared_head else own))
        return View(net, tuple(routes), chosen, how, self._objective)

    def _index(self, view: View, task: str | None) -> int:
        told, names = not (view.setting.joined or view.setting.shared_head), self.tasks
        if not told and task is not None:
            raise UsageError(f"task: the {self.config.data.setting} setting has none; leave it out")
        if told and task not in names:
            what = "missing" if task is None else f"{task!r} is unknown"
            raise UsageError(f"task: {what}; choose from {', '.join(names)}")
        return names.index(task) if task is not None else 0

    def save(self, folder: Path | str) -> None:
        """Copies the run to another folder, from which it can be loaded.

        Raises:
          UsageError: the folder holds something already.
        """
        folder = Path(folder)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(f"folder: {folder} holds something already; name another")
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)

    def plot(self) -> Any:
        """Returns the picture of accuracies while training, a :class:`PIL.Image.Image`."""
        from PIL import Image

        with Image.open(self.folder / run_folder.PLOT) as picture:
            return picture.copy()

    def pictures(self, folder: Path | str | None = None, form: Form = "png") -> list[Path]:
        """Writes curves, matrix, forgetting and branches, by default to its folder's pictures.

        Returns:
          Their files.
        """
        from jaxcl.reporting.pictures.run import write

        place = self.folder / run_folder.PICTURES if folder is None else Path(folder)
        return write(self.summary, self.history, place, form)

    def __repr__(self) -> str:
        """Returns one line: method, tasks, accuracy, folder."""
        mean = self.summary["average_accuracy"]["mean"]
        what = f"{self.summary['method']}, {len(self.tasks)} tasks"
        return f"Result({what}: average accuracy {mean:.1f} %, {self.folder})"


@partial(jax.jit, static_argnames=("view", "predict"))
def _scores(
    view: View,
    predict: Callable[[PyTree, Context], Array] | None,
    state: PyTree,
    variables: Variables,
    data: Batch,
) -> Array:
    def one(batch: Batch) -> Array:
        return answers(view, predict, state, variables, batch)[1]

    return map_batches(one, data, PREDICTED)


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
    """
    folder = Path(folder)
    load_plugins(plugins)
    if not run_folder.finished(folder):
        what = "is not finished" if run_folder.holds_run(folder) else "is not there"
        raise UsageError(f"folder: the run in {folder} {what}; run it first")
    config = run_folder.saved_config(Config, folder, kept(plugins))
    if network is not None:
        config = dataclasses.replace(config, network=network)
    file = folder / run_folder.SUMMARY
    try:
        summary = json.loads(file.read_text())
    except ValueError as error:
        raise UsageError(f"folder: {file} is damaged; restore it, or run again") from error
    return Result(folder, summary, config)
