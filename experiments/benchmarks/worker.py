"""A fresh process with one side of one case; does so many units for each line it reads."""

import importlib
import json
import sys
from pathlib import Path

from cases import RESNETS
from side import Case, keep_freed_memory, measured, peak_mib

COMPARED = 2  # losses of a residual network


def made(side: str, name: str, folder: Path) -> Case:
    """A side of a case; those of residual networks are shared with ``gpu.py``."""
    if name in RESNETS:
        width, batch, _ = RESNETS[name]
        form = {"jaxcl": "loop", "torch": "eager", "torch-compiled": "compiled"}[side]
        module = importlib.import_module("gpu_jax" if side == "jaxcl" else "torch_gpu")
        case = module.made(f"resnet/w{width}-b{batch}-f32/1/{form}", folder)[0]
        # From one step to the next, batch normalisation makes a difference of rounding larger.
        return case._replace(check=lambda: case.check()[:COMPARED])
    if side == "jaxcl":
        return importlib.import_module("jax_side").CASES[name](folder)
    return importlib.import_module("torch_side").CASES[name](folder, compiled=side != "torch")


def main() -> None:
    """``worker.py SIDE CASE FOLDER``; answers are lines of JSON."""
    side, name, folder = sys.argv[1:]
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever else is printed is no answer

    if side != "jaxcl":  # whose commands leave it alone: it makes them no faster
        keep_freed_memory()

    case = made(side, name, Path(folder))

    def answer(**values) -> None:
        print(json.dumps(values), file=answers, flush=True)

    answer(check=case.check())
    for line in sys.stdin:
        answer(**measured(case.run, int(line)), peak_mib=peak_mib())


if __name__ == "__main__":
    main()
