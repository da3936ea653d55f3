"""What a step is compiled from, and the state that it changes."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import optax

from jaxcl.core.pytree import regrow
from jaxcl.core.types import Array, Int, Params, PRNGKey, PyTree
from jaxcl.growth.heads import View
from jaxcl.growth.parameters import partition
from jaxcl.networks.base import Variables
from jaxcl.transforms import LossTransform


class Program(NamedTuple):
    """What a step is compiled from: static, hashable, the same for every seed.

    Attributes:
      view: the network and the pathways of the tasks so far; ``batch["task"]`` is an
        index among these.
      targets: indices of the tasks that the data belongs to.
      transform: what is done to the loss.
      optimizer: an optax transformation.
    """

    view: View
    targets: tuple[int, ...]
    transform: LossTransform
    optimizer: optax.GradientTransformation


class TrainState(NamedTuple):
    """Arrays only, so it is donated, saved, sharded and compared as one tree.

    Attributes:
      step: optimiser steps done in this phase, int32.
      params: the leaves that train, None elsewhere.
      frozen: the others, None where ``params`` has a leaf.
      stats: the network's statistics.
      opt: the optimiser's state.
      transform_state: the loss transform's state.
      key: the key of this phase.
    """

    step: Int[Array, ""]
    params: Params
    frozen: Params
    stats: PyTree
    opt: PyTree
    transform_state: PyTree
    key: PRNGKey


def adam(lr: float) -> optax.GradientTransformationExtraArgs:
    """Makes Adam whose learning rate is a leaf of its state."""
    return optax.inject_hyperparams(optax.adam)(learning_rate=lr)


def sgd(lr: float) -> optax.GradientTransformationExtraArgs:
    """Makes stochastic gradient descent whose learning rate is a leaf of its state."""
    return optax.inject_hyperparams(optax.sgd)(learning_rate=lr)


def at_rate(opt: PyTree, lr: float) -> PyTree:
    """Returns the state of such an optimiser with another learning rate."""
    rate = jnp.asarray(lr, opt.hyperparams["learning_rate"].dtype)
    return opt._replace(hyperparams={**opt.hyperparams, "learning_rate": rate})


OPTIMIZERS = {"adam": adam, "sgd": sgd}


def start_phase(
    optimizer: optax.GradientTransformation,
    variables: Variables,
    mask: PyTree,
    transform_state: PyTree,
    key: PRNGKey,
    kept: Sequence[PyTree] = (),
) -> TrainState:
    """Returns the state before the first step of a phase.

    Args:
      optimizer: an optax transformation.
      variables: of the network.
      mask: Python booleans, which leaves of the parameters train.
      transform_state: the transform's state.
      key: randomness of the phase.
      kept: earlier states of the optimiser to go on with, the latest one last, and None where
        there was none; leaves that none of them has begin afresh.
    """
    trained, frozen = partition(variables.params, mask)
    zero = jnp.zeros((), jnp.int32)
    opt = optimizer.init(trained)
    for each in kept:
        opt = opt if each is None else regrow(each, opt)
    return TrainState(zero, trained, frozen, variables.stats, opt, transform_state, key)
