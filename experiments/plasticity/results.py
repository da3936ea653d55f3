"""The table and the picture of RESULTS.md, from the summaries of runs.

    python experiments/plasticity/results.py RUNS

RUNS holds what run.sh wrote.  Runs that are missing are reported as such.  What the table is
made of is copied to ``summaries/`` beside this file.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxcl.reporting.pages.caption import caption
from jaxcl.reporting.pages.claims import Claim, Measured, Place, Section, against_ours
from jaxcl.reporting.pictures.style import WIDTH, looks, rendered, seeds_text, styled
from jaxcl.reporting.report import markdown_head, mean_text, measure_text
from jaxcl.reporting.report import markdown_row as line
from jaxcl.reporting.summary import portable

HERE = Path(__file__).parent
RUNS = {
    "finetune-adam-1e-3": "`finetune`, Adam 1e-3",
    "finetune-adam-3e-3": "`finetune`, Adam 3e-3",
    "finetune-sgd-1e-2": "`finetune`, gradient descent 1e-2",
    "scratch-adam-1e-3": "`finetune`, Adam 1e-3, fresh weights for each task",
    "l2_init-1e-3": "`l2_init`, strength 1e-3, Adam 1e-3",
    "l2_init-1e-4": "`l2_init`, strength 1e-4, Adam 1e-3",
    "shrink_perturb": "`shrink_perturb`, Adam 1e-3",
    "redo": "`redo`, Adam 1e-3",
}
KEPT = ("method", "scenario", "setting", "seeds", "plasticity", "config", "seconds")
KEPT += ("compile_seconds", "versions", "machine", "git")
PLACE, COMMAND = Place("table", "plasticity/RESULTS.md"), "experiments/plasticity/run.sh RUNS"
SMOOTH = 5  # tasks that a point of the picture is the mean of


Summaries = dict[str, dict[str, Any] | None]
SOURCE = """\
What Dohare et al. (2024) and Kumar, Marklund & Van Roy (2024) say in words, as recalled: accuracy \
on the newest task (%), a mean over tasks at one end of the stream against another such mean. \
Their figures are of other lengths and settings, so none stands here."""


def section() -> Section:
    """What is claimed of long streams of tasks, beside what was recorded."""
    found = {name: summary(None, name) for name in RUNS}
    plain = "finetune-adam-1e-3"

    def claim(text: str, *ends: tuple[str, str], better: bool, headline: bool = False) -> Claim:
        ours, other = (_end(found, name, part) for name, part in ends)
        return against_ours(text, ours, other, PLACE, better=better, headline=headline)

    claims = [
        claim(
            f"{RUNS[name]}: first tasks better than last ones",
            (name, "first"),
            (name, "last"),
            better=True,
        )
        for name in (plain, "finetune-adam-3e-3", "finetune-sgd-1e-2")
    ]
    name = "scratch-adam-1e-3"
    text = "fresh weights for each task: last tasks as good as first ones"
    claims.append(claim(text, (name, "last"), (name, "first"), better=False))
    for name in ("l2_init-1e-3", "l2_init-1e-4", "shrink_perturb", "redo"):
        text = f"last tasks: {RUNS[name]}, better than plain Adam"
        first = name == "l2_init-1e-3"
        claims.append(claim(text, (name, "last"), (plain, "last"), better=True, headline=first))
    runs = [one for one in found.values() if one is not None]
    return Section("Loss of plasticity", SOURCE, COMMAND, claims, runs)


def _end(found: Summaries, name: str, part: str) -> Measured | None:
    """Accuracy on the newest task at one end of the stream."""
    one = found[name]
    if one is None:
        return None
    return Measured(one["plasticity"][part]["accuracy"], len(one["seeds"]))


def summary(
    runs: Path | None, name: str, scenario: str = "plasticity-mnist"
) -> dict[str, Any] | None:
    """What is needed of a run's summary, copied beside this file; None if there is none (yet)."""
    found = None if runs is None else runs / name / "summary.json"
    kept = HERE / "summaries" / f"{name}.json"
    if found is not None and found.exists():
        whole = portable(json.loads(found.read_text()))
        if whole["scenario"] != scenario:
            raise SystemExit(f"error: {found}: a run of {whole['scenario']}, not of {scenario}")
        kept.parent.mkdir(parents=True, exist_ok=True)
        parts = [f'"{key}": {json.dumps(whole[key])}' for key in KEPT if key in whole]
        kept.write_text("{\n" + ",\n".join(parts) + "\n}\n")
    return json.loads(kept.read_text()) if kept.exists() else None


def table(found: Summaries) -> list[str]:
    """Accuracy of the newest task at both ends of the stream, and what came with it."""
    heads = ["", "first tasks (%)", "last tasks (%)", "change (points)", "dormant at the end (%)"]
    heads += ["effective rank", "weights, rms", "minutes"]
    lines = markdown_head(heads)
    for name, label in RUNS.items():
        one = found[name]
        if one is None:
            lines.append(line([label, "not run", *[""] * (len(heads) - 2)]))
            continue
        measured = one["plasticity"]
        ends = [mean_text(measured[part]["accuracy"], 2) for part in ("first", "last", "change")]
        others = [measure_text(measured, n, "last") for n in ("dormant", "effective_rank")]
        rms = measure_text(measured, "weight_rms", "last")
        lines.append(line([label, *ends, *others, rms, f"{one['seconds'] / 60:.1f}"]))
    return lines


@styled()
def picture(found: Summaries) -> None:
    """Accuracy of the newest task by its index: means over seeds and some tasks."""
    figure = Figure(figsize=(WIDTH, 5.2), layout="constrained")
    axes = figure.subplots()
    for (name, one), look in zip(found.items(), looks(len(found)), strict=True):
        if one is None:
            continue
        seeds = np.array([seed["accuracy"] for seed in one["plasticity"]["by_task"]])
        width = min(SMOOTH, seeds.shape[1])
        mean = np.convolve(seeds.mean(0), np.ones(width) / width, "valid")
        marked = {**look._asdict(), "markevery": max(1, len(mean) // 10)}
        axes.plot(
            np.arange(len(mean)) + (width + 1) / 2,
            mean,
            label=RUNS[name].replace("`", ""),
            **marked,
        )
    counts = [len(one["seeds"]) for one in found.values() if one is not None]
    title = seeds_text(counts, f"and of {SMOOTH} neighbouring tasks").replace(",\n", " ")
    axes.set(xlabel="task", ylabel="accuracy on the newest task (%)", title=title)
    figure.legend(loc="outside lower center", ncols=2)
    (HERE / "accuracy.png").write_bytes(rendered(figure, "png"))


def main() -> None:
    """Writes RESULTS.md and accuracy.png."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--scenario", default="plasticity-mnist", help="of the runs")
    options = parser.parse_args()
    found = {name: summary(options.runs, name, options.scenario) for name in RUNS}
    known = [one for one in found.values() if one is not None]
    parts = [
        "# Results",
        "Made by `results.py` from the summaries of runs; the commands stand in `run.sh`.",
        "## Accuracy on the newest task, as training left it",
        "Mean ± standard error over the seeds; the change is that of each seed. Dormant units, the"
        " effective rank of the features and the size of the weights are those of the last tasks;"
        " minutes are those of all seeds.",
        "\n".join(table(found)),
        *(f"Each end is a mean over {n} tasks." for n in {o["plasticity"]["tasks"] for o in known}),
        caption(known),
    ]
    if known:
        picture(found)
        parts.append("![accuracy by task](accuracy.png)")
    (HERE / "RESULTS.md").write_text("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
