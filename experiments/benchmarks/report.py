"""From turns to figures: results.json, and the tables of RESULTS.md."""

import json
import platform
import statistics
from collections.abc import Iterable
from datetime import date
from importlib import metadata
from pathlib import Path

from cases import CASES, Measured
from turns import Turns

from jaxcl.core import runtime

HERE = Path(__file__).parent
FILE = HERE / "results.json"


def median(turns: Iterable[dict[str, float]], what: str) -> float:
    """The middle of what turns took."""
    return statistics.median(turn[what] for turn in turns)


def fastest_peer(turns: Turns) -> str:
    """The form of the other side's program that took the least time."""
    return min((side for side in turns if side != "jaxcl"), key=lambda s: median(turns[s], "wall"))


def ratios(turns: Turns, what: str) -> list[float]:
    """Theirs / ours, pair by pair."""
    peer = turns[fastest_peer(turns)]
    return [b[what] / a[what] for a, b in zip(turns["jaxcl"], peer, strict=True)]


def text(seconds: float) -> str:
    """A time with the unit that suits it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def row(name: str, case: Measured, turns: Turns) -> list[str]:
    """A line of the table."""
    peer = fastest_peer(turns)
    wall, cpu = ratios(turns, "wall"), ratios(turns, "cpu")
    ours, theirs = turns["jaxcl"], turns[peer]
    peak = [max(turn["peak_mib"] for turn in of) for of in (ours, theirs)]
    return [
        case.title,
        f"{text(median(ours, 'wall') / case.turn)} / {case.unit}",
        f"{text(median(theirs, 'wall') / case.turn)}{' (compiled)' if 'compiled' in peer else ''}",
        f"**{statistics.median(wall):.2f}** ({min(wall):.2f} to {max(wall):.2f})",
        f"{statistics.median(cpu):.2f}",
        f"{peak[0]:.0f} / {peak[1]:.0f} MiB",
        str(len(wall)),
    ]


SHORT = (
    "cnn-lwf",
    "resnet20-10",
    "resnet20-32",
    "resnet64-32",
    "si",
    "replay",
    "gan",
    "fisher-cnn",
    "start",
)
"""Cases of the README: some that are faster, and all that are slower."""
HEADER = ["case", "jaxcl", "PyTorch", "PyTorch / jaxcl", "CPU seconds, PyTorch / jaxcl"]
HEADER += ["peak memory, jaxcl / PyTorch", "turns"]


def shown(name: str, case: Measured, turns: Turns) -> str:
    """A line for the screen."""
    return " · ".join(row(name, case, turns)).replace("**", "")


def machine() -> str:
    """What it was measured on."""
    found = runtime.machine()
    if found["accelerator"] is not None:
        return f"{found['accelerators']} {found['accelerator']}"
    return f"{found['cores']} cores of {found['cpu'] or platform.machine()}"


def save(name: str, turns: Turns) -> None:
    """Adds a case to results.json and writes RESULTS.md again."""
    results = json.loads(FILE.read_text()) if FILE.exists() else {}
    versions = {package: metadata.version(package) for package in ("jax", "torch")}
    entry = {"date": date.today().isoformat(), "versions": versions, "turns": turns}
    results.setdefault(machine(), {})[name] = entry
    FILE.write_text(json.dumps(results, indent=1) + "\n")
    (HERE / "RESULTS.md").write_text(page(results))


def page(results: dict) -> str:
    """RESULTS.md: a table for each machine."""
    parts = [
        "# jaxcl beside PyTorch\n\nWritten by `python experiments/benchmarks/run.py`. Times are"
        " medians of turns, ratios are of neighbouring turns: median, lowest and highest.\n"
    ]
    for where, cases in results.items():
        versions = {f"{p} {v}" for e in cases.values() for p, v in e["versions"].items()}
        dates = sorted({entry["date"] for entry in cases.values()})
        when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
        parts.append(f"\n## {where}\n\n{', '.join(sorted(versions))}; {when}.\n\n")
        rows = [row(n, case, cases[n]["turns"]) for n, case in CASES.items() if n in cases]
        lines = [HEADER, ["---"] * len(HEADER), *rows]
        parts += [f"| {' | '.join(cells)} |\n" for cells in lines]
    if not any("core" not in where for where in results):
        parts.append("\n## Accelerators\n\n`gpu.py` measures one GPU: [GPU.md](GPU.md).\n")
    return "".join(parts)


def short_table() -> str:
    """The table of the README: some cases on the first machine, with their ratios alone."""
    where, cases = next(iter(json.loads(FILE.read_text()).items()))
    rows = [row(name, CASES[name], cases[name]["turns"])[:4] for name in SHORT]
    head = HEADER[:4]
    head[0] += f", {where}"
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
