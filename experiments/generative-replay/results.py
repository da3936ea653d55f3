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

from jaxcl.reporting.metrics import average_so_far, mean_sem
from jaxcl.reporting.pages.caption import caption, commit_text
from jaxcl.reporting.pictures.methods import average_curves
from jaxcl.reporting.pictures.panels import Panel, accuracy_panels
from jaxcl.reporting.pictures.style import rendered
from jaxcl.reporting.report import markdown_head, mean_text
from jaxcl.reporting.report import markdown_row as line
from jaxcl.reporting.summary import curves, portable
from jaxcl.runner.resume import events_of

HERE = Path(__file__).parent
CHAIN = "chain"
TRIED = "split-tried"  # in folders that are named after options, not after methods
EXPERIMENTS = {
    CHAIN: "(a) A chain of solvers, each but the first taught by the scholar before it alone",
    "permuted-5": "(b) Permuted MNIST, 5 tasks",
    "permuted-10": "(b) Permuted MNIST, 10 tasks",
    "mnist-mnist-m": "(c) MNIST, then MNIST blended with photographs",
    "mnist-m-mnist": "(c) MNIST blended with photographs, then MNIST",
    "mnist-svhn": "(c) MNIST, then street numbers",
    "svhn-mnist": "(c) Street numbers, then MNIST",
    "mnist-usps": "(c) MNIST, then digits from envelopes (USPS)",
    "usps-mnist": "(c) Digits from envelopes (USPS), then MNIST",
    "mnist-mnist-m-lwf": "(d) MNIST, then MNIST blended with photographs, a head for each",
    "mnist-m-mnist-lwf": "(d) MNIST blended with photographs, then MNIST, a head for each",
    "fashion-mnist-lwf": "(d) Fashion-MNIST, then MNIST, a head for each",
    "cifar10-mnist-lwf": "(d) CIFAR-10, then MNIST, a head for each",
    "permuted-5-lwf-tenth": "(d) Permuted MNIST, 5 tasks, LwF on new or generated images",
    "permuted-5-lwf": "(d) Permuted MNIST, 5 tasks, old responses at ten times the weight",
    "permuted-10-lwf": "(d) Permuted MNIST, 10 tasks, old responses at ten times the weight",
    "split": "(e) Split MNIST, all classes to be told apart",
    TRIED: "(e) What makes it better",
}
ROWS, COLUMNS = 2, 8  # of a picture of samples that are shown
FIGURES = {
    "kl": "KL of the classes (nats)",
    "frechet": "Fréchet distance",
    "floor": "of real images",
}
SHEETS = 8  # such pictures of a generator, at most


def keep(runs: Path, name: str) -> None:
    """Copies the summaries of an experiment beside this file, as they are found."""
    kept = HERE / "summaries" / name
    for found in sorted(runs.glob(f"{name}/*/summary.json")):
        content = portable(json.loads(found.read_text()))
        content |= course((found.parent / "metrics.jsonl").read_text(), content["tasks"])
        kept.mkdir(parents=True, exist_ok=True)
        (kept / f"{found.parent.name}.json").write_text(json.dumps(content) + "\n")


def summaries(name: str) -> list[dict[str, Any]]:
    """The summaries of an experiment beside this file, each with its folder's name."""
    kept = sorted((HERE / "summaries" / name).glob("*.json"))
    return [{**json.loads(path.read_text()), "method": path.stem} for path in kept]


def course(metrics: str, tasks: Sequence[str]) -> dict[str, Any]:
    """What happened on the way.

    Returns:
      ``quality`` task -> figure of its generator's images -> [seed]; ``curves`` task ->
      [seed][epoch of the whole run] -> accuracy; ``ends`` of the tasks, in epochs.
    """
    epochs, _ = events_of(metrics)
    quality: dict[str, dict[str, list[float]]] = {}
    for event in epochs:
        for name in FIGURES:
            if f"quality.{name}" in event.metrics:
                values = quality.setdefault(tasks[event.task_index], {}).setdefault(name, [])
                values.append(event.metrics[f"quality.{name}"])
    # What is not trained in a warm-up is not to make the curves of methods unequally long.
    lines, ends = curves([event for event in epochs if event.phase == "train"], tasks)
    return {"quality": quality, "curves": lines, "ends": ends}


def accuracies(found: Sequence[dict[str, Any]], *, chain: bool) -> list[str]:
    """Method against accuracy of each task at the end, and on average; what the first lost.

    In a chain, all of whose tasks are the same, against that of each solver once it was taught.
    """
    tasks = found[0]["tasks"]
    own = [f"solver {i + 1}" for i in range(len(tasks))] if chain else ["average", *tasks]
    last = "last below first" if chain else f"{tasks[0]} lost"
    header = ["method", "seeds", *own, last, "minutes", "commit"]
    lines = markdown_head(header)
    for one in found:
        # [seed][task learned][task tested]
        accuracy = one["accuracy"]
        cells = [one["method"], str(len(one["seeds"]))]
        if chain:
            solvers = [[rows[i][i] for rows in accuracy] for i in range(len(tasks))]
            cells += [mean_text(mean_sem(values), 2) for values in solvers]
        else:
            cells.append(mean_text(one["average_accuracy"], 2))
            cells += [mean_text(one["final"][task], 1) for task in tasks]
        lost = mean_sem([rows[0][0] - rows[-1][0] for rows in accuracy])
        minutes = np.median([sum(seed.values()) for seed in one["task_seconds"]]) / 60
        cells += [mean_text(lost, 2 if chain else 1), f"{minutes:.0f}", commit_text(one["git"])]
        lines.append(line(cells))
    return lines


def generators(found: Sequence[dict[str, Any]]) -> list[str]:
    """How good the generator's images were after each task, beside held-out real images."""
    rows = [(one["method"], *each) for one in found for each in one["quality"].items()]
    shown = [name for name in FIGURES if any(name in values for _, _, values in rows)]
    header = ["method", "generator after", *(FIGURES[name] for name in shown)]
    lines = markdown_head(header)
    for method, task, values in rows:
        cells = [mean_text(mean_sem(values[f]), 3) if f in values else "" for f in shown]
        lines.append(line([method, task, *cells]))
    return lines if rows else []


def judges(found: Sequence[dict[str, Any]]) -> str:
    """Says who judged the generators' images."""
    tables = [values for one in found for values in one["quality"].values()]
    with_floor = [one for one in tables if "floor" in one]
    one = (
        "KL and Fréchet distance are judged by a classifier of the real images of all tasks, the"
        " same for all methods, seeds and tasks of an experiment; beside them stands the distance"
        " of real images that were held out."
    )
    many = (
        "KL and Fréchet distance are judged by a classifier of the real images of all tasks so"
        " far, another one after each task: they compare methods after the same task, not one"
        " task with the next."
    )
    if not with_floor:
        return many
    return one if len(with_floor) == len(tables) else f"{one} Where that is missing: {many}"


def label(run: str) -> str:
    """A method's name, or the options of a trial in short."""
    return (
        run.replace("generator-lr=", "rate ")
        .replace("replay-temperature=", "T=")
        .replace(",", ", ")
    )


def way(found: Sequence[dict[str, Any]], name: str, title: str) -> str:
    """Draws accuracy as training goes on: of each task if they are two, else on average."""
    file = HERE / "pictures" / f"{name}-accuracy.png"
    if len(found[0]["tasks"]) == 2:
        methods = {one["method"]: one["curves"] for one in found}
        figure = accuracy_panels({title: Panel(methods, found[0]["ends"])}, columns=1)
    else:
        methods = {label(one["method"]): average_so_far(one["accuracy"]) for one in found}
        figure = average_curves(methods, title.partition(",")[0] if name == CHAIN else title)
        if name == CHAIN:  # each of whose solvers has learned the same
            figure.axes[0].set(xlabel="solver", ylabel="test accuracy (%)")
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(rendered(figure, "png"))
    return f"![accuracy](pictures/{file.name})"


def strip(folder: Path, task: str) -> np.ndarray:
    """Samples of the first seed's generator of a task, as it learned from top to bottom."""
    seed = min(path.name.split("-")[0] for path in folder.iterdir())
    sheets = [Image.open(path) for path in sorted(folder.glob(f"{seed}-{task}-*.png"))]
    step = -(-len(sheets) // SHEETS)
    kept = sheets[::-step][::-1]  # the last one always
    return np.concatenate([np.asarray(s)[: s.height * ROWS // COLUMNS] for s in kept])


def pictures(runs: Path, name: str) -> list[str]:
    """Samples of the generators of the first task and of the last, beside each other."""
    for ended in (runs / name).glob("*/summary.json"):
        folder, tasks = ended.parent / "samples", json.loads(ended.read_text())["tasks"]
        if not folder.is_dir():  # a method without a generator
            continue
        for which, task in (("first", tasks[0]), ("last", tasks[-1])):
            kept = HERE / "pictures" / f"{name}-{which}.png"
            kept.parent.mkdir(exist_ok=True)
            Image.fromarray(strip(folder, task)).save(kept)
    shown = [w for w in ("first", "last") if (HERE / "pictures" / f"{name}-{w}.png").exists()]
    if not shown:
        return []
    cells = [
        [f"generator of the {which} task: {ROWS} rows each time, downwards" for which in shown],
        ["---"] * len(shown),
        [f"![samples](pictures/{name}-{which}.png)" for which in shown],
    ]
    return ["\n".join(map(line, cells))]


def main() -> None:
    """Writes RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    options = parser.parse_args()
    for name in EXPERIMENTS:
        keep(options.runs, name)
    parts = [
        "# Results",
        "Made by `results.py` from the runs of `run.sh`. Test accuracy in percent, mean ±"
        " standard error over the seeds; what the first task lost since it was learned in points."
        " Minutes are those of a seed (the median); the commit is the one that they were run at.",
        judges([one for name in EXPERIMENTS for one in summaries(name)]),
    ]
    for name, title in EXPERIMENTS.items():
        found = summaries(name)
        parts.append(f"## {title}")
        if not found:
            parts.append("Not run.")
            continue
        parts.append("\n".join(accuracies(found, chain=name == CHAIN)))
        parts.append(caption(found))
        parts.append(way(found, name, title))
        if rows := generators(found):
            parts.append("\n".join(rows))
        if name != TRIED:
            parts += pictures(options.runs, name)
    (HERE / "RESULTS.md").write_text("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
