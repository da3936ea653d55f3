"""The networks of a finished run: read from its folder, and asked as they were tested."""

import contextlib
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from jaxcl.checkpointing import run_folder, storage
from jaxcl.checkpointing.containers import rebuild
from jaxcl.core.batching import examples, map_batches
from jaxcl.core.errors import UsageError
from jaxcl.core.types import Array, Batch, PyTree
from jaxcl.growth.heads import View, setting
from jaxcl.growth.parameters import task_name
from jaxcl.growth.sameness import difference
from jaxcl.learner.build import predicting
from jaxcl.learner.settings.config import Config
from jaxcl.networks import Pathway
from jaxcl.networks.base import Net, Variables
from jaxcl.scenarios.images import to_rgb32
from jaxcl.scenarios.inputs import Inputs, spec_of
from jaxcl.scenarios.task import as_kept, size_text
from jaxcl.training.evaluation import Predictor, answers, as_tested
from jaxcl.transforms import Context, LossTransform
from jaxcl.transforms.objectives import OBJECTIVES, Objective

PREDICTED = 500  # examples in a forward pass


class Networks:
    """The networks of a run, one for each seed.

    Attributes:
      folder: of the run.
      summary: all figures, as ``summary.json`` has them.
      config: the settings.
    """

    def __init__(self, folder: Path, summary: dict[str, Any], config: Config) -> None:
        """Takes what was read of the run; parameters are read when they are asked for."""
        self.folder, self.summary, self.config = folder, summary, config
        self._nets: dict[Any, Net] = {}

    @property
    def objective(self) -> Objective:
        """Returns what was learned."""
        return OBJECTIVES[self.config.training.loss]

    @cached_property
    def variables(self) -> list[Variables]:
        """Returns for each seed the final parameters and statistics.

        Raises:
          UsageError: they are missing or damaged, or cannot be read.
        """
        return [
            Variables(*(self._tree(part, seed) for part in (run_folder.PARAMS, run_folder.STATS)))
            for seed in self.summary["seeds"]
        ]

    def _tree(self, part: str, seed: int) -> PyTree:
        path = self.folder / part / f"seed{seed}"
        if not path.exists() and part != run_folder.PARAMS:  # not every run has the others
            return {}
        if not path.exists():
            raise UsageError(f"folder: {path} is missing; restore it, or run again")
        try:
            return storage.load_params(path)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise UsageError(
                f"folder: {path} cannot be read ({reason}); check its permissions"
            ) from error
        except ValueError as error:
            raise UsageError(f"folder: {error}; restore it, or run again") from error

    def logits(
        self, inputs: PyTree, task: str | None = None, *, seed: int | None = None
    ) -> ndarray:
        """Returns what :meth:`jaxcl.Result.logits` does, and raises what it does."""
        seeds = self.summary["seeds"]
        if seed is not None and seed not in seeds:
            raise UsageError(f"seed: {seed} was not run; choose from {', '.join(map(str, seeds))}")
        place = 0 if seed is None else seeds.index(seed)
        seen = self._as_learned(jax.tree.map(np.asarray, inputs))
        if examples(seen) == 0:
            raise UsageError("inputs: no examples; give at least one")
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
        about, config, names = self.summary["inputs"], self.config, self.summary["tasks"]
        how = Inputs(None, tuple(about["mean"]), tuple(about["deviation"]))
        spec = spec_of(how, inputs)
        leaves, tree = jax.tree.flatten(spec)
        kind = tree, *((leaf.shape, leaf.dtype) for leaf in leaves)
        if kind not in self._nets:  # the same one later, so that what was compiled of it serves
            made = config.network.make(spec, columns=config.method.columns)
            self._nets[kind] = made
        net = self._nets[kind]
        # An earlier version had a head for each task.
        one = config.one_head and len(self.variables[place].params["heads"]) == 1
        chosen = setting(config.data.setting, config.data.heads, one_head=one)
        routes = []
        for i, name in enumerate(names):
            own, route = task_name(i), self.summary["routes"][place][name]
            branches = tuple(task_name(names.index(route[layer])) for layer in net.layers)
            routes.append(Pathway(own, branches, task_name(0) if chosen.shared_head else own))
        return View(net, tuple(routes), chosen, how, self.objective)

    def _index(self, view: View, task: str | None) -> int:
        told, names = not (view.setting.joined or view.setting.shared_head), self.summary["tasks"]
        if not told and task is not None:
            raise UsageError(f"task: the {self.config.data.setting} setting has none; leave it out")
        if told and task not in names:
            what = "missing" if task is None else f"{task!r} is unknown"
            raise UsageError(f"task: {what}; choose from {', '.join(names)}")
        return names.index(task) if task is not None else 0


@partial(jax.jit, static_argnames=("view", "predict"))
def _scores(
    view: View,
    predict: Callable[[PyTree, Context], Array] | None,
    state: PyTree,
    variables: Variables,
    data: Batch,
) -> Array:
    def one(batch: Batch) -> Array:
        return answers(view, predict, state, variables, batch)

    return map_batches(one, data, PREDICTED)
