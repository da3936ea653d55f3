"""What saving costs: time, bytes on disk, memory.

    python experiments/benchmarks/checkpoint.py --data-dir DIR

Scenario 3 (MNIST, CIFAR-10) at a small size, with a checkpoint after every epoch and
without any, in turn; then a run of four tasks whose resident memory is read after
each.  An epoch here has 50 steps, in the full scenario 600 and 500, so the share of
saving is about ten times that of a full run.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console

from jaxcl import checkpoint, output, record, snapshot
from jaxcl.config import Config
from jaxcl.events import EpochEnded, TaskBegan
from jaxcl.record import NOTHING, Saving
from jaxcl.run import go_on, load_tasks, run, set_up

NEVER = Saving(None, 1e9, 2)
EVERY = Saving(1, None, 2)


def resident() -> float:
    """Resident memory of this process in MiB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def cost(config: Config, repeats: int, console: Console) -> None:
    """Wall time with and without checkpoints, in turn."""
    setup = set_up(config, load_tasks(config))
    quiet = Console(quiet=True)
    times: dict[Saving, list[float]] = {EVERY: [], NEVER: []}
    for turn in range(repeats + 1):
        for saving, found in times.items():
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder)
                output.create(out, config)
                began = time.perf_counter()
                record.record(setup, out, quiet, saving, NOTHING, began)
                if turn:  # the first compiles
                    found.append(time.perf_counter() - began)
    with_, without = (statistics.median(found) for found in times.values())
    console.print(
        f"a checkpoint every epoch: {with_:.1f} s, none: {without:.1f} s (medians of {repeats})"
    )
    console.print(f"time with / without: {with_ / without:.3f}")


def size(config: Config, console: Console) -> None:
    """Bytes of a checkpoint on disk against those of the live state."""
    setup = set_up(config, load_tasks(config))
    later = (e for e in go_on(setup) if isinstance(e, EpochEnded) and e.position == 1)
    taken = snapshot.take(next(later).learner)
    live = sum(array.nbytes for array in taken.arrays.values())
    with tempfile.TemporaryDirectory() as folder:
        checkpoint.write(Path(folder), 1, taken.arrays, taken.meta)
        disk = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    console.print(f"live state {live:,} bytes, checkpoint {disk:,} bytes: {disk / live:.3f}")


def memory(console: Console) -> None:
    """Resident memory after each of four tasks of the same size."""
    config = Config(method="split", limit=500, epochs=3)
    (task, *_) = load_tasks(config)
    rng = np.random.default_rng(0)
    tasks = [
        task._replace(name=f"digits{i}", train_labels=rng.permutation(task.train_labels))
        for i in range(4)
    ]
    found = []
    with tempfile.TemporaryDirectory() as folder:
        save, wait = checkpoint.saver(Path(folder), 0, 2, console.print)
        for event in run(config, tasks):
            if isinstance(event, TaskBegan) and event.position:
                found.append(resident())
            elif isinstance(event, EpochEnded):
                taken = snapshot.take(event.learner)
                save(taken.arrays, taken.meta)
        wait()
        found.append(resident())
    console.print("resident MiB after each task: " + ", ".join(f"{value:.0f}" for value in found))


def main() -> None:
    """Runs the three measurements and prints a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=None)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    console = Console(soft_wrap=True)
    config = Config(scenario="3", method="select", limit=5000, epochs=3, data_dir=options.data_dir)
    cost(config, options.repeats, console)
    size(config, console)
    memory(console)


if __name__ == "__main__":
    main()
