"""What is measured."""

from typing import NamedTuple


class Measured(NamedTuple):
    """A case as a person reads it.

    Attributes:
      title: what is done.
      unit: what a time is given for.
      turn: units of a turn; about a second of work.
      peers: forms of the PyTorch program; the faster one counts.
    """

    title: str
    unit: str
    turn: int
    peers: tuple[str, ...] = ("torch", "torch-compiled")


LOOP = ("torch",)
RESNETS = {"resnet20-10": (20, 10, 50), "resnet20-32": (20, 32, 20), "resnet64-32": (64, 32, 3)}
"""Case -> channels of the first stage, images of a batch, steps of a turn."""
CASES = {
    "cnn": Measured("CNN, first task, batch 100", "step", 20),
    "cnn-lwf": Measured("CNN and LwF, one old head, recorded responses", "step", 20),
    "cnn-split": Measured("CNN and split, three old tasks", "step", 10),
    **{
        name: Measured(f"ResNet-18 of width {width}, batch {batch}", "step", turn)
        for name, (width, batch, turn) in RESNETS.items()
    },
    "mlp": Measured("MLP 784-400-400-10, batch 128", "step", 400),
    "si": Measured("MLP and SI", "step", 200),
    "replay": Measured("MLP and replay of as many examples", "step", 200),
    "gan": Measured("WGAN-GP: five critic steps and one of the generator", "iteration", 20, LOOP),
    "fisher-mlp": Measured(
        "exact Fisher of the MLP, 1,000 examples (PyTorch: one by one)", "example", 1_000, LOOP
    ),
    "fisher-mlp-12": Measured(
        "exact Fisher of the MLP, 12,000 examples (PyTorch: one by one)", "example", 12_000, LOOP
    ),
    "fisher-cnn": Measured(
        "exact Fisher of the CNN, 100 examples (PyTorch: one by one)", "example", 100, LOOP
    ),
    "seeds-4": Measured("MLP, 4 seeds", "step of a seed", 400),
    "seeds-16": Measured("MLP, 16 seeds", "step of a seed", 400),
    "seeds-64": Measured("MLP, 64 seeds", "step of a seed", 384),
    "data": Measured("100 images 32x32x3, from bytes in memory to float32", "batch", 2_000, LOOP),
    "start": Measured("start, one step, results: the whole program", "run", 1, LOOP),
    "end-er": Measured("split MNIST with ER, the whole program", "run", 1, LOOP),
    "end-ewc": Measured("split MNIST with EWC, the whole program", "run", 1, LOOP),
}
