"""What saving costs: time, bytes on disk, memory.

    python experiments/benchmarks/checkpoint.py --data-dir DIR

Scenario 3 (MNIST, CIFAR-10), one epoch a task, saved after each epoch; then a run of
four tasks whose resident memory is read after each.  A checkpoint is written while
nothing else goes on, so the share of time is that of a run that had to wait for it;
a real run goes on meanwhile.
"""

import argparse
import ctypes
import dataclasses
import gc
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from rich.console import Console

from jaxcl.checkpointing import checkpoint
from jaxcl.checkpointing.saver import saver
from jaxcl.learner import snapshot
from jaxcl.learner.build import set_up
from jaxcl.learner.seed_loop import go_on, run
from jaxcl.learner.settings.config import Config
from jaxcl.learner.settings.configuration import configure
from jaxcl.learner.tasks import load_tasks
from jaxcl.training.events import EpochEnded, TaskBegan


def resident() -> float:
    """Resident memory of this process in MiB, without what malloc keeps free (Linux)."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def cost(config: Config, console: Console) -> None:
    """The share of a run's time that saving takes, and a checkpoint's bytes."""
    setup = set_up(config, load_tasks(config))
    began, saving, number = time.perf_counter(), 0.0, 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for event in go_on(setup):
            if not isinstance(event, EpochEnded):
                continue
            number, since = number + 1, time.perf_counter()
            assert event.learner is not None
            taken = snapshot.take(event.learner)
            checkpoint.write(folder, number, taken.arrays, taken.meta)
            saving += time.perf_counter() - since
            live = sum(array.nbytes for array in taken.arrays.values())
            files = [folder / f"{number:06d}.json", *(folder / f"{number:06d}").rglob("*")]
            disk = sum(path.stat().st_size for path in files if path.is_file())
            console.print(f"live state {live:,} bytes, on disk {disk:,}: {disk / live:.3f}")
    rest = time.perf_counter() - began - saving
    console.print(f"{number} checkpoints: {saving:.2f} s, the rest of the run: {rest:.1f} s")
    console.print(f"time of saving / of the rest: {saving / rest:.4f}")


def memory(method: str, console: Console) -> None:
    """Resident memory after each of four tasks of the same size."""
    config = configure(method, limit=500, epochs=3)
    (task, *_) = load_tasks(config)
    rng = np.random.default_rng(0)
    tasks = [
        task._replace(name=f"digits{i}", train_labels=rng.permutation(task.train_labels))
        for i in range(4)
    ]
    found = []
    with tempfile.TemporaryDirectory() as folder:
        save, wait = saver(Path(folder), 0, 2, console.print, ThreadPoolExecutor(1))
        for event in run(config, tasks):
            if isinstance(event, TaskBegan) and event.task_index:
                found.append(resident())
            elif isinstance(event, EpochEnded):
                assert event.learner is not None
                taken = snapshot.take(event.learner)
                save(taken.arrays, taken.meta)
        wait()
        found.append(resident())
    console.print(
        f"{config.method}: resident MiB after each task: "
        + ", ".join(f"{value:.0f}" for value in found)
    )


def main() -> None:
    """Runs the three measurements and prints a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=None)
    parser.add_argument("--limit", type=int, default=None, help="images a task; all by default")
    options = parser.parse_args()
    console = Console(soft_wrap=True)
    config = configure("select", "3", limit=options.limit, epochs=1)
    cost(dataclasses.replace(config, data_dir=options.data_dir), console)
    for method in ("lwf", "split"):
        memory(method, console)


if __name__ == "__main__":
    main()
