"""How alike two networks' responses to the same inputs are.

Rows are examples, columns units; the two networks may have different numbers of units.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray


def _gram(x: Float[ndarray, "n p"]) -> Float[ndarray, "n n"]:
    """Inner products of all pairs of rows, without those of a row with itself."""
    products = x @ x.T
    np.fill_diagonal(products, 0)
    return products


def _hsic(k: Float[ndarray, "n n"], m: Float[ndarray, "n n"]) -> float:
    """The unbiased estimate of the Hilbert-Schmidt independence criterion, up to a factor."""
    n = len(k)
    cross = np.vdot(k, m) + k.sum() * m.sum() / ((n - 1) * (n - 2))
    return float(cross - 2 / (n - 2) * (k.sum(0) @ m.sum(0)))


def cka(x: Float[ndarray, "n p"], y: Float[ndarray, "n q"]) -> float:
    """Measures linear centred kernel alignment, unbiased.

    ``HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L))`` with ``K = X X^T``, ``L = Y Y^T`` and the
    estimate of HSIC that is 0 on average for independent rows.  Rotating the units of
    either side, scaling or shifting them all changes nothing; 1 for equal responses.
    Where one side says nothing (constant), 0.

    Args:
      x: responses of one network, at least 4 rows.
      y: responses of the other to the same examples.

    Raises:
      ValueError: too few examples.

    References:
      Kornblith, Norouzi, Lee & Hinton, Similarity of neural network representations
      revisited, 2019 (arXiv 1905.00414); the estimate: Song et al., Feature selection via
      dependence maximization, 2012.

    >>> x = np.array([[0.0, 1.0], [2.0, 0.0], [1.0, 3.0], [4.0, 2.0], [3.0, 3.0]])
    >>> round(cka(x, 3 * x[:, ::-1] + 1), 3), cka(x, np.ones((5, 1)))
    (1.0, 0.0)
    """
    if len(x) < 4:
        raise ValueError(f"x: {len(x)} examples; at least 4 are needed")
    x, y = (np.asarray(z, np.float64) - np.mean(z, 0, dtype=np.float64) for z in (x, y))
    k, m = _gram(x), _gram(y)
    own = _hsic(k, k) * _hsic(m, m)
    return float(_hsic(k, m) / np.sqrt(own)) if own > 0 else 0.0


def _dissimilarity(x: Float[ndarray, "n p"]) -> Float[ndarray, "m"]:
    """1 - Pearson correlation of every pair of rows; a constant row correlates with none."""
    x = np.asarray(x, np.float64)
    x = x - x.mean(1, keepdims=True)
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    x = np.divide(x, norm, out=np.zeros_like(x), where=norm > 0)
    return 1 - (x @ x.T)[np.triu_indices(len(x), 1)]


def rsa(x: Float[ndarray, "n p"], y: Float[ndarray, "n q"]) -> float:
    """Measures likeness by representational similarity analysis.

    Spearman's rank correlation between the two matrices of ``1 - Pearson correlation`` of
    every pair of examples, of which each pair counts once.  Scaling and shifting the
    responses to an example changes nothing; 1 for equal responses.  Where one side
    answers all examples alike, 0.

    Args:
      x: responses of one network, at least 3 rows.
      y: responses of the other to the same examples.

    Raises:
      ValueError: too few examples.

    References:
      Dwivedi & Roig, Representation similarity analysis for efficient task taxonomy and
      transfer learning, 2019 (arXiv 1904.11740).

    >>> x = np.array([[0.0, 1.0, 3.0], [2.0, 0.0, 1.0], [1.0, 3.0, 0.0], [4.0, 2.0, 3.0]])
    >>> round(rsa(x, 3 * x + 1), 3)
    1.0
    """
    if len(x) < 3:
        raise ValueError(f"x: {len(x)} examples; at least 3 are needed")
    from scipy import stats  # here, for it takes half a second that other runs need not wait

    a, b = _dissimilarity(x), _dissimilarity(y)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.asarray(stats.spearmanr(a, b))[0])


def _basis(x: Float[ndarray, "n p"], kept: float) -> Float[ndarray, "n r"]:
    """Orthonormal directions of the rows' space that hold a part of the variance."""
    x = np.asarray(x, np.float64)
    left, values, _ = np.linalg.svd(x - x.mean(0), full_matrices=False)
    share = np.cumsum(values**2)
    if share[-1] == 0:
        return left[:, :0]
    return left[:, : int(np.searchsorted(share, kept * share[-1]) + 1)]


def svcca(x: Float[ndarray, "n p"], y: Float[ndarray, "n q"], kept: float = 0.99) -> float:
    """Measures likeness by singular vector canonical correlation analysis.

    Each side is reduced to the directions that hold 99 % of its variance; the similarity
    is the mean of the canonical correlations between these.  Rotating, scaling or shifting
    the units of either side changes nothing; 1 for equal responses.  Where one side says
    nothing, 0.

    Args:
      x: responses of one network; many more rows than units, or all correlate.
      y: responses of the other to the same examples.
      kept: part of the variance, in (0, 1].

    References:
      Raghu, Gilmer, Yosinski & Sohl-Dickstein, SVCCA, 2017 (arXiv 1706.05806).

    >>> x = np.array([[0.0, 1.0], [2.0, 0.0], [1.0, 3.0], [4.0, 2.0], [3.0, 3.0]])
    >>> round(svcca(x, x @ np.array([[1.0, 2.0], [0.0, 1.0]])), 3)  # any map that loses nothing
    1.0
    """
    a, b = _basis(x, kept), _basis(y, kept)
    fewest = min(a.shape[1], b.shape[1])
    if fewest == 0:
        return 0.0
    correlations = np.linalg.svd(a.T @ b, compute_uv=False)
    return float(np.clip(correlations[:fewest], 0, 1).mean())
