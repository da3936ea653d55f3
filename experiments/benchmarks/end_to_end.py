"""Whole programs side by side: the scenario command, and the same protocol with PyTorch."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from turns import Turns

HERE = Path(__file__).parent
PROGRAMS = {"start": ("er", 1, 1), "end-er": ("er", 5, 2000), "end-ewc": ("ewc", 5, 2000)}
"""Case -> method, tasks, steps a task."""


def timed(command: Sequence[str]) -> tuple[dict[str, float], str]:
    """What a process took from start to exit, and what it printed."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout as output:
        printed = output.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    seconds = {"wall": time.perf_counter() - began, "cpu": used.ru_utime + used.ru_stime}
    return {**seconds, "peak_mib": used.ru_maxrss / 1024}, printed


def take(name: str, data_dir: Path | None, rounds: int, said: Callable[[str], None]) -> Turns:
    """Runs both sides in turn, after a run of jaxcl that fills the compilation cache.

    Raises:
      ValueError: their average accuracies are not alike after all tasks.
    """
    from jaxcl.scenarios.datasets import sources

    method, tasks, steps = PROGRAMS[name]
    turns: Turns = {"jaxcl": [], "torch": []}
    with tempfile.TemporaryDirectory() as folder:
        task, file = sources.load("mnist", data_dir, said), Path(folder, "mnist.npz")
        halves = {n: getattr(task, n) for n in ("train_inputs", "test_inputs")}
        labels = {n: getattr(task, n).astype(np.int32) for n in ("train_labels", "test_labels")}
        np.savez(file, allow_pickle=False, **halves, **labels)
        ours = [sys.executable, "-m", "jaxcl.experiments.scenario", "--scenario=split-mnist"]
        ours += ["--setting=class", f"--method={method}", "--checkpoint-every=100000"]
        ours += [f"--tasks={tasks}", f"--iterations={steps}"]
        ours += ["--data-dir", str(data_dir)] if data_dir else []
        theirs = [sys.executable, str(HERE / "torch_split.py"), method, str(file)]
        theirs += [str(tasks), str(steps)]
        for number in range(rounds + 1):
            out = Path(folder, str(number))
            said(f"{name}: turn {number} of {rounds}, jaxcl")
            took, _ = timed([*ours, "--out", str(out)])
            if number == 0:
                continue
            turns["jaxcl"].append(took)
            reached = json.loads((out / "summary.json").read_text())["average_accuracy"]["mean"]
            said(f"{name}: turn {number} of {rounds}, torch")
            took, printed = timed(theirs)
            turns["torch"].append(took)
            if tasks > 1 and abs(float(printed) - reached) > 5:
                raise ValueError(f"{name}: PyTorch reaches {printed.strip()} %, jaxcl {reached}")
    return turns
