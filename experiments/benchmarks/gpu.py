"""Measures jaxcl beside PyTorch on one GPU: steps, ResNet-18, many seeds, a sweep.

    python experiments/benchmarks/gpu.py            # under 8 minutes; writes gpu.json and GPU.md
    python experiments/benchmarks/gpu.py --tiny     # toys, to try the program out
    python experiments/benchmarks/gpu.py --report   # GPU.md again, from gpu.json

It needs no data and no network: images are random bytes in CIFAR's and MNIST's shapes.  Both
sides first get all cases of a stage ready, in processes of their own; then they take turns, one
at a time.  What was measured is written after every case, and what time is too short for is left
out.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import gpu_cases

if "--tiny" in sys.argv:  # what is measured depends on it
    os.environ[gpu_cases.TINY] = "1"

import gpu_report
from gpu_plan import STAGES, Stage
from gpu_sides import Sides

HERE = Path(__file__).parent


def main() -> None:
    """Measures, and writes what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE, help="folder of gpu.json and GPU.md")
    parser.add_argument("--seconds", type=float, default=440, help="when no stage begins any more")
    parser.add_argument("--stages", nargs="*", help=f"of {', '.join(s.name for s in STAGES)}")
    parser.add_argument("--tiny", action="store_true", help="toys, to try the program out")
    parser.add_argument("--report", action="store_true", help="write GPU.md from gpu.json")
    parser.add_argument("--torch-python", default=sys.executable, help="has PyTorch")
    options = parser.parse_args()
    file = options.out / "gpu.json"
    if not options.report:
        stages = [s for s in STAGES if not options.stages or s.name in options.stages]
        measure(stages, file, options)
    (options.out / "GPU.md").write_text(gpu_report.page(json.loads(file.read_text())))


def measure(stages: list[Stage], file: Path, options: argparse.Namespace) -> None:
    """Stage after stage, as long as there is time; keeps what an earlier run has found."""
    until = time.monotonic() + options.seconds
    results = json.loads(file.read_text()) if file.exists() else {}
    results.setdefault("blocks", {})
    results.setdefault("ready", {})
    with tempfile.TemporaryDirectory() as folder, Sides(folder, options) as sides:
        for side, found in sides.versions().items():
            results.setdefault("sides", {})[side] = found
        results.setdefault("gpu", []).append(gpu_state())
        for stage in stages:
            if time.monotonic() > until:
                break
            said(f"{stage.name}: {until - time.monotonic():.0f} s left")
            within = min(until, time.monotonic() + stage.most)
            sides.prepare(stage.keys(), within, stage.alone, results["ready"])
            for name, keys in stage.blocks:
                if stage.rounds and time.monotonic() < until:
                    measure_block(sides, stage, name, keys, results)
                    file.write_text(json.dumps(results, indent=1) + "\n")
            sides.drop(stage.dropped)
        results["gpu"].append(gpu_state())
        file.write_text(json.dumps(results, indent=1) + "\n")


def measure_block(sides: Sides, stage: Stage, name: str, keys: list[str], results: dict) -> None:
    """Turns of all that is ready, one after the other, again and again."""
    keys = [key for key in keys if key in sides.ready]
    units = {}
    for key in keys:  # how many make a turn; also warms up
        lanes = gpu_cases.parsed(key).lanes if key.startswith("step/") else 1
        units[key] = stage.units or _units(sides, key, lanes, stage.turn)
    turns: dict[str, list[float]] = {key: [] for key in keys}
    for _ in range(stage.rounds):
        for key in keys:
            turns[key].append(sides.run(key, units[key])["wall"])
    results["blocks"][name] = {"units": units, "turns": turns, "gpu": gpu_state()}
    said(f"{name}: " + ", ".join(f"{k} {min(turns[k]) / units[k] * 1e3:.3f} ms" for k in keys))


def _units(sides: Sides, key: str, lanes: int, turn: float) -> int:
    if given := gpu_cases.units(gpu_cases.parsed(key)):
        return given
    if gpu_cases.tiny():
        return lanes
    n, wall = lanes, 0.0
    while wall < turn / 4:
        wall = sides.run(key, n)["wall"]
        before, n = n, max(n, int(n * min(32.0, turn / max(wall, 1e-6)) / lanes) * lanes)
        if n == before:
            break
    return n


def gpu_state() -> dict[str, str]:
    """Name, driver and clocks, as the driver says them."""
    asked = "name,driver_version,clocks.sm,clocks.mem,clocks.max.sm,power.draw,temperature.gpu"
    command = ["nvidia-smi", f"--query-gpu={asked}", "--format=csv,noheader"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return {}
    return dict(zip(asked.split(","), said.splitlines()[0].split(", "), strict=True))


def said(text: str) -> None:
    """Shows how far it is."""
    print(f"{time.strftime('%X')} {text}", flush=True)


if __name__ == "__main__":
    main()
