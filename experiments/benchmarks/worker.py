"""A fresh process with one side of one case; does so many units for each line it reads."""

import importlib
import json
import sys
from functools import partial
from pathlib import Path

from side import keep_freed_memory, measured, peak_mib


def main() -> None:
    """``worker.py SIDE CASE FOLDER``; answers are lines of JSON."""
    side, name, folder = sys.argv[1:]
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever else is printed is no answer

    if side != "jaxcl":  # whose commands leave it alone: it makes them no faster
        keep_freed_memory()

    if side == "jaxcl":
        make = importlib.import_module("jax_side").CASES[name]
    else:
        make = partial(importlib.import_module("torch_side").CASES[name], compiled=side != "torch")
    case = make(Path(folder))

    def answer(**values) -> None:
        print(json.dumps(values), file=answers, flush=True)

    answer(check=case.check())
    for line in sys.stdin:
        answer(**measured(case.run, int(line)), peak_mib=peak_mib())


if __name__ == "__main__":
    main()
