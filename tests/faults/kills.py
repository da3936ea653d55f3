"""Kill runs at random moments and compare them with runs that were left alone.

    python tests/faults/kills.py --kills 100 --seed 0

For each method a small run is made without interruption.  Then the same command is
started again and again with ``--resume`` and killed (SIGKILL) after a random time,
until it comes to its end; a checkpoint is written after every second.  Final
parameters (those of generators too), metrics (but for wall times) and routes must be
equal to the bit.
"""

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import marked
from rich.console import Console
from rich.table import Table

from jaxcl.learner.settings.configuration import configure
from jaxcl.methods import METHODS

SEEDS = ["--seeds", "0", "1"]
IMAGES = ["--limit", "60", "--epochs", "2", "--batch-size", "10", *SEEDS]
DIGITS = ["--scenario", "split-digits", "--tasks", "2", "--iterations", "200", *SEEDS]
GENERATOR = ["--generator-steps", "300", "--generated", "1000"]
TIMED = (
    "seconds",
    "compile_seconds",
    "compilations",
    "task_seconds",
    "argv",
    "git",
    "metrics_sha256",
)
TIMED += ("metrics_bytes",)  # its lines hold times
STARTUP = 0.15  # of a whole run: no kill before, since nothing has happened yet
WARM = 0.7  # of the time of a run that compiles
MOST = 8  # kills of a run, then it may come to its end


def start(method: str, out: Path, *options: str) -> subprocess.Popen:
    command = [sys.executable, marked.__file__, f"{out}.mark", "--method", method]
    command += IMAGES if METHODS[method].branches else DIGITS
    command += ["--setting", "class"] if METHODS[method].refuses else []
    command += GENERATOR if configure(method).generator else []
    command += ["--out", str(out), "--checkpoint-every", "1s", *options]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen, method: str) -> None:
    _, err = process.communicate()
    if process.returncode:
        raise SystemExit(f"{method}: exit code {process.returncode}\n{err}")


def killed(
    method: str, out: Path, budget: int, longest: float, rng: random.Random
) -> list[list[str]]:
    """Runs a method to its end through at most ``budget`` kills; what each cut off."""
    moments: list[list[str]] = []
    while len(moments) < budget:
        process = start(method, out, "--resume")
        try:
            process.wait(rng.uniform(STARTUP * longest, longest))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            moments.append(marked.read(Path(f"{out}.mark")))
            continue
        finish(process, method)
        return moments
    finish(start(method, out, "--resume"), method)
    return moments


def compare(a: Path, b: Path) -> None:
    """Raises an AssertionError if two runs differ in anything but time."""
    import chex

    from jaxcl.checkpointing.storage import load_params

    trees = sorted(
        path.relative_to(a) for k in ("params", "generator") for path in a.glob(f"{k}/*")
    )
    assert len(trees) in (2, 4), trees
    for tree in trees:
        chex.assert_trees_all_equal(*(load_params(folder / tree) for folder in (a, b)))
    summaries = (json.loads((folder / "summary.json").read_text()) for folder in (a, b))
    lines = ((folder / "metrics.jsonl").read_text().splitlines() for folder in (a, b))
    metrics = ([json.loads(line) for line in part] for part in lines)
    for one, other in (summaries, [{"lines": part} for part in metrics]):
        assert strip(one) == strip(other)


def strip(value):
    """Without wall times and what else names a process."""
    if isinstance(value, dict):
        return {name: strip(part) for name, part in value.items() if name not in TIMED}
    return [strip(part) for part in value] if isinstance(value, list) else value


def alone(method: str, folder: Path) -> tuple[Path, float]:
    """A run without interruption, and about the seconds it takes once all is compiled."""
    out, began = folder / f"{method}-alone", time.perf_counter()
    finish(start(method, out), method)
    return out, WARM * (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    options = parser.parse_args()
    rng, console = random.Random(options.seed), Console(soft_wrap=True, width=120)
    found: dict[str, list[list[str]]] = {method: [] for method in options.methods}
    runs = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ.setdefault("XDG_CACHE_HOME", str(folder / "cache"))
        os.environ.setdefault("XDG_STATE_HOME", str(folder / "state"))
        whole: dict[str, tuple[Path, float]] = {}
        while (left := options.kills - sum(map(len, found.values()))) > 0:
            method = min(found, key=lambda name: len(found[name]))
            if method not in whole:
                whole[method] = alone(method, folder)
            reference, seconds = whole[method]
            out = folder / f"{method}-{runs}"
            fair = -(-options.kills // len(found))
            found[method] += killed(method, out, min(left, fair, MOST), seconds, rng)
            compare(reference, out)
            runs += 1
            done = sum(map(len, found.values()))
            console.print(f"{done} kills, {runs} runs equal to the bit", style="dim")
    report(found, options.seed, runs, console)


def report(found: dict[str, list[list[str]]], seed: int, runs: int, console: Console) -> None:
    kills = sum(map(len, found.values()))
    columns = marked.MOMENTS
    table = Table(title=f"{kills} kills, seed {seed}: every run equal")
    for column in ("killed during", *columns, "kills"):
        table.add_column(column, justify="left" if column == "killed during" else "right")
    for method, moments in found.items():
        counts = Counter(part for moment in moments for part in moment)
        table.add_row(method, *(str(counts[c] or "") for c in columns), str(len(moments)))
    total = Counter(part for moments in found.values() for moment in moments for part in moment)
    table.add_section()
    table.add_row("all", *(str(total[c]) for c in columns), str(kills))
    console.print(table)
    console.print("Saving goes on beside the rest, so its kills are counted twice.")
    console.print(f"{runs} interrupted runs; Python {platform.python_version()}")


if __name__ == "__main__":
    main()
