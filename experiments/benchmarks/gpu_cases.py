"""What ``gpu.py`` measures, and first weights; NumPy only, so that both sides import it."""

import os
from typing import NamedTuple

import numpy as np
import problems

TINY = "JAXCL_BENCHMARK_TINY"
"""Set in the environment: toy networks and few steps, to try the program out."""
STRENGTHS = np.geomspace(1e-2, 1e3, 16).astype(np.float32)
"""Of EWC in the sweep."""


class Residual(NamedTuple):
    """A residual network with batch normalisation and its training.

    Attributes:
      widths: channels of each stage.
      blocks: basic blocks of each stage.
      batch: images of a step.
      half: whether convolutions and activations are in bfloat16; weights and sums stay float32.
    """

    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    batch: int
    half: bool


class Run(NamedTuple):
    """One program of one side.

    Attributes:
      kind: ``"step"`` (of ``cases.CASES``), ``"resnet"`` or ``"sweep"``.
      case: which of them.
      lanes: networks that are trained.
      form: how: of PyTorch ``eager``, ``compiled`` or ``graph``; of jaxcl ``loop``, ``together``
        (as one program), ``after`` (one after the other), or a form that was tried.
    """

    kind: str
    case: str
    lanes: int
    form: str

    @property
    def key(self) -> str:
        """Its name."""
        return "/".join(map(str, self))

    @property
    def peer(self) -> bool:
        """Whether it is PyTorch's."""
        return self.form in PEERS


def parsed(key: str) -> Run:
    """The run of a name."""
    kind, case, lanes, form = key.split("/")
    return Run(kind, case, int(lanes), form)


PEERS = ("eager", "compiled", "graph")


def tiny() -> bool:
    """Whether everything is a toy."""
    return bool(os.environ.get(TINY))


def residual(name: str) -> Residual:
    """The network of a name such as ``w64-b128-bf16``."""
    width, batch, kind = name.split("-")
    w, b = int(width[1:]), int(batch[1:])
    if tiny():
        return Residual((w // 10, w // 5), (1, 1), b // 8, kind == "bf16")
    return Residual((w, 2 * w, 4 * w, 8 * w), (2, 2, 2, 2), b, kind == "bf16")


def units(run: Run) -> int | None:
    """Of a turn, where they do not follow from the time that one takes."""
    if not run.case.startswith("fisher"):
        return None
    return 20 if run.peer else 1_000  # PyTorch goes example by example


SIZES = ("w64-b128", "w20-b32", "w64-b32", "w20-b128")
CONFIGS = tuple(f"{size}-{kind}" for size in SIZES for kind in ("f32", "bf16"))


def order_of(problem: problems.Problem, lane: int) -> np.ndarray:
    """The rows of each step's batch; every network has an order of its own."""
    if lane == 0:
        return problem.order
    rows = np.random.default_rng(100 + lane).permutation(problem.order.reshape(-1))
    return rows.reshape(problem.order.shape)


def resnet_problem(net: Residual) -> problems.Problem:
    """Random bytes in CIFAR's shape, and weights as jaxcl names them."""
    rng = np.random.default_rng(0)
    weights = {"shared": resnet_weights(rng, net)}
    head = rng.standard_normal((net.widths[-1], problems.CLASSES), np.float32)
    zeros = np.zeros(problems.CLASSES, np.float32)
    scale = np.float32(np.sqrt(2 / net.widths[-1]))
    weights["heads"] = {"t00": {"w": head * scale, "b": zeros}}
    return problems._problem((32, 32, 3), net.batch, weights)


def resnet_weights(rng: np.random.Generator, net: Residual) -> dict:
    """He-normal convolutions ``[rows, columns, in, out]``, and the usual normalisation."""

    def convolution(kernel: int, inputs: int, outputs: int) -> dict[str, np.ndarray]:
        w = rng.standard_normal((kernel, kernel, inputs, outputs), np.float32)
        return {"kernel": w * np.float32(np.sqrt(2 / (kernel * kernel * outputs)))}

    def norm(width: int) -> dict[str, np.ndarray]:
        return {"scale": np.ones(width, np.float32), "bias": np.zeros(width, np.float32)}

    before = net.widths[0]
    weights: dict = {"conv1": convolution(3, 3, before), "bn1": norm(before)}
    for i, (width, blocks) in enumerate(zip(net.widths, net.blocks, strict=True)):
        for j in range(blocks):
            block = {
                "conv1": convolution(3, before, width),
                "bn1": norm(width),
                "conv2": convolution(3, width, width),
                "bn2": norm(width),
            }
            if before != width or (i and not j):
                block["shortcut_conv"] = convolution(1, before, width)
                block["shortcut_bn"] = norm(width)
            weights[f"stage{i + 1}_block{j + 1}"] = block
            before = width
    return weights


def sweep_problem(case: str) -> problems.Problem:
    """The second task of a sweep; its first one was learned with weights nearby."""
    return {"mlp": problems.mlp, "cnn": problems.cnn}[case]()
