"""The stages of ``gpu.py``, the most important ones first."""

from itertools import starmap
from typing import NamedTuple

import gpu_cases
from gpu_cases import PEERS, STRENGTHS, Run, tiny

LANES = (4, 16)
CONFIGS = gpu_cases.CONFIGS[2:4] if tiny() else gpu_cases.CONFIGS
COMPILED = ("cnn", "cnn-lwf", "cnn-split", "mlp", "si", "replay")  # with torch.compile
EAGER = ("gan", "fisher-mlp", "fisher-cnn", "data")
GRAPH = ("cnn", "mlp")  # also as a CUDA graph
SEEDS = {"seeds-4": 4, "seeds-16": 16, "seeds-64": 64}
SMALL = ("mlp", "cnn")
TRIED = (  # network, seeds, forms beside those of the tables
    ("w64-b128-f32", 1, ("nhwc", "nchw", "no-graphs")),
    ("w20-b32-f32", 1, ("nhwc", "nchw", "no-graphs")),
    ("w20-b32-f32", 16, ("products",)),
    ("w20-b32-bf16", 16, ("products",)),
    ("w64-b128-f32", 16, ("products",)),
    ("w64-b128-bf16", 16, ("products",)),
)


class Stage(NamedTuple):
    """Cases that are got ready together.

    Attributes:
      name: of the stage.
      blocks: name -> names of runs that take turns.
      rounds: turns of each that count.
      turn: seconds of a turn, about.
      units: of a turn, where they are given.
      alone: get ready one at a time, since what that takes is a result.
      most: seconds to get ready in.
      dropped: part of the names of the runs that are given up at the end.
    """

    name: str
    blocks: tuple[tuple[str, list[str]], ...]
    rounds: int = 5
    turn: float = 0.15
    units: int = 0
    alone: bool = False
    most: float = 200
    dropped: str | None = None

    def keys(self) -> list[str]:
        """Of all blocks, each once."""
        return list(dict.fromkeys(key for _, keys in self.blocks for key in keys))


def ours(kind: str, case: str, lanes: int, form: str = "") -> str:
    """The name of a run of jaxcl."""
    return Run(kind, case, lanes, form or ("loop" if lanes == 1 else "together")).key


def theirs(kind: str, case: str, forms: tuple[str, ...] = PEERS) -> list[str]:
    """The names of runs of PyTorch."""
    return [Run(kind, case, 1, form).key for form in forms]


def step_forms(case: str) -> tuple[str, ...]:
    """PyTorch's forms of a step."""
    if case in GRAPH:
        return PEERS
    return PEERS[:2] if case in COMPILED else PEERS[:1]


def step_block(case: str) -> tuple[str, list[str]]:
    """A step of jaxcl beside PyTorch's; of several seeds, theirs is a step of one."""
    lanes = SEEDS.get(case, 1)
    of = "mlp" if case in SEEDS else case
    return f"step/{case}", [ours("step", case, lanes), *theirs("step", of, step_forms(of))]


def _together(lanes: int, configs: tuple[str, ...]) -> tuple[tuple[str, list[str]], ...]:
    def block(config: str) -> list[str]:
        peers = theirs("resnet", config, ("compiled", "graph"))
        return [ours("resnet", config, 1), ours("resnet", config, lanes), *peers]

    return tuple((f"resnet/{config}/{lanes}", block(config)) for config in configs)


def _sweep(case: str) -> tuple[str, list[str]]:
    n = len(STRENGTHS)
    forms = [ours("sweep", case, n), ours("sweep", case, n, "after")]
    return f"sweep/{case}", forms + theirs("sweep", case)


def _tried(case: str, lanes: int, forms: tuple[str, ...]) -> tuple[str, list[str]]:
    others = [ours("resnet", case, lanes, form) for form in forms]
    usual = dict.fromkeys((ours("resnet", case, 1), ours("resnet", case, lanes)))
    return f"tried/{case}/{lanes}", [*usual, *others]


FIRST = ("mlp", "cnn", "replay", "seeds-16", "si", "fisher-mlp", "gan")
REST = ("fisher-cnn", "cnn-lwf", "cnn-split", "data", "seeds-4", "seeds-64")
ONE = tuple((f"resnet/{c}/1", [ours("resnet", c, 1), *theirs("resnet", c)]) for c in CONFIGS)
STEPS = tuple(map(step_block, ("mlp", "replay", "seeds-4") if tiny() else (*FIRST, *REST)))
NARROW, WIDE = (tuple(c for c in CONFIGS[:4] if c.startswith(w)) for w in ("w20", "w64"))
OTHERS = CONFIGS[4:]
STAGES = [
    Stage("one", ONE[:4]),
    Stage("together", (*_together(16, NARROW), _tried(*TRIED[2])), most=75),
    Stage("steps", STEPS[: len(FIRST)]),
    Stage("sweep", tuple(map(_sweep, SMALL)), 3, units=2 if tiny() else 500, alone=True),
    Stage("together-wide", _together(16, WIDE), most=75),
    Stage("tried", tuple(starmap(_tried, TRIED[:2])), 3),
    Stage("steps-rest", STEPS[len(FIRST) :], dropped="step/"),
    Stage("together-4", _together(4, CONFIGS[:4])),
    Stage("one-rest", ONE[4:]),
    Stage("together-rest", (*_together(16, OTHERS), *_together(4, OTHERS))),
    Stage("tried-together", tuple(starmap(_tried, TRIED[3:])), 3),
]
