"""Everything that decides the result of a run, as one frozen dataclass.

Light to import (no JAX), so that the command line answers at once.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Literal

from jaxcl.core.errors import UsageError

MOST = 100_000_000  # of anything that is counted
MOST_EPOCHS = 100_000


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of a run; one result for each seed follows from them."""

    method: str = "select"
    """How forgetting is fought; --list names them all."""
    scenario: str = "builtin"
    """The sequence of tasks; --list names them all."""
    setting: Literal["task", "domain", "class"] | None = None
    """A head for each task, one shared head, or all classes so far; default: the scenario's."""
    heads: Literal["growing", "full"] | None = None
    """class: the head grows with the tasks, or has all classes from the start."""
    seeds: tuple[int, ...] = (0,)
    """Random seeds, such as 0 1 2 or 0..2; each is a run of its own."""
    together: int | None = None
    """Networks (seeds, points of a sweep) trained at once; default: all, on a CPU one."""
    tasks: int | None = None
    """Number of tasks of a scenario that is made from one data set."""
    order: int = 0
    """split scenarios: another number deals the classes out in another order; 0: 0, 1, 2..."""
    net: Literal["cnn", "mlp", "linear"] | None = None
    """The network; by default the scenario's."""
    hidden: tuple[int, ...] | None = None
    """mlp: units of each hidden layer."""
    initial: Literal["he", "uniform"] | None = None
    """mlp, linear: first weights, He's, or even within 1/sqrt(inputs), biases too."""
    epochs: int | None = None
    """Epochs a task; by default the scenario's."""
    iterations: int | None = None
    """Steps a task, instead of epochs."""
    batch_size: int | None = None
    """Examples in a step; what is left of an epoch's shuffle sits out."""
    optimizer: Literal["adam", "sgd"] | None = None
    """By default the scenario's."""
    keep_optimizer: bool | None = None
    """Whether the optimiser's state goes on from task to task."""
    lr: float | None = None
    """Learning rate."""
    later_lr: float | None = None
    """The same in later tasks, after their warm-up; default: the scenario's, or as in the first."""
    schedule: Literal["constant", "cosine"] | None = None
    """The learning rate stays, or falls over a task's epochs like half a cosine towards 0."""
    l2: float | None = None
    """Coefficient of the L2 term, l2/2 * sum of squared weights."""
    later_l2: float | None = None
    """The same in later tasks; default: the scenario's, or as in the first."""
    lam: float | None = None
    """lambda: weight of the old responses (lwf, split, select, lwf_gr)."""
    temperature: float | None = None
    """Temperature of the distillation (lwf, split, select, lwf_gr), and of generative replay."""
    t_squared: bool | None = None
    """Multiply the distillation by the squared temperature (lwf, split, select, lwf_gr); generative
    replay always does."""
    lwf_weighting: Literal["one", "tasks"] | None = None
    """Old responses weigh lambda (Li & Hoiem), or lambda times the tasks before (van de Ven et
    al.); it makes a difference where tasks share an output (domain, class)."""
    strength: float | None = None
    """Weight of the penalty: lambda of ewc, online_ewc and mas, c of si."""
    decay: float = 0.95
    """online_ewc: what is kept of the earlier Fisher, 0 to 1."""
    fisher: Literal["exact", "sampled", "empirical"] = "exact"
    """ewc, online_ewc: over which labels the Fisher is taken."""
    fisher_examples: int | None = None
    """ewc, online_ewc, mas: examples of a task that are looked at; all by default."""
    xi: float = 0.1
    """si: damping."""
    per_class: int | None = None
    """Buffer: images of each class that are kept."""
    ratio: float | None = None
    """Buffer: part of each task that is kept, instead of --per-class."""
    buffer: int | None = None
    """er, der: images kept in all, instead of --per-class (der without either: 100 a class)."""
    storage: Literal["reservoir", "class_balanced", "ring"] = "reservoir"
    """With --buffer: which images are kept."""
    replay_weight: float | None = None
    """Weight of the new loss in replay and share of new images; default: the scenario's, or 1/k."""
    replay: Literal["buffer", "exact", "noise", "generative"] | None = None
    """Replay on top of a method that has none of its own."""
    labels: Literal["soft", "hard"] = "soft"
    """Generated images are labelled with the old responses, or with the likeliest class."""
    generated: int = 20_000
    """Images that the generator draws as a task comes."""
    balance: bool = True
    """Among generated images every old class is as frequent (domain, class; three times as many
    are drawn for it), or as frequent as it comes."""
    generator: Literal["mlp", "conv"] = "mlp"
    """Networks of generator and critic."""
    latent: int = 100
    """Values of a generator's code."""
    generator_steps: int | None = None
    """Iterations of the generator a task; by default the scenario's."""
    generator_batch: int = 64
    """Images in a step of generator or critic."""
    generator_lr: float = 1e-4
    """Learning rate of generator and critic (Adam with 0.5 and 0.9)."""
    critic_steps: int = 5
    """Steps of the critic for each of the generator."""
    gradient_penalty: float = 10.0
    """Weight of the gradient penalty."""
    average: float = 0.999
    """What the running average of the generator keeps in each iteration; 0: no average."""
    scratch: bool | None = None
    """Begin each task with fresh weights, the generator's too; default: the scenario's."""
    alpha: float = 0.5
    """der: weight of the remembered logits."""
    beta: float = 0.5
    """der: weight of the remembered labels."""
    threshold: float | None = None
    """select: a layer is shared from this similarity on, 0 to 1; default: the scenario's."""
    similarity: Literal["frechet", "bures", "cosine", "cka", "rsa", "svcca"] | None = None
    """select: of channel statistics (frechet, bures, cosine), or of responses (the others)."""
    second: Literal["copy", "scratch"] = "copy"
    """select with cka, rsa or svcca: how the second network begins."""
    candidates: Literal["all", "latest", "first"] = "all"
    """select: branches that may be shared."""
    start: Literal["copy", "fresh"] = "copy"
    """A new branch starts as a copy of the nearest one, or with fresh weights."""
    warmup_epochs: int | None = None
    """Epochs in which what is new (head, branches) first trains alone; default: the scenario's."""
    resize: Literal["bilinear", "pad", "keep"] | None = None
    """How small images become 32x32x3 for the cnn; keep: as they come; default: the scenario's."""
    limit: int | None = None
    """At most this many training images (and as many test images) a task."""
    validation: float = 0.0
    """Part of a task's training images, held out and tested on, to choose settings by."""
    probe: int = 2000
    """Images of a task from which the channel statistics are taken."""
    data_dir: Path | None = None
    """Folder of TensorFlow Datasets; default: TFDS_DATA_DIR or ~/tensorflow_datasets."""

    def check(self) -> "Config":
        """Returns the configuration if every number is in its range.

        Raises:
          UsageError: naming the field, its value and what it may be.
        """
        for name in POSITIVE:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"{name}: {value} is not positive; give a number above 0")
        for name in NOT_NEGATIVE:
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise UsageError(f"{name}: {value} is negative; give 0 or more")
        for name in UNIT:
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise UsageError(f"{name}: {value} is outside [0, 1]")
        for name in POSITIVE + NOT_NEGATIVE:
            value, most = getattr(self, name), MOST_EPOCHS if "epochs" in name else MOST
            if isinstance(value, float) and value > sys.float_info.max:
                raise UsageError(f"{name}: too large; give a finite number")
            if isinstance(value, int) and value > most:
                raise UsageError(f"{name}: more than {most}; give fewer")
        if not 0 <= self.order < 2**32:
            raise UsageError(f"order: {self.order} is outside [0, 2^32); give a small number")
        if self.hidden is not None and not all(0 < units <= MOST for units in self.hidden):
            raise UsageError(f"hidden: {list(self.hidden)}; give numbers above 0")
        self._check_seeds()
        self._check_choices()
        return self

    def _check_seeds(self) -> None:
        if not self.seeds:
            raise UsageError("seeds: none given; give at least one, such as 0")
        if len(set(self.seeds)) < len(self.seeds):
            raise UsageError(f"seeds: {list(self.seeds)} has one twice; give each once")
        if not all(0 <= seed < 2**32 for seed in self.seeds):
            raise UsageError("seeds: outside [0, 2^32); give small whole numbers")

    def _check_choices(self) -> None:
        if self.epochs is not None and self.iterations is not None:
            raise UsageError("iterations: not together with --epochs; give one of the two")
        kept = [name for name in KEPT if getattr(self, name) is not None]
        if len(kept) > 1:
            raise UsageError(f"{kept[1]}: not together with {kept[0]}; give one of the two")
        if self.validation == 1:
            raise UsageError("validation: 1 leaves nothing to train on; give 0.1, say")
        if self.ratio == 0:
            raise UsageError("ratio: 0 keeps nothing; give 0.1, say")


POSITIVE = (
    "together", "tasks", "epochs", "iterations", "batch_size", "lr", "later_lr", "temperature",
    "fisher_examples", "xi", "per_class", "buffer", "limit", "probe", "generated", "latent",
    "generator_steps", "generator_batch", "generator_lr", "critic_steps",
)  # fmt: skip
NOT_NEGATIVE = (
    "l2", "later_l2", "lam", "strength", "alpha", "beta", "warmup_epochs", "gradient_penalty",
)  # fmt: skip
UNIT = ("decay", "validation", "ratio", "replay_weight", "threshold", "average")
KEPT = ("per_class", "ratio", "buffer")
TRAINED = ("cka", "rsa", "svcca")
"""Similarities that compare with a second network, which is trained for it."""
