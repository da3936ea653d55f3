"""Whole programs of others beside jaxcl's command, from start to exit, in turn.

    python experiments/benchmarks/references.py --data-dir DIR \\
        --van-de-ven "PYTHON FOLDER/main.py" --mammoth "PYTHON FOLDER/main.py" --avalanche PYTHON

Each program is fetched and installed by you: van de Ven's continual-learning and Mammoth are run
by the commands that start them, Avalanche by a Python that has ``avalanche-lib``.  What
is not given is left out and keeps its figures.  MNIST is written where torchvision looks for it;
Mammoth finds CIFAR-10 at ``--mammoth-data``.  Every case begins with a run of jaxcl without
compiled programs, its first start; then the programs take turns.  Accuracies are of the
class setting, in percent, after all tasks.  Writes ``references.json`` and ``references.md``.
"""

import argparse
import json
import os
import re
import shlex
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from end_to_end import timed
from report import machine, median, text
from rich.console import Console

HERE = Path(__file__).parent
FILE = HERE / "references.json"
# As the others have it, all classes are among the outputs from the start.
MNIST = ["--scenario=split-mnist", "--heads=full"]
SIDES = ("first", "jaxcl", "reference")
EPOCHS = ["--epochs=21"]  # about 2,000 steps a task, as Avalanche counts them


class Reference(NamedTuple):
    """A program to be measured.

    Attributes:
      title: what is learned by which code.
      program: the option that says how it is started.
      theirs: further arguments of it.
      ours: arguments of the scenario command.
      says: where its output says the accuracy; the first group, the last time it is found.
      percent: what a value of 1 there means, 1 or 100.
    """

    title: str
    program: str
    theirs: list[str]
    ours: list[str]
    says: str = r"average accuracy over all 5 contexts: ([\d.]+)"
    percent: float = 100


def _of_van_de_ven(name: str, theirs: list[str], method: str) -> Reference:
    given = ["--experiment=splitMNIST", "--scenario=class", "--no-save", *theirs]
    title = f"split MNIST, {name}: van de Ven's continual-learning, its usual values"
    return Reference(title, "van_de_ven", given, [*MNIST, f"--method={method}"])


def _of_avalanche(name: str, method: str) -> Reference:
    title = f"split MNIST, {name}: Avalanche, 21 epochs a task"
    said = r"accuracy ([\d.]+)"
    return Reference(title, "avalanche", [method], [*MNIST, f"--method={method}", *EPOCHS], said)


DGR = "DGR (his generator a VAE, ours a WGAN-GP)"
CASES = {
    "van-de-ven-er": _of_van_de_ven("ER", ["--replay=buffer"], "er"),
    "van-de-ven-ewc": _of_van_de_ven("EWC", ["--ewc"], "ewc"),
    "van-de-ven-si": _of_van_de_ven("SI", ["--si"], "si"),
    "van-de-ven-lwf": _of_van_de_ven("LwF", ["--lwf"], "lwf"),
    "van-de-ven-dgr": _of_van_de_ven(DGR, ["--replay=generative"], "dgr"),
    "avalanche-er": _of_avalanche("ER", "er"),
    "avalanche-ewc": _of_avalanche("EWC (its Fisher squares gradients of batches)", "ewc"),
    "mammoth-er": Reference(
        "split CIFAR-10, ResNet-18 of width 20, ER, 1 epoch: Mammoth",
        "mammoth",
        [
            *("--dataset=seq-cifar10", "--model=er", "--lr=0.1", "--buffer_size=200"),
            *("--minibatch_size=32", "--batch_size=32", "--n_epochs=1", "--num_workers=0"),
            "--backbone=reduced-resnet18",
        ],
        ["--scenario=split-cifar10", "--width=20", "--epochs=1", "--method=er"],
        r"Accuracy for 5 task\(s\):\s+\[Class-IL\]: ([\d.]+)",
        1,
    ),
}


def write_mnist(folder: Path, data_dir: Path | None) -> None:
    """Writes MNIST as the files that torchvision's class reads."""
    from jaxcl.scenarios.datasets import sources

    task, raw = sources.load("mnist", data_dir, lambda text: None), folder / "MNIST/MNIST/raw"
    raw.mkdir(parents=True)
    for part, name in (("train", "train"), ("test", "t10k")):
        images, labels = getattr(task, f"{part}_inputs"), getattr(task, f"{part}_labels")
        for array, kind in ((images[..., 0], "images-idx3"), (labels, "labels-idx1")):
            sizes = np.array(array.shape, ">i4").tobytes()
            head = bytes([0, 0, 8, array.ndim]) + sizes
            (raw / f"{name}-{kind}-ubyte").write_bytes(head + array.astype(np.uint8).tobytes())


def command_of(reference: Reference, options: argparse.Namespace, folder: Path) -> list[str]:
    """How the other program is started."""
    start = shlex.split(getattr(options, reference.program))
    if reference.program == "van_de_ven":
        places = [f"--{kind}-dir={folder / kind}" for kind in ("model", "plot", "results")]
        return [*start, *reference.theirs, f"--data-dir={folder}", *places]
    if reference.program == "avalanche":
        return [*start, str(HERE / "torch_avalanche.py"), *reference.theirs, str(folder / "MNIST")]
    return [*start, *reference.theirs, f"--base_path={options.mammoth_data}/"]


def take(
    reference: Reference, options: argparse.Namespace, said: Callable[[str], None]
) -> dict[str, Any]:
    """Runs both in turn; what each turn took, and the accuracies."""
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_mnist(folder, options.data_dir)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")  # so that nothing is compiled yet
        theirs = command_of(reference, options, folder)
        ours = [sys.executable, "-m", "jaxcl.experiments.scenario", "--setting=class"]
        ours += [*reference.ours, "--checkpoint-every=100000"]
        ours += ["--data-dir", str(options.data_dir)] if options.data_dir else []
        for number in range(options.rounds + 1):
            said(f"turn {number} of {options.rounds}, jaxcl")
            out = folder / str(number)
            took, _ = timed([*ours, "--out", str(out)])
            reached = json.loads((out / "summary.json").read_text())["average_accuracy"]["mean"]
            found["jaxcl" if number else "first"].append({**took, "accuracy": reached})
            if number:
                said(f"turn {number} of {options.rounds}, the reference")
                took, printed = timed(["sh", "-c", f"exec {shlex.join(theirs)} 2>&1"])
                reached = float(re.findall(reference.says, printed)[-1]) * reference.percent
                found["reference"].append({**took, "accuracy": reached})
    about = {"date": date.today().isoformat(), "machine": machine(), "options": reference.ours}
    return {**about, **found}


def added(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Adds turns to the recorded ones; drops recorded ones of another machine or other options."""
    if any(before[name] != now[name] for name in ("machine", "options")):
        return now
    return {**now, **{side: before[side] + now[side] for side in SIDES}}


HEADER = [
    *("case", "jaxcl", "first start", "reference", "reference / jaxcl", "of the first start"),
    *("CPU seconds", "accuracy, jaxcl", "reference", "options of jaxcl"),
]
SHORT = (0, 1, 3, 4, 7, 8, 9)
"""Columns of the README."""


def row(reference: Reference, case: dict[str, Any] | None) -> list[str]:
    """A line of the table."""
    if case is None:
        return [reference.title, *["not measured"] * (len(HEADER) - 1)]
    wall, cpu, accuracy = (
        {side: median(case[side], what) for side in SIDES} for what in ("wall", "cpu", "accuracy")
    )
    pairs = zip(case["jaxcl"], case["reference"], strict=True)
    ratios = [b["wall"] / a["wall"] for a, b in pairs]
    spread = f" ({min(ratios):.2f} to {max(ratios):.2f})" if len(ratios) > 1 else ""
    return [
        reference.title,
        *(text(wall[side]) for side in ("jaxcl", "first", "reference")),
        f"**{statistics.median(ratios):.2f}**{spread}",
        f"{wall['reference'] / wall['first']:.2f}",
        f"{cpu['reference'] / cpu['jaxcl']:.2f}",
        *(f"{accuracy[side]:.1f} %" for side in ("jaxcl", "reference")),
        f"`{' '.join(case['options'])}`",
    ]


def table(results: dict[str, Any], columns: Sequence[int] = range(len(HEADER))) -> str:
    """The cases and what they took; those that were not measured say so."""
    rows = [row(reference, results.get(name)) for name, reference in CASES.items()]
    lines = [HEADER, ["---"] * len(HEADER), *rows]
    return "\n".join(f"| {' | '.join(cells[i] for i in columns)} |" for cells in lines)


def short_table() -> str:
    """The table of the README."""
    return table(json.loads(FILE.read_text()), SHORT)


def page(results: dict[str, Any]) -> str:
    """The table, and how it was measured."""
    where = sorted({f"{case['machine']}, {case['date']}" for case in results.values()})
    several = {len(case["jaxcl"]) for case in results.values()} - {1}
    turns = " or ".join(map(str, sorted(several))) or "several"
    return (
        "# jaxcl beside the programs of others\n\nWritten by `python experiments/benchmarks/"
        "references.py`: whole programs, from start to exit, in turn, one seed of the class"
        " setting. *First start*: nothing is compiled yet; a ratio without a range is of a single"
        f" turn, the others of {turns}. The versions of the others stand in [NOTES.md](NOTES.md#"
        f"programs-of-others). {'; '.join(where)}.\n\n{table(results)}\n"
    )


def main() -> None:
    """Measures what is given and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}")
    parser.add_argument("--data-dir", type=Path, help="prepared MNIST and CIFAR-10, for jaxcl")
    parser.add_argument("--van-de-ven", help="command that starts his program")
    parser.add_argument("--mammoth", help="command that starts Mammoth")
    parser.add_argument("--mammoth-data", type=Path, help="folder that holds CIFAR10/")
    parser.add_argument("--avalanche", help="a Python that has avalanche-lib")
    parser.add_argument("--rounds", type=int, default=1, help="turns that count")
    parser.add_argument("--add", action="store_true", help="keep the turns that are recorded")
    options = parser.parse_args()
    if unknown := set(options.cases) - set(CASES):
        parser.error(f"CASE: {', '.join(sorted(unknown))}; choose from {', '.join(CASES)}")
    console = Console()
    for name in options.cases or CASES:
        if getattr(options, CASES[name].program) is None:
            continue
        with console.status(name) as status:
            taken = take(CASES[name], options, lambda t, n=name: status.update(f"{n}: {t}"))
        results = json.loads(FILE.read_text()) if FILE.exists() else {}
        if options.add and name in results:
            taken = added(results[name], taken)
        FILE.write_text(json.dumps({**results, name: taken}, indent=1) + "\n")
        (HERE / "references.md").write_text(page({**results, name: taken}))
        console.print(name, taken, highlight=False)


if __name__ == "__main__":
    main()
