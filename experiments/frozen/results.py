"""The table of RESULTS.md, from the summaries of runs.

    python experiments/frozen/results.py RUNS

RUNS holds what run.sh wrote.  Runs that are missing are reported as such.  What the table is
made of is copied to ``summaries/`` beside this file.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from jaxcl.reporting.pages.caption import caption
from jaxcl.reporting.pages.claims import Measured, Place, Section, against_ours, measured
from jaxcl.reporting.report import markdown_head
from jaxcl.reporting.report import markdown_row as line
from jaxcl.reporting.summary import recorded

HERE = Path(__file__).parent
METHODS, ORDERS = ("ncm", "slda", "ranpac", "ranpac-fixed"), range(10)
RANPAC = METHODS[2:]
OF_ALPHABETS = METHODS[:3]

PLACE, COMMAND = Place("table", "frozen/RESULTS.md"), "experiments/frozen/run.sh RUNS"
SOURCE = """\
`ncm`, `slda` and `ranpac` on features of CIFAR-100: what follows from their definitions, and what \
McDonnell et al. (2023), who introduce `ranpac`, say of it, as recalled. They have other features, \
so none of their figures stands here. Seeds are orders of the classes; the random features of \
`ranpac` are the same in all of them, so the error does not tell what others would give."""


def summary(runs: Path | None, folder: str, method: str) -> dict[str, Any] | None:
    """A run's summary, copied beside this file; None if there is none (yet)."""
    kept = HERE / "summaries" / folder / f"{method}.json"
    return recorded(runs and runs / folder / method, kept)


def summaries(runs: Path | None, method: str) -> list[dict[str, Any]]:
    """A method's runs, one for each order there is."""
    found = [summary(runs, f"order-{order}", method) for order in ORDERS]
    return [each for each in found if each is not None]


def section() -> Section:
    """What is claimed of these methods, beside what was recorded."""
    runs = {method: summaries(None, method) for method in METHODS}
    # An accuracy of 10,000 images is a multiple of a hundredth; the rest is rounding.
    values = {m: [round(s["average_accuracy"]["mean"], 2) for s in runs[m]] for m in METHODS}
    ours = {method: measured(values[method]) for method in METHODS}
    claims = [
        against_ours(
            f"`{m}`: accuracy is the same in the worst order as in the best",
            _same(values[m], min),
            _same(values[m], max),
            PLACE,
            better=False,
        )
        for m in METHODS
    ]
    claims += [
        against_ours(
            f"`{m}`: task after task as good as ridge regression on all images at once",
            ours[m],
            _at_once(m, ours[m]),
            PLACE,
            better=False,
        )
        for m in RANPAC
    ]
    claims += [
        against_ours("`slda` is better than `ncm`", ours["slda"], ours["ncm"], PLACE, better=True),
        against_ours(
            "`ranpac` is better than `ncm`", ours["ranpac"], ours["ncm"], PLACE, better=True
        ),
    ]
    every = [one for method in METHODS for one in runs[method]]
    return Section("Features that stay", SOURCE, COMMAND, claims, every)


def _solutions() -> dict[str, Any]:
    """What ``ridge.py`` wrote; nothing if it did not (yet)."""
    file = HERE / "ridge.json"
    return json.loads(file.read_text()) if file.exists() else {}


def _at_once(method: str, ours: Measured | None) -> Measured | None:
    """Ridge regression with a method's features and lambda; there are no seeds in it."""
    found = _solutions().get(method)
    if found is None or ours is None:
        return None
    return Measured({"mean": round(found["accuracy"], 2), "sem": None}, ours.seeds)


def _same(values: list[float], which: Callable[[list[float]], float]) -> Measured | None:
    """The lowest or the highest of several orders; None if there are not two of them."""
    return Measured({"mean": which(values), "sem": None}, len(values)) if len(values) > 1 else None


def methods(runs: Path) -> list[str]:
    """Accuracy on all classes after the last task, with the classes in ten orders."""
    heads = ["method", "orders", "mean", "standard deviation", "lowest", "highest"]
    lines = markdown_head([*heads, "forgetting", "seconds a run", "MB kept"])
    for method in METHODS:
        there = summaries(runs, method)
        values = [s["average_accuracy"]["mean"] for s in there]
        cells = [f"{len(there)} of {len(ORDERS)}"]
        if there:
            kept = max(there[0]["state_bytes"][0].values()) / 1e6
            seconds = np.mean([s["seconds"] for s in there])
            forgetting = np.mean([s["forgetting"]["mean"] for s in there])
            cells += [f"{np.mean(values):.2f}", f"{np.std(values):.4f}"]
            cells += [f"{min(values):.2f}", f"{max(values):.2f}", f"{forgetting:.2f}"]
            cells += [f"{seconds:.0f}", f"{kept:.1f}"]
        lines.append(line([method, *cells, *["not run"] * (8 - len(cells))]))
    return lines


def alphabets(runs: Path) -> list[str]:
    """Accuracy on the characters of Omniglot after the last alphabet, in one order of these."""
    heads = [
        "method",
        "average accuracy",
        "anytime accuracy",
        "forgetting",
        "seconds a run",
        "MB kept",
    ]
    lines = markdown_head(heads)
    for method in OF_ALPHABETS:
        found, cells = summary(runs, "omniglot", method), ["not run"] * 5
        if found is not None:
            names = ("average_accuracy", "anytime_accuracy", "forgetting")
            cells = [f"{found[name]['mean']:.2f}" for name in names]
            kept = max(found["state_bytes"][0].values()) / 1e6
            cells += [f"{found['seconds']:.0f}", f"{kept:.1f}"]
        lines.append(line([method, *cells]))
    return lines


def ridge() -> list[str]:
    """Ridge regression on everything at once, and how far the runs are from it."""
    found = _solutions()
    if not found:
        return ["not run"]
    heads = ["ridge regression on all tasks at once", "lambda", "accuracy"]
    lines = markdown_head([*heads, "weights of the runs, in any order"])
    for name, one in found.items():
        what = "the features" if name == "features" else f"random features of `{name}`"
        orders = one.get("apart", {}).values()
        apart = f"within {max(orders):.1e} of their norm ({len(orders)} orders)" if orders else "-"
        lines.append(line([what, f"{one['ridge']:g}", f"{one['accuracy']:.2f}", apart]))
    return lines


def main() -> None:
    """Writes RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    options = parser.parse_args()
    parts = [
        "# Results",
        "Made by `results.py` from the summaries of runs; the commands stand in README.md.",
        "## Features of CIFAR-100, ten classes at a time: accuracy on all 100 after the last (%)",
        "\n".join(methods(options.runs)),
        caption([each for method in METHODS for each in summaries(options.runs, method)]),
        "## The same features, all at once (%)",
        "\n".join(ridge()),
        "## Features of Omniglot, an alphabet at a time, all 1,623 characters told apart (%)",
        "The mean over the 50 alphabets. Each character has 16 drawings to learn from and 4"
        " to be tested on.",
        "\n".join(alphabets(options.runs)),
        caption([s for m in OF_ALPHABETS if (s := summary(options.runs, "omniglot", m))]),
    ]
    (HERE / "RESULTS.md").write_text("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
