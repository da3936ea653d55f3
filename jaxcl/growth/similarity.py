"""How alike the responses of a layer to two sets of images are."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray


class Moments(NamedTuple):
    """First and second moments of a layer's channels, over images and positions.

    O(C^2) numbers that stand for the images once these are gone.

    Attributes:
      mean: float64 ``[C]``.
      covariance: float64 ``[C, C]``.
    """

    mean: Float[ndarray, "c"]
    covariance: Float[ndarray, "c c"]


def moments_from_sums(
    count: int, total: Float[ndarray, "c"], outer: Float[ndarray, "c c"]
) -> Moments:
    """Returns the moments of ``count`` rows ``x`` from ``sum x`` and ``sum x x^T``.

    The covariance is divided by the count.
    """
    mean = np.asarray(total, np.float64) / count
    return Moments(mean, np.asarray(outer, np.float64) / count - np.outer(mean, mean))


def moments(activations: Float[ndarray, "n c"]) -> Moments:
    """Returns the moments of activations: one row for each image and position.

    >>> import numpy as np
    >>> moments(np.array([[0.0, 2.0], [2.0, 2.0]])).covariance
    array([[1., 0.],
           [0., 0.]])
    """
    rows = np.asarray(activations, np.float64)
    return moments_from_sums(len(rows), rows.sum(0), rows.T @ rows)


def _sqrt(matrix: Float[ndarray, "c c"]) -> Float[ndarray, "c c"]:
    """The positive semi-definite square root of such a matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T


def frechet_distance(a: Moments, b: Moments) -> float:
    """Returns the squared Frechet (2-Wasserstein) distance of two Gaussians with these moments.

    ``|m1 - m2|^2 + tr(C1 + C2 - 2 (C1^1/2 C2 C1^1/2)^1/2)``; at least 0.

    References:
      Dowson & Landau, The Frechet distance between multivariate normal
      distributions, 1982.
    """
    root = _sqrt(a.covariance)
    cross = np.linalg.eigvalsh(root @ b.covariance @ root)
    trace = np.trace(a.covariance) + np.trace(b.covariance)
    shift = np.sum((a.mean - b.mean) ** 2)
    return float(max(0.0, shift + trace - 2 * np.sqrt(np.clip(cross, 0, None)).sum()))


def frechet_similarity(a: Moments, b: Moments) -> float:
    """Returns ``1 - FD / (|m1|^2 + tr C1 + |m2|^2 + tr C2)``: 1 for equal moments.

    FD is :func:`frechet_distance`.  For activations that are not negative, such
    as those after a ReLU, the value lies in [0, 1].  It is symmetric and does not
    change if both sets of activations are scaled by the same number or rotated
    by the same rotation.  Two layers that are silent on both sets are alike: 1.

    >>> a, b = moments(np.array([[0.0], [2.0]])), moments(np.array([[2.0], [4.0]]))
    >>> round(frechet_similarity(a, b), 3)  # a distance of 2^2; 1 + 1 + 9 + 1 in all
    0.667
    """
    size = sum(np.sum(m.mean**2) + np.trace(m.covariance) for m in (a, b))
    return 1.0 - frechet_distance(a, b) / float(size) if size > 0 else 1.0


def _second(a: Moments) -> Float[ndarray, "c c"]:
    """The mean of ``x x^T``."""
    return a.covariance + np.outer(a.mean, a.mean)


def bures_similarity(a: Moments, b: Moments) -> float:
    """Bures fidelity of the second moments ``A`` and ``B``, means of ``x x^T``.

    ``tr((A^1/2 B A^1/2)^1/2)^2 / (tr A tr B)``, in [0, 1]: 1 where one is a multiple of the
    other.  It is symmetric, and does not change if both sets of activations are rotated by
    the same rotation, or either is scaled.  Two layers that are silent are alike: 1; one that
    is and one that is not are not: 0.

    References:
      Uhlmann, The transition probability in the state space of a *-algebra, 1976.

    >>> a, b, c = (moments(np.array(x)) for x in ([[1.0, 0.0]], [[3.0, 0.0]], [[0.0, 1.0]]))
    >>> bures_similarity(a, b), bures_similarity(a, c)  # the same channel, and another
    (1.0, 0.0)
    """
    one, other = _second(a), _second(b)
    size = float(np.trace(one) * np.trace(other))
    if size <= 0:
        return _silent(one, other)
    root = _sqrt(one)
    cross = np.linalg.eigvalsh(root @ other @ root)
    return float(np.sqrt(np.clip(cross, 0, None)).sum() ** 2 / size)


def cosine_similarity(a: Moments, b: Moments) -> float:
    """Returns the cosine between the second moments ``A`` and ``B``, means of ``x x^T``.

    ``tr(A B) / (|A| |B|)`` with Frobenius norms, in [0, 1]: 1 where one is a multiple of the
    other.  Invariances as of :func:`bures_similarity`.

    >>> a, b = moments(np.array([[1.0, 0.0]])), moments(np.array([[1.0, 0.0], [0.0, 1.0]]))
    >>> round(cosine_similarity(a, b), 3)  # of diag(1, 0) and diag(1/2, 1/2)
    0.707
    """
    one, other = _second(a), _second(b)
    size = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(np.vdot(one, other)) / size if size > 0 else _silent(one, other)


def _silent(one: Float[ndarray, "c c"], other: Float[ndarray, "c c"]) -> float:
    """Of second moments of which at least one is zero."""
    return float(not one.any() and not other.any())
