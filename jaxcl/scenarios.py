"""The named scenarios: which tasks, in which order, for how long."""

from typing import NamedTuple


class Scenario(NamedTuple):
    """A sequence of tasks.

    Attributes:
      summary: one line for a person.
      tasks: names of data sets, in order.
      epochs: epochs a task, unless given.
    """

    summary: str
    tasks: tuple[str, ...]
    epochs: int = 10


SCENARIOS = {
    "builtin": Scenario(
        "digits, letters, photos: small, needs no download", ("digits", "letters", "photos"), 6
    ),
    "1": Scenario("MNIST, EMNIST letters", ("mnist", "emnist/letters")),
    "2": Scenario("Fashion-MNIST, CIFAR-10", ("fashion_mnist", "cifar10")),
    "3": Scenario("MNIST, CIFAR-10", ("mnist", "cifar10")),
    "4": Scenario("CIFAR-10, MNIST", ("cifar10", "mnist")),
    "5": Scenario(
        "MNIST, EMNIST upper-case, Fashion-MNIST, CIFAR-10",
        ("mnist", "emnist/upper", "fashion_mnist", "cifar10"),
    ),
    "6": Scenario(
        "CIFAR-10, Fashion-MNIST, EMNIST upper-case, MNIST",
        ("cifar10", "fashion_mnist", "emnist/upper", "mnist"),
    ),
}
"""``builtin``, and the six scenarios of the LwF path-selection paper (1-6)."""
