"""Streaming linear discriminant analysis: class means, and one covariance that all share."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.core.types import Array, Float, Int, Params, PRNGKey, Scalar
from jaxcl.transforms.base import Context, LossTransform, TaskData
from jaxcl.transforms.between_tasks.class_statistics import (
    Place,
    Size,
    Where,
    as_large,
    check_task,
    features_of,
    gathered,
    judged,
    linear_scores,
    logits_of,
    tasks_of,
    unchanged,
)


class Moments(NamedTuple):
    """What is known of the features of each class, and of all classes together.

    Attributes:
      sums: of the features of each class.
      counts: examples of each class.
      scatter: sum over all examples of ``(f - m)(f - m)^T``, m the mean of the example's class.
    """

    sums: Float[Array, "tasks classes width"]
    counts: Int[Array, "tasks classes"]
    scatter: Float[Array, "width width"]


class LDAState(NamedTuple):
    """State of :func:`slda`; before the first task has ended all but the strength is None.

    Attributes:
      shrinkage: epsilon, float32 scalar.
      sums: as in :class:`Moments`, of all tasks that have ended.
      counts: likewise.
      scatter: likewise.
      weights: W.
      bias: b.
    """

    shrinkage: Scalar
    sums: Float[Array, "tasks classes width"] | None = None
    counts: Int[Array, "tasks classes"] | None = None
    scatter: Float[Array, "width width"] | None = None
    weights: Float[Array, "tasks classes width"] | None = None
    bias: Float[Array, "tasks classes"] | None = None

    @property
    def moments(self) -> Moments | None:
        """Returns what is known of the features, if any task has ended."""
        if self.sums is None or self.counts is None or self.scatter is None:
            return None
        return Moments(self.sums, self.counts, self.scatter)


def slda(
    shrinkage: float = 1e-4,
    *,
    by_task: bool = False,
    label: str = "label",
    task: str = "task",
    classes: int | None = None,
) -> LossTransform:
    """Makes streaming linear discriminant analysis: it predicts, and leaves loss and weights be.

    As a task ends, the features f of its examples (all axes but the first laid out in one) are
    taken into the mean m_c of each class and into one covariance S of all classes, which is the
    mean over all examples of ``(f - m)(f - m)^T``, m being the mean of the example's class.
    An example then has the scores ``W f + b``, of a class c

        w_c = A m_c,  b_c = -m_c . A m_c / 2,    A = ((1 - epsilon) S + epsilon I)^-1,

    and ``-inf`` if the class was never seen.  It is the class of the largest density, where
    each is normal around its mean with the same covariance and all are as frequent.

    The paper takes examples one at a time, and deviations from the mean as it is by then.  Here
    they are those from the final mean: portions are put together by the rule of Chan, Golub &
    LeVeque, ``S_a + S_b + (n_a n_b / (n_a + n_b)) (m_a - m_b)(m_a - m_b)^T`` class by class, so
    that tasks in any order end the same but for rounding, also where a class comes again.
    Sums are float32, the linear system is solved in float64 on the host.

    Args:
      shrinkage: epsilon, above 0 and at most 1; with 1 the nearest class mean.
      by_task: each task has classes of its own, counted from 0, and an example is compared with
        those of its task, ``batch[task]``; the covariance is that of all.  Of a task that has not
        ended, the logits predict.
      label: name of the labels in the data, classes int ``[N]``.
      task: name of the indices of tasks in the data, int ``[N]``.
      classes: of all tasks together, so that what is compiled for the first task serves the
        others; None: what is kept grows with the classes that come.

    Returns:
      A transform that reports nothing and has ``predict``: scores float32 ``[b, classes]``, as
      many as there are logits, or known classes where these are more.  It needs ``features`` in
      its context and in ``TaskData``.  The state has ``width^2`` numbers and two for each class
      and value of a feature.

    Raises:
      ValueError: a shrinkage out of its range; from ``begin_task``, data without labels, or
        indices of tasks, of that name, or with labels that are no classes of examples; from
        ``end_task`` and ``predict``, no features.

    References:
      Hayes & Kanan, Lifelong machine learning with deep streaming linear discriminant analysis,
      2020 (arXiv 1909.01520), section 3; epsilon 1e-4 is theirs.

    >>> data = {"x": jnp.array([[0.0], [4.0]]), "label": jnp.arange(2)}
    >>> task = TaskData(data, lambda w, b: jnp.zeros((2, 2)), features=lambda w, b: b["x"])
    >>> transform = slda(shrinkage=1.0)  # A is 1
    >>> state, _ = transform.end_task(transform.init({}), {}, task, jax.random.key(0))
    >>> context = Context({}, jnp.zeros((1, 2)), {}, features=jnp.array([[1.0]]))
    >>> print(transform.predict(state, context))  # 0; 4 * 1 - 4 * 4 / 2
    [[ 0. -4.]]
    """
    if not 0 < shrinkage <= 1:
        raise ValueError(f"shrinkage: {shrinkage} is outside (0, 1]; give 1e-4, say")
    where = Where(by_task, label, task, classes)
    return LossTransform(
        partial(_init, shrinkage), unchanged, partial(_begin, where),
        end_task=partial(_end, where), predict=partial(_predict, where),
    )  # fmt: skip


def _init(shrinkage: float, params: Params) -> LDAState:
    del params
    return LDAState(jnp.asarray(shrinkage, jnp.float32))


def _begin(where: Where, state: LDAState, params: Params, task: TaskData, key: PRNGKey) -> LDAState:
    del params, key
    check_task(where, task, "discriminant analysis")
    return state


def _end(
    where: Where, state: LDAState, params: Params, task: TaskData, key: PRNGKey
) -> tuple[LDAState, Params]:
    del key
    moments = gathered(where, params, task, _moments, _plus)
    if state.moments is not None:
        moments = _plus(state.moments, moments)
    sums, counts, scatter = moments
    solved = _solved(float(state.shrinkage), moments)
    return LDAState(state.shrinkage, sums, counts, scatter, *solved), params


@partial(jax.jit, static_argnames="size")
def _moments(rows: Array, place: Place, size: Size) -> Moments:
    sums = jnp.zeros((*size, rows.shape[-1]), jnp.float32).at[place].add(rows)
    counts = jnp.zeros(size, jnp.int32).at[place].add(1)
    off = rows - _means(sums, counts)[place]
    return Moments(sums, counts, jnp.matmul(off.T, off, precision="highest"))


def _means(sums: Array, counts: Array) -> Array:
    return sums / jnp.maximum(counts, 1).astype(jnp.float32)[..., None]


@jax.jit
def _plus(old: Moments, new: Moments) -> Moments:
    (sums, more), (counts, others) = as_large(old.sums, new.sums), as_large(old.counts, new.counts)
    apart = (_means(sums, counts) - _means(more, others)).reshape(-1, sums.shape[-1])
    n, m = (x.astype(jnp.float32).reshape(-1, 1) for x in (counts, others))
    between = jnp.matmul(apart.T, apart * (n * m / jnp.maximum(n + m, 1)), precision="highest")
    return Moments(sums + more, counts + others, old.scatter + new.scatter + between)


def _solved(shrinkage: float, moments: Moments) -> tuple[Array, Array]:
    """Weights and bias, in float64 on the host."""
    import scipy.linalg  # here, so that importing the transforms imports no SciPy

    counts = np.asarray(moments.counts)
    means = np.asarray(moments.sums, np.float64) / np.maximum(counts, 1)[..., None]
    covariance = np.asarray(moments.scatter, np.float64) / counts.sum()
    try:
        factor = scipy.linalg.cho_factor(_shrunk(shrinkage, covariance), lower=True)
    except scipy.linalg.LinAlgError:  # sums in float32 can leave eigenvalues a little below 0
        values, axes = scipy.linalg.eigh(covariance)
        covariance = (axes * np.maximum(values, 0)) @ axes.T
        factor = scipy.linalg.cho_factor(_shrunk(shrinkage, covariance), lower=True)
    weights = scipy.linalg.cho_solve(factor, means.reshape(-1, means.shape[-1]).T).T
    weights = weights.reshape(means.shape)
    bias = -(weights * means).sum(-1) / 2
    return jnp.asarray(weights, jnp.float32), jnp.asarray(bias, jnp.float32)


def _shrunk(shrinkage: float, covariance: np.ndarray) -> np.ndarray:
    return (1 - shrinkage) * covariance + shrinkage * np.eye(len(covariance))


def _predict(where: Where, state: LDAState, context: Context) -> Array:
    logits = logits_of(context)
    if state.counts is None or state.weights is None or state.bias is None:
        return logits
    own = tasks_of(where, context.batch, len(logits))
    rows = features_of(context, len(logits))
    scores = linear_scores(rows, state.weights, own)
    scores = scores + state.bias.at[own].get(mode="fill", fill_value=0)
    return judged(scores, state.counts > 0, own, logits)
