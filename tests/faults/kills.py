"""Kill runs at random moments and compare them with runs that were left alone.

    python tests/faults/kills.py --kills 100 --seed 0

For each method a small run is made without interruption.  Then the same command is
started again and again with ``--resume`` and killed (SIGKILL) after a random time,
until it comes to its end; a checkpoint is written after every epoch.  Final
parameters, metrics (but for wall times) and routes must be equal to the bit.
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

from rich.console import Console
from rich.table import Table

METHODS = ("lwf", "select", "split", "joint")
SIZE = ["--limit", "60", "--epochs", "3", "--batch-size", "20", "--seeds", "0", "1"]
TIMED = ("seconds", "task_seconds", "argv", "git")


def start(method: str, out: Path, *options: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "jaxcl.experiments.scenario", "--method", method, *SIZE]
    command += ["--out", str(out), "--checkpoint-every", "1", *options]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen, method: str) -> None:
    _, err = process.communicate()
    if process.returncode:
        raise SystemExit(f"{method}: exit code {process.returncode}\n{err}")


def moment(out: Path) -> str:
    """What the files say a run was doing when it was killed."""
    folder = out / "checkpoints"
    if not (out / "config.toml").exists():
        return "starting"
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if any(name.isdigit() and f"{name}.json" not in names for name in names):
        return "saving"
    if any("tmp" in name for name in names):
        return "saving"
    return "working" if names else "before the first checkpoint"


def killed(method: str, out: Path, budget: int, longest: float, rng: random.Random) -> Counter:
    """Runs a method to its end through at most ``budget`` kills; counts their moments."""
    moments: Counter = Counter()
    while sum(moments.values()) < budget:
        process = start(method, out, "--resume")
        try:
            process.wait(rng.uniform(0.2 * longest, longest))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            moments[moment(out)] += 1
            continue
        finish(process, method)
        return moments
    finish(start(method, out, "--resume"), method)
    return moments


def compare(a: Path, b: Path) -> None:
    """Raises an AssertionError if two runs differ in anything but time."""
    import chex

    from jaxcl.checkpoint import load_params

    for seed in (0, 1):
        params = (load_params(folder / "params" / f"seed{seed}") for folder in (a, b))
        chex.assert_trees_all_equal(*params)
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    options = parser.parse_args()
    rng, console = random.Random(options.seed), Console(soft_wrap=True)
    done = dict.fromkeys(options.methods, 0)
    moments: Counter = Counter()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("XDG_CACHE_HOME", f"{folder}/cache")
        alone, times = {}, {}
        for method in options.methods:
            # The second is timed: the first compiles, and what it compiled is kept.
            for turn in ("cold", "warm"):
                began = time.perf_counter()
                alone[method] = Path(folder, f"{method}-{turn}")
                finish(start(method, alone[method]), method)
                times[method] = time.perf_counter() - began
        runs = 0
        while sum(done.values()) < options.kills:
            method = min(done, key=lambda name: done[name])
            out = Path(folder, f"{method}-{runs}")
            left = options.kills - sum(done.values())
            found = killed(method, out, min(left, 8), times[method], rng)
            compare(alone[method], out)
            done[method] += sum(found.values())
            moments += found
            runs += 1
            console.print(f"{sum(done.values())} kills, {runs} runs equal to the bit")
    table = Table(title=f"{sum(done.values())} kills, seed {options.seed}: every run equal")
    for column in ("method", "kills"):
        table.add_column(column)
    for method, count in done.items():
        table.add_row(method, str(count))
    console.print(table)
    for name, count in sorted(moments.items()):
        console.print(f"killed while {name}: {count}")
    console.print(f"{runs} interrupted runs; Python {platform.python_version()}")


if __name__ == "__main__":
    main()
