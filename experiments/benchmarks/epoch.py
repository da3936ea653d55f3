"""Steps a second of the paper's CNN in a compiled epoch.

    python experiments/benchmarks/epoch.py

Bytes at random, batch 100, Adam; the same functions as the scenario command.  The
cases take turns, so a machine whose speed drifts slows all of them alike; medians
are printed.
"""

import argparse
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from jaxcl.growth import add_branch, add_head, leaf_mask, on_route
from jaxcl.nets import Pathway, Routes, cnn
from jaxcl.settings import SETTINGS, View, forward
from jaxcl.train import Program, adam, epoch_order, no_totals, run_steps, start_phase
from jaxcl.transforms import LossTransform, TaskData, chain, distill, l2
from jaxcl.types import Batch, Params

EXAMPLES, BATCH = 5_000, 100
OLD: Routes = (Pathway("t00", ("t00", "t00"), "t00"),)
SHARED: Routes = (*OLD, Pathway("t01", ("t00", "t00"), "t01"))
SPLIT: Routes = (*OLD, Pathway("t01", ("t01", "t01"), "t01"))


def network() -> Params:
    """A tree with two branches of each layer and two heads of ten classes."""
    net, key = cnn(), jax.random.key(0)
    params = net.init(key)
    for task in ("t00", "t01"):
        for layer in net.layers:
            params = add_branch(net, params, layer, task, key=key)
        params = add_head(net, params, task, 10, key)
    return params


def case(routes: Routes, transform: LossTransform, data: Batch):
    """A function that runs so many steps and returns seconds a step."""
    net, key, params = cnn(), jax.random.key(0), network()
    view = View(net, routes, SETTINGS["task"])
    program = Program(view, (len(routes) - 1,), transform, adam(1e-3))
    task = TaskData(data, forward(view._replace(routes=() if routes == OLD else OLD)))
    cl = transform.end_task(transform.init(params), params, task, key)
    cl = transform.begin_task(cl, params, task, key)
    mask = leaf_mask(params, lambda path: on_route(net, routes[-1].route, path))
    state = start_phase(program, params, mask, cl, key)
    order = epoch_order(key, EXAMPLES, BATCH)
    totals = no_totals(program, state, data, order)

    def run(steps: int) -> float:
        nonlocal state, totals
        began = time.perf_counter()
        state, totals = run_steps(program, state, totals, data, order, np.int32(0), np.int32(steps))
        jax.block_until_ready(state.params)
        return (time.perf_counter() - began) / steps

    return run


def main() -> None:
    """Runs the cases in turn and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=25, help="in one measurement")
    parser.add_argument("--repeats", type=int, default=7, help="measurements of each case")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    data = {
        "image": jnp.asarray(rng.integers(0, 256, (EXAMPLES, 32, 32, 3), dtype=np.uint8)),
        "label": jnp.asarray(rng.integers(0, 10, EXAMPLES), jnp.int32),
    }
    first, later = ({**data, "task": jnp.full(EXAMPLES, i, jnp.int32)} for i in (0, 1))
    lwf = chain(distill=distill(15.0, 2.0), l2=l2(1e-4))
    cases = {
        "first task": case(OLD, chain(), first),
        "LwF, one old head": case(SHARED, lwf, later),
        "split, one old task": case(SPLIT, lwf, later),
    }
    for run in cases.values():
        run(2)  # compiles
    times = {name: [] for name in cases}
    console = Console()
    for _ in track(range(options.repeats), "measuring", console=console, transient=True):
        for name, run in cases.items():
            times[name].append(run(options.steps))
    device = jax.devices()[0]
    table = Table(
        title=f"CNN, batch {BATCH}, on {device.device_kind} ({jax.device_count()} device)"
    )
    for column in ("case", "steps/s", "ms a step", "fastest", "slowest"):
        table.add_column(column, justify="left" if column == "case" else "right")
    for name, seconds in times.items():
        middle = statistics.median(seconds)
        spread = (f"{1e3 * t:.1f}" for t in (middle, min(seconds), max(seconds)))
        table.add_row(name, f"{1 / middle:.1f}", *spread)
    console.print(table)


if __name__ == "__main__":
    main()
