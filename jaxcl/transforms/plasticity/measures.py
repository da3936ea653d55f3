"""How able a network is to learn: dormant units, the rank of its features, the size of its weights.

The functions take arrays, and can be used in any loop.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from jaxcl.core.types import Array, Params
from jaxcl.transforms.objectives.base import NO_OUTPUT, wide

# Up to this score a unit counts as dormant where it is reported: one of those of Sokar et al.
# (2023), recalled.
DORMANT = 0.025


def mean_activity(activations: Array) -> Array:
    """Returns the mean of ``|h_i|`` over examples and positions, float32, ``[units]``.

    Args:
      activations: after the nonlinearity, ``[b, ..., units]``.
    """
    axes = tuple(range(activations.ndim - 1))
    return jnp.abs(wide(activations)).mean(axes)


def is_dormant(activity: Array, tau: float | Array) -> Array:
    """Returns which units of a layer are dormant: those with a score of at most ``tau``.

    The score of unit i is ``E|h_i| / (1/n sum_k E|h_k|)``, so that of an average unit is 1.
    Where no unit of the layer is active, all are dormant.

    Args:
      activity: ``E|h_i|``, or any positive multiple of it, ``[units]``.
      tau: at least 0; with 0, units that are never active.

    References:
      Sokar, Agarwal, Castro & Evci, The dormant neuron phenomenon in deep reinforcement
      learning, 2023 (arXiv 2302.12902), definition 3.1.

    >>> is_dormant(jnp.array([4.0, 0.0, 2.0]), 0.0).tolist()
    [False, True, False]
    >>> is_dormant(jnp.array([5.0, 1.0, 3.0]), 0.4).tolist()  # scores 5/3, 1/3, 1
    [False, True, False]
    """
    return activity <= tau * activity.mean()


def dormant_fraction(activity: Mapping[str, Array | ndarray], tau: float = DORMANT) -> float | None:
    """Returns the part of all units that is dormant in its layer; None without any unit.

    Args:
      activity: of each layer, as :func:`mean_activity` gives it.
      tau: as in :func:`is_dormant`.

    >>> dormant_fraction({"fc1": jnp.array([1.0, 0.0]), "fc2": jnp.array([1.0, 1.0])})
    0.25
    """
    found = [np.asarray(is_dormant(jnp.asarray(each), tau)) for each in activity.values()]
    return float(np.concatenate(found).mean()) if found else None


def effective_rank(features: Array | ndarray) -> float | None:
    """Returns ``exp(-sum_i p_i log p_i)`` with ``p_i = s_i / sum_k s_k`` of the singular values s.

    It is between 1 and the rank, and does not change if the features are rotated or scaled.

    Args:
      features: ``[n, d]``; they are not centred.

    Returns:
      float64; None where all features are 0, since their distribution is not defined.

    References:
      Roy & Vetterli, The effective rank: a measure of effective dimensionality, 2007, section 2.

    >>> round(effective_rank(np.eye(3)), 6)
    3.0
    """
    values = np.linalg.svd(np.asarray(features, np.float64), compute_uv=False)
    if values.sum() == 0:
        return None
    parts = values[values > 0] / values.sum()
    return float(np.exp(-(parts * np.log(parts)).sum()))


def weight_rms(params: Params) -> float:
    """Returns the root of the mean square of all parameters.

    Biases that hide classes which are still to come, below -1e8, are left out.

    >>> weight_rms({"w": jnp.array([3.0, 4.0]), "b": jnp.array([0.0, 0.0, -1e9])})
    2.5
    """
    leaves = [np.asarray(x, np.float64) for x in jax.tree.leaves(params)]
    known = [x[x >= NO_OUTPUT] if x.ndim == 1 else x for x in leaves]
    return float(np.sqrt(sum(np.square(x).sum() for x in known) / sum(x.size for x in known)))
