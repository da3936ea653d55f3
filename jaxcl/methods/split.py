"""Splitting: every task has its own copy of each convolution layer."""

import dataclasses
from typing import TYPE_CHECKING, Literal

from jaxcl.core.errors import UsageError
from jaxcl.core.fields import OneOf, Positive, Traced
from jaxcl.methods.lwf import LwF

if TYPE_CHECKING:
    from jaxcl.growth.routing import Rule

Similarity = OneOf[Literal["frechet", "bures", "cosine", "cka", "rsa", "svcca"]]
TRAINED = ("cka", "rsa", "svcca")
"""Similarities that compare with a second network, which is trained for it."""


@dataclasses.dataclass(frozen=True)
class Split(LwF):
    """Learning without Forgetting, and new branches of the convolution layers."""

    similarity: Traced[Similarity] = "frechet"
    """frechet, bures, cosine; of responses: cka, rsa, svcca."""
    reference: Traced[OneOf[Literal["copy", "scratch"]]] = "copy"
    """Second network of cka, rsa, svcca: copy, scratch."""
    start: Traced[OneOf[Literal["copy", "fresh"]]] = "copy"
    """A new branch: copy of the nearest, or fresh."""
    probe: Positive[int] = 2000
    """Images that statistics are taken from."""

    summary = "lwf, and every task gets its own copy of each convolution layer"
    paper = "LwF path selection"
    branches = True

    def check(self) -> None:
        """Raises a UsageError for a setting that it cannot have."""
        super().check()
        if self.reference != "copy" and self.similarity not in TRAINED:
            raise UsageError(
                f"reference: without --similarity {', '.join(TRAINED)} it means nothing;"
                " give both, or neither"
            )

    def rule(self) -> "Rule":
        """Returns the rule that every layer has a new branch."""
        from jaxcl.growth import routing

        return routing.split
