"""RESULTS.md and its pictures, from runs.

    python experiments/generative-replay/results.py RUNS

RUNS holds what ``run.sh`` wrote.  Runs that are missing are left out of the tables.  What
the tables are made of is copied to ``summaries/`` beside this file, pictures to
``pictures/``.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jaxcl.metrics import mean_sem
from jaxcl.report import markdown_row as line
from jaxcl.report import mean_text
from jaxcl.summary import portable

HERE = Path(__file__).parent
EXPERIMENTS = {
    "chain": "(a) A chain of solvers, each but the first taught by the scholar before it alone",
    "permuted-5": "(b) Permuted MNIST, 5 tasks",
    "permuted-10": "(b) Permuted MNIST, 10 tasks",
    "mnist-mnist-m": "(c) MNIST, then MNIST blended with photographs",
    "mnist-m-mnist": "(c) MNIST blended with photographs, then MNIST",
    "mnist-mnist-m-lwf": "(d) MNIST, then MNIST blended with photographs, a head for each",
    "mnist-m-mnist-lwf": "(d) MNIST blended with photographs, then MNIST, a head for each",
    "split": "(e) Split MNIST, all classes to be told apart",
}
ROWS, COLUMNS = 2, 8  # of a picture of samples that are shown


def summaries(runs: Path, name: str) -> list[dict[str, Any]]:
    """The summaries of an experiment, copied beside this file as they are found."""
    kept = HERE / "summaries" / name
    for found in sorted(runs.glob(f"{name}/*/summary.json")):
        content = portable(json.loads(found.read_text()))
        content["quality"] = figures(found.parent / "metrics.jsonl")
        kept.mkdir(parents=True, exist_ok=True)
        (kept / f"{found.parent.name}.json").write_text(json.dumps(content, indent=1) + "\n")
    return [json.loads(path.read_text()) for path in sorted(kept.glob("*.json"))]


def figures(metrics: Path) -> dict[str, dict[str, list[float]]]:
    """task -> what was measured of its generator's images, one value for each seed."""
    found: dict[str, dict[str, list[float]]] = {}
    for event in map(json.loads, metrics.read_text().splitlines()):
        for name in ("kl", "frechet"):
            if event["event"] == "epoch" and f"quality.{name}" in event["metrics"]:
                values = found.setdefault(event["task"], {}).setdefault(name, [])
                values.append(event["metrics"][f"quality.{name}"])
    return found


def accuracies(found: Sequence[dict[str, Any]]) -> list[str]:
    """Method against accuracy of each task at the end, and on average."""
    tasks = found[0]["tasks"]
    lines = [line(["method", "seeds", "average", *tasks]), line(["---"] * (3 + len(tasks)))]
    for one in found:
        cells = [one["method"], str(len(one["seeds"])), mean_text(one["average_accuracy"], 2)]
        lines.append(line(cells + [mean_text(one["final"][task], 1) for task in tasks]))
    return lines


def generators(found: Sequence[dict[str, Any]]) -> list[str]:
    """How good the generator's images were after each task."""
    rows = [
        line([one["method"], task, *(mean_text(mean_sem(v), 3) for v in values.values())])
        for one in found
        for task, values in one["quality"].items()
    ]
    header = ["method", "generator after", "KL of the classes (nats)", "Fréchet distance"]
    return [line(header), line(["---"] * 4), *rows] if rows else []


def pictures(runs: Path, name: str) -> list[str]:
    """Samples of the first seed by iteration, the last task's generator, one above another."""
    kept = HERE / "pictures" / f"{name}.png"
    folder = runs / name / "dgr" / "samples"
    if folder.is_dir():
        seed = min(path.name.split("-")[0] for path in folder.iterdir())
        last = json.loads((runs / name / "dgr" / "summary.json").read_text())["tasks"][-1]
        sheets = [Image.open(path) for path in sorted(folder.glob(f"{seed}-{last}-*.png"))]
        strips = [np.asarray(sheet)[: sheet.height * ROWS // COLUMNS] for sheet in sheets]
        kept.parent.mkdir(exist_ok=True)
        Image.fromarray(np.concatenate(strips)).save(kept)
    if not kept.exists():
        return []
    return [f"![samples](pictures/{name}.png)", "Samples of the last task's generator, every 500"]


def main() -> None:
    """Writes RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    options = parser.parse_args()
    parts = [
        "# Results",
        "Made by `results.py` from the runs of `run.sh`. Test accuracy in percent, mean ±"
        " standard error over the seeds.",
    ]
    for name, title in EXPERIMENTS.items():
        found = summaries(options.runs, name)
        parts.append(f"## {title}")
        if not found:
            parts.append("Not run.")
            continue
        parts.append("\n".join(accuracies(found)))
        if rows := generators(found):
            parts.append("\n".join(rows))
        if shown := pictures(options.runs, name):
            parts.append(shown[0])
            parts.append(f"{shown[1]} iterations, from top to bottom.")
    (HERE / "RESULTS.md").write_text("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
