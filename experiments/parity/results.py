"""The table of RESULTS.md, from our summaries and Mammoth's logs.

    python experiments/parity/results.py RUNS

RUNS holds what run.sh and mammoth.sh wrote.  Runs that are missing are reported as such.  What
the table is made of is copied to ``summaries/`` and ``mammoth.json`` beside this file.
"""

import argparse
import json
import re
from pathlib import Path
from typing import Any

from jaxcl.reporting.metrics import mean_sem, verdict
from jaxcl.reporting.pages.caption import caption
from jaxcl.reporting.pages.claims import Place, Section, against_figure, average
from jaxcl.reporting.report import markdown_head, mean_text
from jaxcl.reporting.report import markdown_row as line
from jaxcl.reporting.summary import recorded

HERE = Path(__file__).parent
METHODS = {
    "finetune": "finetune",
    "er": "er",
    "er_apart": "er",
    "der_pp": "der_pp",
    "er_ace": "er_ace",
}
"""Run of ours -> method of Mammoth that it stands beside."""
FINAL = re.compile(r"Accuracy for 5 task\(s\):\s+\[Class-IL\]: ([\d.]+) %")
TASKS = re.compile(r"Raw accuracy values: Class-IL \[([^\]]*)\]")


SOURCE = """\
Figures of Mammoth, the code of Buzzega et al. (2020), measured here with its methods unchanged: \
accuracy on all classes of split CIFAR-10 after one epoch a task (%)."""
COMMAND = "experiments/parity/mammoth.sh RUNS MAMMOTH && experiments/parity/run.sh RUNS"
PEER = HERE / "mammoth.json"


def summary(runs: Path | None, method: str) -> dict[str, Any] | None:
    """A run's summary, copied beside this file; None if there is none (yet)."""
    return recorded(runs and runs / "jaxcl" / method, HERE / "summaries" / f"{method}.json")


def summaries(runs: Path | None) -> list[dict[str, Any]]:
    """Our runs that there are."""
    return [found for method in METHODS if (found := summary(runs, method)) is not None]


def section() -> Section:
    """Each method in both programs, as far as it was recorded."""
    place = Place("table", "parity/RESULTS.md")
    claims = []
    for method, other in METHODS.items():
        peer = json.loads(PEER.read_text())["accuracy"] if PEER.exists() else {}
        theirs = mean_sem(list(peer.get(other, {}).values()))
        figure = None if theirs["mean"] is None else (theirs["mean"], theirs["sem"])
        ours = average(summary(None, method))
        claims.append(against_figure(f"`{method}`", ours, figure, place))
    return Section("Beside Mammoth", SOURCE, COMMAND, claims, summaries(None))


def mammoth(runs: Path) -> dict[str, Any]:
    """Final accuracies of Mammoth's runs by method and seed, kept beside this file."""
    kept = json.loads(PEER.read_text()) if PEER.exists() else {"commit": None, "accuracy": {}}
    for log in sorted(runs.glob("mammoth/*.log")):
        method, _, seed = log.stem.rpartition("-")
        text = log.read_text(errors="replace")
        if not FINAL.search(text):
            raise SystemExit(f"{log}: no accuracy after five tasks; move it away and run it again")
        tasks = [float(part) for part in TASKS.findall(text)[-1].split(",")]
        kept["accuracy"].setdefault(method, {})[seed] = sum(tasks) / len(tasks)
    commit = runs / "mammoth/commit"
    if commit.exists():
        kept["commit"] = commit.read_text().strip()
    PEER.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    return kept


def table(runs: Path, peer: dict[str, Any]) -> list[str]:
    """Each method in both, and whether they agree."""
    head = ["method", "jaxcl", "Mammoth", "seeds", "difference", "verdict"]
    lines = markdown_head(head)
    for method, other in METHODS.items():
        ours = summary(runs, method)
        found = list(peer["accuracy"].get(other, {}).values())
        theirs = mean_sem(found)
        cells = ["not run" if ours is None else mean_text(ours["average_accuracy"], 2)]
        cells.append("not run" if theirs["mean"] is None else mean_text(theirs, 2))
        cells.append(f"{0 if ours is None else len(ours['seeds'])} / {len(found)}")
        if ours is not None and theirs["mean"] is not None and theirs["sem"] is not None:
            mean = ours["average_accuracy"]
            cells.append(f"{mean['mean'] - theirs['mean']:+.2f}")
            cells.append(verdict(mean, (theirs["mean"], theirs["sem"])))
        lines.append(line([method, *cells, *[""] * (5 - len(cells))]))
    return lines


def main() -> None:
    """Writes RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    options = parser.parse_args()
    peer = mammoth(options.runs)
    commit = peer["commit"]
    parts = [
        "# Results",
        "Made by `results.py` from our summaries and Mammoth's logs; the commands stand in"
        " `run.sh` and `mammoth.sh`." + (f" Mammoth is at {commit}." if commit else ""),
        "## Split CIFAR-10, one epoch a task: average accuracy on all classes (%)",
        "Mean ± standard error over the seeds; *met* where both means are within two joint"
        " standard errors.",
        "\n".join(table(options.runs, peer)),
        f"Ours: {caption(summaries(options.runs))}",
    ]
    (HERE / "RESULTS.md").write_text("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
