"""Correlations with three weights, four at a time, by six products in place of twelve.

Winograd's minimal filtering (Winograd 1980; Lavin & Gray 2016, arXiv 1509.09308): linear
combinations of six inputs meet linear combinations of the three weights, and linear combinations
of the six products are the four results.  The points are chosen for small coefficients, so that
in float32 results are as close to those of the plain formulation as these are to exact ones.
"""

import numpy as np

from jaxcl.core.types import Array

ROWS = 4  # of outputs in a tile
TILE = ROWS + 2  # rows of inputs that it depends on
POINTS = np.array([0, 5 / 8, -5 / 8, 5 / 4, -5 / 4])  # and infinity


def _matrices() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The algorithm of Cook and Toom: of inputs ``[6, 6]``, filters ``[6, 3]``, outputs ``[4, 6]``.

    ``outputs @ ((filters @ g) * (inputs @ d))`` are the four correlations of g with d.
    """
    others = [np.delete(POINTS, i) for i in range(len(POINTS))]
    inputs = np.zeros((TILE, TILE))
    inputs[:-1, :-1] = [np.poly(other)[::-1] for other in others]
    inputs[-1] = np.poly(POINTS)[::-1]
    scale = [np.prod(p - other) for p, other in zip(POINTS, others, strict=True)]
    filters = np.vstack([np.vander(POINTS, 3, True) / np.array(scale)[:, None], [0, 0, 1]])
    infinity = np.eye(ROWS)[:, -1:]
    return inputs, filters, np.hstack([np.vander(POINTS, ROWS, True).T, infinity])


INPUTS, FILTERS, OUTPUTS = _matrices()


def combined(matrix: np.ndarray, parts: list[Array]) -> list[Array]:
    """``matrix @ parts``, leaving zeros out."""
    rows = ([(float(c), x) for c, x in zip(row, parts, strict=True) if c] for row in matrix)
    return [sum(c * x for c, x in row[1:]) + row[0][0] * row[0][1] for row in rows]
