"""Measures jaxcl beside PyTorch, and writes RESULTS.md.

    python experiments/benchmarks/run.py [CASE ...] [--rounds 7] [--data-dir DIR]

Every side runs in a process of its own; they take turns, after a turn to warm up, and
first show that they find the same losses from the same weights.  What is measured is added
to results.json, from which RESULTS.md is made; cases that are not run keep their figures.
"""

import argparse
from pathlib import Path

import end_to_end
from cases import CASES
from report import save, shown
from rich.console import Console
from turns import take

from jaxcl.core.errors import UsageError

WHOLE = 2  # turns of whole programs, which take minutes


def main() -> None:
    """Measures the cases and writes what they took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each side")
    parser.add_argument("--data-dir", type=Path, help="prepared MNIST, for whole programs")
    options = parser.parse_args()
    if unknown := set(options.cases) - set(CASES):
        parser.error(f"CASE: {', '.join(sorted(unknown))}; choose from {', '.join(CASES)}")
    console = Console()
    try:
        measure(options, console)
    except UsageError as error:  # no MNIST, say
        raise SystemExit(f"error: {error}") from None


def measure(options: argparse.Namespace, console: Console) -> None:
    """Measures one case after another; what was measured is kept."""
    for name in options.cases or CASES:
        with console.status(name) as status:
            if name in end_to_end.PROGRAMS:
                given = name, options.data_dir, min(options.rounds, WHOLE), status.update
                turns = end_to_end.take(*given)
            else:
                turns = take(name, CASES[name], options.rounds, status.update)
        save(name, turns)
        console.print(shown(name, CASES[name], turns), highlight=False)


if __name__ == "__main__":
    main()
