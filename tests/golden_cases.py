"""The command lines that ``golden.py`` runs: every method in every setting, every option."""

from typing import Literal, NamedTuple


class Case(NamedTuple):
    """A command line.

    Attributes:
      args: the command and its options.
      how: in the process as it is; interrupted, resumed and compared with the run left alone;
        on four devices.
    """

    args: str
    how: Literal["plain", "cut off", "four devices"] = "plain"


METHODS = (
    "finetune", "feature_extraction", "joint", "lwf", "split", "select", "ewc", "online_ewc",
    "si", "mas", "er", "der", "der_pp", "exact_replay", "noise_replay", "dgr", "lwf_gr", "pnn",
    "er_ace", "gdumb", "icarl", "rwalk",
)  # fmt: skip
SETTINGS = ("task", "domain", "class")
TINY = "--limit 40 --batch-size 10 --iterations 8"
HIDDEN = f"{TINY} --hidden 8"
SPLIT = f"scenario --scenario split-digits --tasks 2 {HIDDEN}"
THREE = f"scenario --scenario permuted-digits --tasks 3 {HIDDEN}"  # two tasks to remember
PLAIN_SPLIT = f"scenario --scenario split-digits --tasks 2 {TINY}"
CNN = f"scenario --scenario split-digits --tasks 2 --net cnn {TINY}"
CNN_THREE = f"scenario --scenario permuted-digits --tasks 3 --net cnn {TINY}"
GAN = "--generator-steps 4 --generated 40 --generator-batch 8 --critic-steps 2"
SELECT = f"{CNN} --method select --threshold 0.9995"  # conv1 is shared, conv2 is not
UNLIKE = f"scenario --method select {TINY} --probe 30"  # digits, letters, photographs
MEMORY = f"{SPLIT} --setting class --method"
EPOCHS = "--limit 40 --batch-size 10 --hidden 8 --epochs 3"


def _methods() -> dict[str, str]:
    found = {}
    for method in METHODS:
        start = f"{THREE} --method {method}"
        if method in ("dgr", "lwf_gr"):
            start = f"{SPLIT} {GAN} --method {method}"
        elif method in ("split", "select", "pnn"):
            start = SELECT if method == "select" else f"{CNN} --method {method}"
        for setting in SETTINGS:
            found[f"{method}.{setting}"] = f"{start} --setting {setting}"
    return found


NETWORKS = {
    "cnn.three-tasks": f"{CNN_THREE} --method lwf",
    "pnn.mlp": f"{THREE} --method pnn --setting task",
    "linear": f"{PLAIN_SPLIT} --method ewc --net linear",
    "initial.uniform": f"{SPLIT} --method finetune --initial uniform",
    "resize.pad": f"{SELECT} --resize pad",
    "resize.keep": f"{CNN} --method ewc --resize keep",
    "heads.full": f"{MEMORY} er --heads full",
    "heads.full.ewc": f"{MEMORY} ewc --heads full",
    "heads.full.lwf": f"{MEMORY} lwf --heads full",
}
LEARNING = {
    "together.ewc": f"{SPLIT} --method ewc --seeds 0 1 --together 2",
    "together.er": f"{MEMORY} er --seeds 0 1 --together 2",
    "together.dgr": f"{MEMORY} dgr --seeds 0 1 --together 2 {GAN}",
    "together.select": f"{SELECT} --seeds 0 1 --together 2",
    "in-turn.ewc": f"{SPLIT} --method ewc --seeds 0 1 --together 1",
    "keep-optimizer": f"{SPLIT} --method finetune --keep-optimizer True",
    "keep-optimizer.no": f"{SPLIT} --method finetune --keep-optimizer False",
    "schedule": f"scenario --scenario split-digits --tasks 2 {EPOCHS} --method lwf --l2 1e-3"
    " --schedule cosine --warmup-epochs 1 --later-lr 3e-4 --keep-optimizer False",
    "l2": f"{SPLIT} --method si --l2 1e-2",
    "l2.later": f"{SPLIT} --method si --l2 1e-2 --later-l2 0",
    "sgd": f"{SPLIT} --method ewc --optimizer sgd --lr 0.01",
    "scratch": f"{SPLIT} --method er --scratch True",
    "scratch.dgr": f"{SPLIT} --method dgr --scratch True {GAN}",
    "t-squared": f"{SPLIT} --method lwf --t-squared False --temperature 3 --strength 2",
    "validation": f"{SPLIT} --method lwf --validation 0.1",
    "order": f"{SPLIT} --method ewc --order 3",
    "stream": f"{SPLIT} --method ewc --stream",
    "stream.er": f"{SPLIT} --method er --stream",
    "stream.select": f"{SELECT} --stream",
}
PENALTIES = {
    "fisher.sampled": f"{SPLIT} --method ewc --fisher sampled --fisher-examples 20",
    "fisher.empirical": f"{SPLIT} --method ewc --fisher empirical --fisher-examples 20",
    "fisher.online": f"{THREE} --method online_ewc --fisher sampled --decay 0.5",
    "mas.examples": f"{SPLIT} --method mas --fisher-examples 20 --strength 10",
    "si.xi": f"{SPLIT} --method si --xi 0.01 --strength 10",
    "ewc.cnn": f"{CNN} --method ewc",
    "mas.cnn": f"{CNN} --method mas",
}
REPLAY = {
    **{f"ewc.{k}": f"{MEMORY} ewc --replay {k}" for k in ("buffer", "exact", "noise")},
    "ewc.generative": f"{MEMORY} ewc --replay generative {GAN}",
    **{
        f"er.{s}": f"{MEMORY} er --buffer 12 --storage {s}"
        for s in ("reservoir", "ring", "class_balanced")
    },
    "er.online": f"{MEMORY} er --buffer 12 --fill online --drawn 5",
    "er.per-class": f"{MEMORY} er --per-class 3",
    "er.ratio": f"{MEMORY} er --ratio 0.3 --replay-weight 0.4",
    "der_pp.buffer": f"{MEMORY} der_pp --buffer 12 --alpha 0.2 --beta 0.7",
    "der.per-class": f"{MEMORY} der --per-class 2",
    "der_pp.per-class": f"{MEMORY} der_pp --per-class 2",
    "dgr.three-tasks": f"{THREE} --method dgr {GAN}",
    "dgr.conv": f"{CNN} --setting class --method dgr --generator conv --resize bilinear {GAN}",
    "dgr.hard": f"{MEMORY} dgr --labels hard {GAN}",
    "dgr.no-balance": f"{MEMORY} dgr --balance False --average 0 --latent 20 {GAN}",
}
# With the first three, some layers are shared and some are not.
THRESHOLDS = {"frechet": 0.91, "bures": 0.9, "cosine": 0.9, "cka": 0.9, "rsa": 0.9, "svcca": 0.9}
SELECTION = {
    **{
        f"similarity.{name}": f"{UNLIKE} --similarity {name} --threshold {threshold}"
        for name, threshold in THRESHOLDS.items()
    },
    "second.scratch": f"{UNLIKE} --similarity cka --reference scratch --threshold 0.9",
    "candidates.latest": f"{UNLIKE} --candidates latest --threshold 0.6",
    "candidates.first": f"{UNLIKE} --candidates first --threshold 0.91",
    "start.fresh": f"{CNN} --method split --start fresh",
}
SCENARIOS = {
    "builtin": f"scenario --method lwf {TINY} --net mlp --hidden 8 --warmup-epochs 1",
    "rotated": f"scenario --scenario rotated-digits --tasks 2 {HIDDEN} --method si",
    "chain": f"scenario --scenario digits-chain --tasks 2 {HIDDEN} {GAN} --method dgr",
    "digits-m": f"scenario --scenario digits-digits-m {TINY} --net mlp --hidden 8 --method lwf",
    "0-4-5-9": f"scenario --scenario builtin-0-4-5-9 {TINY} --method er --per-class 2",
    "0-4-5-9.epoch": "scenario --scenario builtin-0-4-5-9 --limit 40 --batch-size 10 --epochs 2"
    " --method finetune",
}
GRID = f"sweep {SPLIT.removeprefix('scenario ')} --method ewc"
SEVERAL = {
    "sweep": f"{GRID} --grid strength=1e2,1e6 --seeds 0 1 --together 4",
    "sweep.in-turn": f"{GRID} --grid strength=1e2,1e6 lr=1e-3,1e-2 --validation 0.2",
    "sweep.halving": f"{GRID} --grid strength=1:1e8:4 --halving 2 --together 4",
    "compare": f"compare {SPLIT.removeprefix('scenario ')} --methods finetune er",
}
LONG = "scenario --scenario split-digits --tasks 2 --limit 40 --batch-size 10 --iterations"
STOPPED = {
    "resume.ewc": f"{LONG} 600 --hidden 8 --method ewc",
    "resume.er": f"{LONG} 600 --hidden 8 --method er --seeds 0 1 --together 2",
    "resume.select": f"{LONG} 60 --net cnn --method select",
}
MESH = {
    "mesh.ewc": f"{SPLIT} --method ewc --seeds 0 1 --mesh seed=2,data=2",
    "mesh.er": f"{MEMORY} er --seeds 0 1 --mesh seed=2,data=2",
}
PLAIN = _methods() | NETWORKS | LEARNING | PENALTIES | REPLAY | SELECTION | SCENARIOS | SEVERAL
CASES: dict[str, Case] = {
    **{name: Case(args, "cut off") for name, args in STOPPED.items()},
    **{name: Case(args, "four devices") for name, args in MESH.items()},
    **{name: Case(args) for name, args in PLAIN.items()},
}
