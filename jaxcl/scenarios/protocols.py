"""The named scenarios: which tasks, in which order, and the settings that go with them.

Light to import (no JAX), so that the command line answers at once.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

Strengths = Mapping[tuple[str, str], float]
"""(method, setting) -> weight of the penalty, or of the old responses."""


class Protocol(NamedTuple):
    """Settings for what a user leaves open; their meaning is that of ``Config``.

    Those of the LwF path-selection paper, unless given: its network, 10 epochs of
    batches of 100, lambda 15.  What the paper leaves open is ours: Adam, L2, T.
    """

    setting: Literal["task", "domain", "class"] = "task"
    heads: Literal["growing", "full"] = "growing"
    net: Literal["cnn", "mlp", "linear"] = "cnn"
    resize: Literal["bilinear", "pad", "keep"] = "bilinear"
    hidden: tuple[int, ...] = (400, 400)
    initial: Literal["he", "uniform"] = "he"
    epochs: int | None = 10
    iterations: int | None = None
    batch_size: int = 100
    optimizer: Literal["adam", "sgd"] = "adam"
    keep_optimizer: bool = False
    lr: float = 1e-3
    later_lr: float | None = None
    schedule: Literal["constant", "cosine"] = "constant"
    l2: float = 1e-4
    later_l2: float | None = None
    lam: float = 15.0
    temperature: float = 2.0
    t_squared: bool = False
    weightings: Mapping[str, Literal["one", "tasks"]] = {}
    per_class: int | None = None
    ratio: float | None = 0.1
    replay_weight: float | None = None
    threshold: float = 0.9
    similarity: Literal["frechet", "bures", "cosine", "cka", "rsa", "svcca"] = "frechet"
    scratch: bool = False
    generator_steps: int = 3000
    warmups: Mapping[str, int] = {"lwf_gr": 1}
    strengths: Strengths = {}  # noqa: RUF012 - never written


# van de Ven, Tuytelaars & Tolias, Three types of incremental learning, Nature Machine
# Intelligence 2022: MLP, Adam kept from task to task, 2,000 iterations of 128 images,
# the strengths that their grid search found, 100 images a class.
THREE_TYPES = Protocol(
    net="mlp",
    hidden=(400, 400),
    epochs=None,
    iterations=2000,
    batch_size=128,
    keep_optimizer=True,
    l2=0.0,
    lam=1.0,
    t_squared=True,
    # Published for all settings.  With heads it makes no difference; in the class setting our
    # strength, below, was chosen with the weighting of the LwF paper.
    weightings={"domain": "tasks"},
    per_class=100,
    ratio=None,
    strengths={
        **{("ewc", s): v for s, v in (("task", 1e5), ("domain", 1e10), ("class", 1e9))},
        **{("online_ewc", s): v for s, v in (("task", 1e5), ("domain", 1e10), ("class", 1e9))},
        **{("si", s): v for s, v in (("task", 10.0), ("domain", 5e4), ("class", 5e3))},
        # Ours: with the squared temperature, the loss of the LwF paper without it.
        ("lwf", "class"): 0.25,
    },
)
PERMUTED = THREE_TYPES._replace(
    setting="domain",
    hidden=(1000, 1000),
    initial="uniform",
    iterations=5000,
    lr=1e-4,
    strengths={("ewc", "domain"): 100.0, ("si", "domain"): 10.0},
)
# Shin et al. 2017: a chain of solvers, each but the first taught by the scholar before it
# alone; two domains of the same digits.
CHAIN = THREE_TYPES._replace(
    setting="domain",
    net="cnn",
    resize="keep",
    iterations=1000,
    keep_optimizer=False,
    scratch=True,
    replay_weight=0.0,
)
DOMAINS = THREE_TYPES._replace(
    setting="domain", net="cnn", keep_optimizer=False, warmups={"lwf": 1, "lwf_gr": 1}
)
# One linear layer, plain gradient descent, a single pass over the data.
BLOG = Protocol(
    setting="class",
    heads="full",
    net="linear",
    epochs=1,
    batch_size=64,
    optimizer="sgd",
    keep_optimizer=True,
    lr=0.01,
    l2=0.0,
)
# The LwF path-selection paper; what it leaves open was found on images held out from training.
# Kept up in later tasks, the L2 term has Adam take to 0 what they do not use; with a warm-up
# and a lower rate after it, new branches fit the shared layers rather than these the branches.
PATHS = Protocol(
    later_lr=3e-4,
    schedule="cosine",
    l2=1e-3,
    later_l2=0.0,
    similarity="bures",
    threshold=0.93,
    warmups={"lwf": 1, "split": 1, "select": 1, "lwf_gr": 1},
)


class Scenario(NamedTuple):
    """A sequence of tasks.

    Attributes:
      summary: one line for a person.
      tasks: names of data sets, in order.
      protocol: the settings that go with it.
      made: how tasks are made, where they come from a single data set.
      count: how many tasks are made, unless given.
    """

    summary: str
    tasks: tuple[str, ...]
    protocol: Protocol = Protocol()
    made: Literal["split", "permuted", "permuted32", "rotated", "repeated"] | None = None
    count: int = 0


SHORT = THREE_TYPES._replace(iterations=500, per_class=20, generator_steps=500)
SCENARIOS = {
    "builtin": Scenario(
        "digits, letters, photos: small, needs no download",
        ("digits", "letters", "photos"),
        Protocol(epochs=6, generator_steps=500),
    ),
    "1": Scenario("MNIST, EMNIST letters", ("mnist", "emnist/letters"), PATHS),
    "2": Scenario("Fashion-MNIST, CIFAR-10", ("fashion_mnist", "cifar10"), PATHS),
    "3": Scenario("MNIST, CIFAR-10", ("mnist", "cifar10"), PATHS),
    "4": Scenario("CIFAR-10, MNIST", ("cifar10", "mnist"), PATHS),
    "5": Scenario(
        "MNIST, EMNIST upper-case, Fashion-MNIST, CIFAR-10",
        ("mnist", "emnist/upper", "fashion_mnist", "cifar10"),
        PATHS,
    ),
    "6": Scenario(
        "CIFAR-10, Fashion-MNIST, EMNIST upper-case, MNIST",
        ("cifar10", "fashion_mnist", "emnist/upper", "mnist"),
        PATHS,
    ),
    "1-rendered": Scenario("1 with rendered letters for EMNIST", ("mnist", "letters"), PATHS),
    "5-rendered": Scenario(
        "5 with rendered letters for EMNIST",
        ("mnist", "letters", "fashion_mnist", "cifar10"),
        PATHS,
    ),
    "6-rendered": Scenario(
        "6 with rendered letters for EMNIST",
        ("cifar10", "fashion_mnist", "letters", "mnist"),
        PATHS,
    ),
    "mnist-fashion": Scenario("MNIST, Fashion-MNIST: a similar pair", ("mnist", "fashion_mnist")),
    "split-mnist": Scenario("MNIST, two classes at a time", ("mnist",), THREE_TYPES, "split", 5),
    "split-fashion": Scenario(
        "Fashion-MNIST, two classes at a time", ("fashion_mnist",), THREE_TYPES, "split", 5
    ),
    "split-cifar10": Scenario(
        "CIFAR-10, two classes at a time",
        ("cifar10",),
        THREE_TYPES._replace(net="cnn"),
        "split",
        5,
    ),
    "permuted-mnist": Scenario(
        "MNIST, 32x32, the pixels in another order", ("mnist",), PERMUTED, "permuted32", 10
    ),
    "permuted-mnist-28": Scenario(
        "MNIST, 28x28, the pixels in another order", ("mnist",), PERMUTED, "permuted", 10
    ),
    "rotated-mnist": Scenario(
        "MNIST, turned from 0 to 180 degrees", ("mnist",), PERMUTED, "rotated", 5
    ),
    "mnist-chain": Scenario(
        "MNIST, again and again; with dgr from the scholar before alone",
        ("mnist",),
        CHAIN,
        "repeated",
        5,
    ),
    "mnist-mnist-m": Scenario(
        "MNIST, then blended with photographs", ("mnist", "mnist_m"), DOMAINS
    ),
    "mnist-m-mnist": Scenario(
        "MNIST blended with photographs, then as it is", ("mnist_m", "mnist"), DOMAINS
    ),
    "mnist-svhn": Scenario("MNIST, street numbers", ("mnist", "svhn_cropped"), DOMAINS),
    "svhn-mnist": Scenario("street numbers, MNIST", ("svhn_cropped", "mnist"), DOMAINS),
    "digits-0-4-5-9": Scenario(
        "MNIST, digits 0-4 and then 5-9, one linear layer", ("mnist",), BLOG, "split", 2
    ),
    "split-digits": Scenario(
        "built-in digits, two classes at a time", ("digits",), SHORT, "split", 5
    ),
    "permuted-digits": Scenario(
        "built-in digits, the pixels in another order each time",
        ("digits",),
        SHORT._replace(setting="domain"),
        "permuted",
        5,
    ),
    "rotated-digits": Scenario(
        "built-in digits, turned from 0 to 180 degrees",
        ("digits",),
        SHORT._replace(setting="domain"),
        "rotated",
        5,
    ),
    "digits-chain": Scenario(
        "built-in digits, again and again; with dgr from the scholar before alone",
        ("digits",),
        CHAIN._replace(net="mlp", iterations=500, generator_steps=500),
        "repeated",
        5,
    ),
    "digits-digits-m": Scenario(
        "built-in digits, then blended with photographs",
        ("digits", "digits_m"),
        SHORT._replace(setting="domain"),
    ),
    "builtin-0-4-5-9": Scenario(
        "built-in digits 0-4 and then 5-9, one linear layer",
        ("digits",),
        BLOG._replace(epochs=20, generator_steps=500),
        "split",
        2,
    ),
}
"""``builtin``; the six scenarios of the LwF path-selection paper (1-6); the usual ones
of the literature, and beside each a small one that needs no download."""
