"""How good generated images are, in numbers: by a classifier that saw the real ones."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from jaxcl.core.batching import examples, map_batches
from jaxcl.core.random import stream
from jaxcl.core.types import Array, Batch, Bool, Int, Params, PRNGKey, UInt8
from jaxcl.growth.heads import SETTINGS, View, run_view
from jaxcl.growth.parameters import add_head, leaf_mask, merge
from jaxcl.growth.similarity import Moments, frechet_distance, moments
from jaxcl.networks import Pathway
from jaxcl.networks.base import Variables
from jaxcl.networks.dense import mlp
from jaxcl.training.program import Program, adam, start_phase
from jaxcl.training.train_step import epoch_order, no_totals, run_steps
from jaxcl.transforms import chain

HIDDEN = (256, 64)  # the last of these are the features
STEPS, STEP_BATCH, LR = 1000, 128, 1e-3
LOOK_BATCH = 500
HEAD = "t00"


class Real(NamedTuple):
    """What a judge finds in real images.

    Attributes:
      histogram: share of each class among them, float64, sums to one.
      features: moments of the judge's features over them.
    """

    histogram: ndarray
    features: Moments


def train_judge(key: PRNGKey, tasks: Sequence[Batch]) -> Params:
    """Trains a small network on all real images of some tasks.

    Args:
      key: for its weights and its batches.
      tasks: ``input`` (bytes) and ``label``, counted over all of the tasks.

    Returns:
      Its parameters.
    """
    images = jnp.concatenate([task["input"] for task in tasks])
    labels = jnp.concatenate([task["label"] for task in tasks])
    classes = int(labels.max()) + 1
    data = {"input": images, "label": labels, "task": jnp.zeros(len(labels), jnp.int32)}
    size = min(STEP_BATCH, len(labels))
    view = _view(images)
    net = view.net
    fresh = add_head(net, net.init(stream(key, "init")), HEAD, classes, stream(key, "head"))
    program = Program(view, (0,), chain(), adam(LR))
    state = start_phase(
        program.optimizer,
        fresh,
        leaf_mask(fresh.params, lambda path: True),
        {},
        stream(key, "steps"),
    )
    rounds = -(-STEPS // (examples(data) // size))
    orders = [epoch_order(stream(key, "shuffle", i), len(labels), size) for i in range(rounds)]
    order = jnp.concatenate(orders)[:STEPS]
    totals = no_totals(program, state, data, order)
    state, _ = run_steps(program, state, totals, data, order, np.int32(0), np.int32(STEPS))
    return merge(state.params, state.frozen)


def found_in(judge: Params, tasks: Sequence[Batch]) -> Real:
    """Returns what a judge finds in the real images of some tasks, not all of them maybe.

    Args:
      judge: of these tasks and others.
      tasks: as :func:`train_judge` takes them.
    """
    labels = np.concatenate([np.asarray(task["label"]) for task in tasks])
    counts = np.bincount(labels, minlength=judge["heads"][HEAD]["b"].size)
    images = jnp.concatenate([task["input"] for task in tasks])
    return Real(counts / counts.sum(), _features(judge, images))


def quality(judge: Params, real: Real, images: UInt8[Array, "n h w c"]) -> dict[str, float]:
    """Returns figures of images that are to be like the real ones.

    The classes are those that the real images have: the judge chooses among these.

    Args:
      judge: of the real images, and maybe of others.
      real: what it finds in them.
      images: generated, as bytes, or other real ones, whose figures are a floor.

    Returns:
      ``kl``: Kullback-Leibler divergence of the histogram of classes from the real one,
      ``sum_c g_c log(g_c / r_c)`` in nats, 0 when classes are as frequent as in the
      real data; ``frechet``: the Frechet distance of the features, ``|m - m'|^2 +
      tr(C + C' - 2 (C C')^(1/2))``, 0 for equal moments.

    References:
      Heusel et al., GANs trained by a two time-scale update rule, 2017, for the
      distance (with the features of another network).
    """
    classes = _classes(judge, images, jnp.asarray(real.histogram > 0))
    found = np.bincount(np.asarray(classes), minlength=len(real.histogram))
    shares = found / found.sum()
    seen = shares > 0
    kl = float((shares[seen] * np.log(shares[seen] / real.histogram[seen])).sum())
    return {"kl": kl, "frechet": frechet_distance(real.features, _features(judge, images))}


def _view(images: Array) -> View:
    net = mlp(int(np.prod(images.shape[1:])), HIDDEN)
    return View(net, (Pathway(HEAD, (), HEAD),), SETTINGS["task"])


@jax.jit
def _outputs(params: Params, images: UInt8[Array, "n h w c"]) -> Array:
    view = _view(images)

    def one(batch: Batch) -> Array:
        return run_view(view, Variables(params, {}), batch).outputs[HEAD]

    return map_batches(one, {"input": images}, LOOK_BATCH)


def _classes(params: Params, images: Array, among: Bool[Array, "k"]) -> Int[Array, "n"]:
    return jnp.argmax(jnp.where(among, _outputs(params, images), -jnp.inf), -1)


def _features(params: Params, images: Array) -> Moments:
    """Moments of the last hidden layer: what a head that changes nothing gives."""
    width = HIDDEN[-1]
    plain = {"w": jnp.eye(width), "b": jnp.zeros(width)}
    found = _outputs({**params, "heads": {HEAD: plain}}, images)
    return moments(np.asarray(found, np.float64))
