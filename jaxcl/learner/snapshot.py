"""A learner as named arrays and JSON, and back: what a checkpoint holds."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import tree_util
from numpy import ndarray

from jaxcl.checkpointing.containers import contained, containers, rebuild
from jaxcl.core import processes
from jaxcl.core.errors import UsageError
from jaxcl.core.types import Params, PyTree
from jaxcl.growth.parameters import partition
from jaxcl.growth.similarity import Moments
from jaxcl.learner.state import Setup, phase_key, schedule, trained_mask
from jaxcl.networks import Pathway
from jaxcl.networks.base import Variables
from jaxcl.training.events import GENERATOR
from jaxcl.training.generative.generator import GanState, new_gan_state
from jaxcl.training.learner_state import History, Learner, Model, Phase, Place
from jaxcl.training.loop import Totals
from jaxcl.training.program import TrainState


class Snapshot(NamedTuple):
    """A learner, copied to the host.

    Attributes:
      arrays: leaves under the names of their paths, such as ``params/fc1/w``.
      meta: everything else, as JSON.
    """

    arrays: dict[str, ndarray]
    meta: dict[str, Any]


def take(learner: Learner) -> Snapshot:
    """Copies a learner whose present task has begun.

    Keys of random numbers are not kept: they follow from the seed and the task.
    """
    state, gan = learner.phase.train, learner.phase.gan
    assert state is not None or gan is not None, "no step was made yet"
    tree = {
        "params": learner.model.params,
        "stats": learner.model.stats,
        "opt": learner.phase.opt if state is None else state.opt,
        "kept": None if state is None else learner.phase.opt,
        "step": None if state is None else state.step,
        "transform_state": learner.transform_state,
        "gan": None if gan is None else gan._replace(key=None),
        "generator": learner.model.generator,
        "seen": learner.model.seen,
        "totals": learner.phase.totals,
    }
    leaves = tree_util.tree_leaves_with_path(tree)
    names = [_name(path) for path, _ in leaves]
    for name, (path, _) in zip(names, leaves, strict=True):
        if name.count("/") != len(path) - 1:
            raise ValueError(f"{name}: a key of the state has a slash in it; choose another")
    # A copy: the device's own memory is given away as the run goes on.
    arrays = {name: processes.on_host(leaf) for name, (_, leaf) in zip(names, leaves, strict=True)}
    meta = {**learner.at._asdict(), **learner.history._asdict(), "routes": learner.model.routes}
    return Snapshot(arrays, {**meta, "containers": containers(learner.transform_state)})


def _name(path: tree_util.KeyPath) -> str:
    return tree_util.keystr(path, simple=True, separator="/")


def take_all(learners: Sequence[Learner]) -> Snapshot:
    """Copies the learners that run together; an array's name begins with its seed."""
    taken = [take(learner) for learner in learners]
    arrays = {f"{s.meta['seed']}/{name}": x for s in taken for name, x in s.arrays.items()}
    return Snapshot(arrays, {"learners": [s.meta for s in taken]})


def restore_all(setup: Setup, snapshot: Snapshot) -> list[Learner]:
    """Returns the learners that :func:`take_all` copied, to the bit."""
    parts: dict[str, dict[str, ndarray]] = {}
    for name, array in snapshot.arrays.items():
        seed, rest = name.split("/", 1)
        parts.setdefault(seed, {})[rest] = array
    metas = snapshot.meta["learners"]
    return [restore(setup, Snapshot(parts[str(meta["seed"])], meta)) for meta in metas]


def check_restorable(setup: Setup, learner: Learner) -> None:
    """Raises a UsageError if a transform keeps what :func:`restore` could not make again.

    It is looked at as a run is saved, and not only as it is to go on.
    """
    stand_ins = jax.tree.map(lambda _: np.empty(0), {"transform_state": learner.transform_state})
    arrays = {_name(path): leaf for path, leaf in tree_util.tree_leaves_with_path(stand_ins)}
    meta = {"containers": containers(learner.transform_state)}
    restored = _transform_state(setup, learner.model.params, meta, _nested(arrays))
    for name, state in learner.transform_state.items():
        if jax.tree.structure(state) != jax.tree.structure(restored[name]):
            raise UsageError(
                f"method: the state of {name} holds an object that was not there as it began, and"
                " a checkpoint would lose its type; keep arrays in dictionaries, lists or tuples"
            )


def _transform_state(
    setup: Setup, params: Params, meta: dict[str, Any], tree: dict[str, Any]
) -> PyTree:
    began = jax.eval_shape(setup.transform.init, params)
    found = contained(tree.get("transform_state"), meta.get("containers", {}))
    return rebuild(began, found)


def variables_of(arrays: dict[str, ndarray]) -> list[Variables]:
    """Returns parameters and statistics of each seed among the arrays of :func:`take_all`."""
    return [
        Variables(*(tree.get(part, {}) for part in Variables._fields))
        for tree in _nested(arrays).values()
    ]


def restore(setup: Setup, snapshot: Snapshot) -> Learner:
    """Returns the learner that :func:`take` copied, to the bit."""
    meta, tree = snapshot.meta, _nested(snapshot.arrays)
    params, stats = (jax.tree.map(jnp.asarray, tree.get(part, {})) for part in Variables._fields)
    moments = {
        layer: {branch: Moments(**found) for branch, found in tree["seen"].get(layer, {}).items()}
        if "seen" in tree
        else {}
        for layer in setup.net.layers
    }
    routes = tuple(Pathway(task, tuple(route), head) for task, route, head in meta["routes"])
    _add_empty(params, setup.net.layers, routes)
    transform_state = _transform_state(setup, params, meta, tree)
    totals = rebuild(Totals({}, jnp.int32(0)), tree["totals"]) if "totals" in tree else None
    generator = jax.tree.map(jnp.asarray, tree.get("generator", {}))
    learner = Learner(
        at=Place(**{name: meta[name] for name in Place._fields}),
        model=Model(params, stats, routes, moments, generator),
        # After a warm-up, the optimiser goes on from where it was in the task before.
        phase=Phase(None, _kept(setup, params, tree.get("kept")), totals, _gan(setup, tree)),
        transform_state=transform_state,
        history=History(**{name: meta[name] for name in History._fields}),
    )
    # Between epochs the state is still that of the phase of the epoch before.
    number = learner.at.epoch if learner.at.step else learner.at.epoch - 1
    epoch = schedule(setup, learner.at.task_index)[number]
    key = phase_key(learner, epoch)
    if learner.phase.gan is not None:
        generators = schedule(setup, learner.at.task_index)[0]
        learner = learner.changed(
            gan=learner.phase.gan._replace(key=phase_key(learner, generators))
        )
    if epoch.phase == GENERATOR:
        return learner.changed(opt=_kept(setup, params, tree.get("opt")))
    trained, frozen = partition(params, trained_mask(setup, learner, epoch))
    opt = rebuild(jax.eval_shape(setup.optimizer.init, trained), tree.get("opt"))
    step = jnp.asarray(tree["step"])
    return learner.changed(
        train=TrainState(step, trained, frozen, stats, opt, transform_state, key)
    )


def _add_empty(params: Params, layers: Sequence[str], routes: Sequence[Pathway]) -> None:
    """Adds the branches that have no parameters, and so no arrays that were kept."""
    for pathway in routes:
        for layer, branch in zip(layers, pathway.route, strict=True):
            params.setdefault(layer, {}).setdefault(branch, {})


def _gan(setup: Setup, tree: dict[str, Any]) -> GanState | None:
    """The generator's training, as far as there is any, without its key."""
    if "gan" not in tree or setup.scholar is None:
        return None
    like = jax.eval_shape(partial(new_gan_state, setup.scholar), jax.random.key(0))
    return rebuild(like._replace(key=None), tree["gan"])


def _kept(setup: Setup, params: Params, found: Any) -> PyTree | None:
    """The optimiser's state of the task before; leaves that did not train are None."""
    if found is None:
        return None
    opt = rebuild(jax.eval_shape(setup.optimizer.init, params), found)
    return jax.tree.map(lambda x: None if isinstance(x, jax.ShapeDtypeStruct) else x, opt)


def _nested(arrays: dict[str, ndarray]) -> dict[str, Any]:
    """Arrays under paths as nested dictionaries."""
    tree: dict[str, Any] = {}
    for path, array in arrays.items():
        *parents, name = path.split("/")
        place = tree
        for parent in parents:
            place = place.setdefault(parent, {})
        place[name] = array
    return tree
