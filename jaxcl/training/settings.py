"""How a task is trained, and how a generator is.

Light to import (no JAX), so that the command line answers at once.
"""

import dataclasses
from typing import Annotated, ClassVar, Literal

from jaxcl.core.fields import (
    Bool,
    Epochs,
    NonNegative,
    OneOf,
    Positive,
    PositiveEpochs,
    Traced,
    Unit,
    check_ranges,
    give_way,
    shown,
)


@dataclasses.dataclass(frozen=True)
class Training:
    """Steps, optimiser and L2 term of a task.

    A number out of its range is told as :func:`jaxcl.fit` begins.

    >>> Training(epochs=5, lr=3e-4).batch_size
    100
    """

    epochs: Annotated[PositiveEpochs[int] | None, shown("by --iterations", "INT")] = 10
    """Epochs a task."""
    iterations: Annotated[Positive[int] | None, shown("by --epochs", "INT")] = None
    """Steps a task."""
    batch_size: Positive[int] = 100
    """Examples in a step."""
    optimizer: OneOf[Literal["adam", "sgd"]] = "adam"
    """adam, or sgd: gradient descent."""
    keep_optimizer: Bool = False
    """Keep its state for the next task; in Adam, new weights then begin with longer steps."""
    lr: Traced[Positive[float]] = 1e-3
    """Learning rate."""
    later_lr: Annotated[Traced[Positive[float] | None], shown("as --lr", "FLOAT")] = None
    """Learning rate of later tasks."""
    schedule: Traced[OneOf[Literal["constant", "cosine"]]] = "constant"
    """constant, or cosine: falls from epoch to epoch of a task."""
    l2: Traced[NonNegative[float]] = 1e-4
    """Weight of the L2 term."""
    later_l2: Annotated[Traced[NonNegative[float] | None], shown("as --l2", "FLOAT")] = None
    """L2 weight of later tasks."""
    loss: OneOf[Literal["categorical", "binary", "squared"]] = "categorical"
    """categorical, binary, squared."""
    warmup_epochs: Epochs[int] = 0
    """New parts train alone in them."""
    scratch: Bool = False
    """Fresh weights for each task."""

    exclusive: ClassVar[tuple[tuple[str, ...], ...]] = (("epochs", "iterations"),)

    def __post_init__(self) -> None:
        give_way(self)

    def check(self) -> None:
        """Raises a UsageError for a number that is not in its range."""
        check_ranges(self)


@dataclasses.dataclass(frozen=True)
class GeneratorSettings:
    """A generator and its critic (WGAN-GP), and what is drawn from it."""

    generated: Positive[int] = 20_000
    """Images drawn as a task comes."""
    balance: Bool = True
    """Among them, every old class is as frequent; of no effect in the task setting."""
    generator: OneOf[Literal["mlp", "conv"]] = "mlp"
    """Network of generator and critic: mlp or conv."""
    latent: Positive[int] = 100
    """Values of a code."""
    generator_steps: Positive[int] = 3000
    """Iterations a task."""
    generator_batch: Positive[int] = 64
    """Images in a step."""
    generator_lr: Positive[float] = 1e-4
    """Learning rate (Adam with 0.5 and 0.9)."""
    critic_steps: Positive[int] = 5
    """For each step of the generator."""
    gradient_penalty: NonNegative[float] = 10.0
    """Weight of the gradient penalty."""
    average: Unit[float] = 0.999
    """Decay of the average of its weights; 0: none."""

    exclusive: ClassVar[tuple[tuple[str, ...], ...]] = ()

    def check(self) -> None:
        """Raises a UsageError for a number that is not in its range."""
        check_ranges(self)
