"""How a network grows with the tasks: heads, branches, routes, how alike two tasks are."""

from typing import TYPE_CHECKING

from jaxcl import public

if TYPE_CHECKING:
    from jaxcl.growth.heads import View, forward
    from jaxcl.growth.parameters import add_branch, add_head, count
    from jaxcl.growth.representations import cka, rsa, svcca
    from jaxcl.growth.similarity import bures_similarity, cosine_similarity, frechet_similarity

__all__ = [
    "View",
    "add_branch",
    "add_head",
    "bures_similarity",
    "cka",
    "cosine_similarity",
    "count",
    "forward",
    "frechet_similarity",
    "rsa",
    "svcca",
]

__getattr__ = public(
    __name__,
    {
        "View": "heads",
        "add_branch": "parameters",
        "add_head": "parameters",
        "bures_similarity": "similarity",
        "cka": "representations",
        "cosine_similarity": "similarity",
        "count": "parameters",
        "forward": "heads",
        "frechet_similarity": "similarity",
        "rsa": "representations",
        "svcca": "representations",
    },
)
