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

from jaxcl import plots
from jaxcl.comparison import average_so_far
from jaxcl.metrics import mean_sem
from jaxcl.past import events_of
from jaxcl.report import markdown_row as line
from jaxcl.report import mean_text
from jaxcl.summary import curves, portable

HERE = Path(__file__).parent
EXPERIMENTS = {
    "chain": "(a) A chain of solvers, each but the first taught by the scholar before it alone",
    "permuted-5": "(b) Permuted MNIST, 5 tasks",
    "permuted-10": "(b) Permuted MNIST, 10 tasks",
    "mnist-mnist-m": "(c) MNIST, then MNIST blended with photographs",
    "mnist-m-mnist": "(c) MNIST blended with photographs, then MNIST",
    "mnist-mnist-m-lwf": "(d) MNIST, then MNIST blended with photographs, a head for each",
    "mnist-m-mnist-lwf": "(d) MNIST blended with photographs, then MNIST, a head for each",
    "mnist-m-mnist-lwf-weak": "(d) The same, the old responses with a weight of 0.03 in place of 1",
    "split": "(e) Split MNIST, all classes to be told apart",
}
ROWS, COLUMNS = 2, 8  # of a picture of samples that are shown


def summaries(runs: Path, name: str) -> list[dict[str, Any]]:
    """The summaries of an experiment, copied beside this file as they are found."""
    kept = HERE / "summaries" / name
    for found in sorted(runs.glob(f"{name}/*/summary.json")):
        content = portable(json.loads(found.read_text()))
        content |= course((found.parent / "metrics.jsonl").read_text(), content["tasks"])
        kept.mkdir(parents=True, exist_ok=True)
        (kept / f"{found.parent.name}.json").write_text(json.dumps(content) + "\n")
    return [json.loads(path.read_text()) for path in sorted(kept.glob("*.json"))]


def course(metrics: str, tasks: Sequence[str]) -> dict[str, Any]:
    """What happened on the way.

    Returns:
      ``quality`` task -> figure of its generator's images -> [seed]; ``curves`` task ->
      [seed][epoch of the whole run] -> accuracy; ``ends`` of the tasks, in epochs.
    """
    epochs, _ = events_of(metrics)
    quality: dict[str, dict[str, list[float]]] = {}
    for event in epochs:
        for name in ("kl", "frechet"):
            if f"quality.{name}" in event.metrics:
                values = quality.setdefault(tasks[event.position], {}).setdefault(name, [])
                values.append(event.metrics[f"quality.{name}"])
    # What is not trained in a warm-up is not to make the curves of methods unequally long.
    lines, ends = curves([event for event in epochs if event.phase == "train"], tasks)
    return {"quality": quality, "curves": lines, "ends": ends}


def accuracies(found: Sequence[dict[str, Any]]) -> list[str]:
    """Method against accuracy of each task at the end, and on average; what the first lost."""
    tasks = found[0]["tasks"]
    header = ["method", "seeds", "average", *tasks, f"{tasks[0]} lost", "minutes"]
    lines = [line(header), line(["---"] * len(header))]
    for one in found:
        cells = [one["method"], str(len(one["seeds"])), mean_text(one["average_accuracy"], 2)]
        cells += [mean_text(one["final"][task], 1) for task in tasks]
        lost = mean_sem([seed[0][0] - seed[-1][0] for seed in one["accuracy"]])
        minutes = np.median([sum(seed.values()) for seed in one["task_seconds"]]) / 60
        lines.append(line([*cells, mean_text(lost, 1), f"{minutes:.0f}"]))
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


def way(found: Sequence[dict[str, Any]], name: str, title: str) -> str:
    """Draws accuracy as training goes on: of each task if they are two, else on average."""
    file = HERE / "pictures" / f"{name}-accuracy.png"
    if len(found[0]["tasks"]) == 2:
        methods = {one["method"]: one["curves"] for one in found}
        picture = plots.accuracy_panels({title: (methods, found[0]["ends"])})
    else:
        methods = {one["method"]: average_so_far(one["accuracy"]) for one in found}
        picture = plots.average_curves(methods, title)
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(picture)
    return f"![accuracy](pictures/{file.name})"


def pictures(runs: Path, name: str) -> list[str]:
    """Samples of the first seed by iteration, the last task's generator, one above another."""
    kept = HERE / "pictures" / f"{name}.png"
    for ended in (runs / name).glob("*/summary.json"):
        folder, last = ended.parent / "samples", json.loads(ended.read_text())["tasks"][-1]
        if not folder.is_dir():  # a method without a generator
            continue
        seed = min(path.name.split("-")[0] for path in folder.iterdir())
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
        " standard error over the seeds; what the first task lost since it was learned in points."
        " Minutes are those of a seed (the median) on one core of a"
        " CPU, beside other work.",
    ]
    for name, title in EXPERIMENTS.items():
        found = summaries(options.runs, name)
        parts.append(f"## {title}")
        if not found:
            parts.append("Not run.")
            continue
        parts.append("\n".join(accuracies(found)))
        parts.append(way(found, name, title))
        if rows := generators(found):
            parts.append("\n".join(rows))
        if shown := pictures(options.runs, name):
            parts.append(shown[0])
            parts.append(f"{shown[1]} iterations, from top to bottom.")
    (HERE / "RESULTS.md").write_text("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
