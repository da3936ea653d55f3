"""How much each weight matters for what a network says: the diagonal Fisher, and MAS."""

from typing import get_args

import jax.numpy as jnp

from jaxcl.core.types import Array, Batch, Params, PRNGKey, PyTree
from jaxcl.transforms.base import TaskData
from jaxcl.transforms.checks import check_choice
from jaxcl.transforms.objectives import Objective, categorical
from jaxcl.transforms.objectives.base import NO_OUTPUT, Labels
from jaxcl.transforms.penalties.per_example import mean_importance


def diagonal_fisher(
    params: Params,
    task: TaskData,
    key: PRNGKey,
    *,
    labels: Labels = "exact",
    examples: int | None = None,
    label: str = "label",
    objective: Objective = categorical,
) -> PyTree:
    """Returns the diagonal of the Fisher information of the predicted distribution.

    With the distribution ``p_n`` of example n's labels, for each weight

        F = 1/N sum_n E_{y ~ p_n} (d log p_n(y) / d theta)^2.

    ``"exact"`` takes the expectation over all labels, ``"sampled"`` draws one label
    for each example, and ``"empirical"`` takes the true label in place of the
    expectation.  The three are on different scales, so a strength does not carry
    over from one to another.  For classes ``p = softmax(logits)`` of the task's logits; the
    other distributions, and what each of the three costs, stand with their objectives.

    Args:
      params: where the Fisher is taken.
      task: data and network.
      key: for the labels, and for the choice of examples.
      labels: see above.
      examples: how many examples, drawn without replacement; all by default.
      label: name of the true labels in the data, for ``"empirical"`` and for the masks of
        sequences.
      objective: what is learned.

    Returns:
      A tree like ``params``, in float32 at least; no entry is negative.

    Raises:
      ValueError: fewer than one example is asked for or there, or unknown labels.

    References:
      Kunstner, Balles & Hennig, Limitations of the empirical Fisher, 2019
      (arXiv 1905.12558), section 2.

    >>> import jax
    >>> w, task = jnp.zeros((2, 2)), TaskData({"x": jnp.eye(2)}, lambda w, batch: batch["x"] @ w)
    >>> print(diagonal_fisher(w, task, jax.random.key(0)).round(4))  # the mean of x^2 p (1 - p)
    [[0.125 0.125]
     [0.125 0.125]]
    """
    check_choice("labels", labels, get_args(Labels))
    directions = objective.directions(labels, label)
    return mean_importance(params, task, key, directions, jnp.square, examples)


def output_sensitivity(
    params: Params, task: TaskData, key: PRNGKey, *, examples: int | None = None
) -> PyTree:
    """Returns the importance of Memory Aware Synapses.

    ``1/N sum_n |d (|logits_n|^2) / d theta|``, with the squared Euclidean norm of
    all outputs of an example, whatever they are, but for those below -1e8, which stand for
    classes that are not there.  Labels are not needed.

    Args:
      params: where it is taken.
      task: data and network.
      key: for the choice of examples.
      examples: how many, drawn without replacement; all by default.

    Returns:
      A tree like ``params``, in float32 at least; no entry is negative.

    Raises:
      ValueError: fewer than one example is asked for or there.

    References:
      Aljundi et al., Memory aware synapses: learning what (not) to forget, 2018
      (arXiv 1711.09601), section 4.

    >>> import jax
    >>> w, task = jnp.array([[3.0]]), TaskData({"x": jnp.array([[2.0]])}, lambda w, b: b["x"] @ w)
    >>> print(output_sensitivity(w, task, jax.random.key(0)))  # d (w x)^2 / d w = 2 w x^2
    [[24.]]
    """
    return mean_importance(params, task, key, _of_norm, jnp.abs, examples)


def _of_norm(logits: Array, batch: Batch, key: PRNGKey) -> Array:
    del batch, key
    return 2 * jnp.where(logits < NO_OUTPUT, 0, logits)[None]
