"""RESULTS.md and the tables of README.md, from what is recorded beside the experiments.

    python experiments/results.py

Every figure of ours is read from the JSON files in the folders beside this file, published ones
from the scripts in these folders.
"""

import runpy
import sys
from pathlib import Path

from jaxcl.reporting.pages.claims import Section, counts, short_table, text

HERE = Path(__file__).parent
PAGE, README = HERE / "RESULTS.md", HERE.parent / "README.md"
SCRIPTS = {
    "lwf-select/claims.py": ("section", "rendered"),
    "generative-replay/claims.py": ("section",),
    "families/results.py": ("section",),
    "plasticity/results.py": ("section",),
    "frozen/results.py": ("section",),
    "online/results.py": ("section",),
    "parity/results.py": ("section",),
    "split-cifar/results.py": ("section",),
}
"""Script of a folder -> its functions that return a section."""
INTRODUCTION = """\
# What papers claim, and what our runs found

Made by `python experiments/results.py` from the recorded summaries of runs; no figure of ours is \
typed. Ours is the mean over the seeds, ± its standard error where there are two or more; RUNS in \
a command is a folder of your choice, and `python -m jaxcl.experiments.prepare` brings the data \
first.

- Where a figure is published, the verdict is *met* if both means are within two joint standard \
errors, else *above* (better than published) or *below* (worse). A published figure without an \
error is taken as it stands; one seed of ours has the error of the published figure.
- Where a paper says that one thing is better than another, or as good, both figures are ours. \
Then *met* says that the first is better by more than two joint standard errors, or not worse by \
more than that, and *below* that it is not. Between two single seeds, which have no error, any \
difference counts.
- Two joint standard errors are few where there are few seeds: by chance alone the means of three \
seeds and three differ by more in one comparison of eight (Student's t with four degrees of \
freedom), those of many seeds in one of twenty.
- *Not comparable* is what was measured in another way, *not run* what no run is recorded of.
- A published figure that is *recalled* is quoted from memory, one that was *read* from its \
source."""


def sections() -> list[Section]:
    """The claims of every experiment, as its own script has them."""
    found = []
    for script, names in SCRIPTS.items():
        made = runpy.run_path(str(HERE / script))
        found += [made[name]() for name in names]
    return found


def page(found: list[Section]) -> str:
    """RESULTS.md."""
    return "\n\n".join([INTRODUCTION, counts(found), *map(text, found)]) + "\n"


def speed(script: str) -> str:
    """The table of timings that a script of the benchmarks has for the README."""
    folder = str(HERE / "benchmarks")
    sys.path.insert(0, folder)  # its files import one another by their names
    try:
        return runpy.run_path(f"{folder}/{script}")["short_table"]()
    finally:
        sys.path.remove(folder)


def with_table(whole: str, name: str, table: str) -> str:
    """A text with a table between its two marks, ``<!-- name -->`` and ``<!-- /name -->``.

    Raises:
      ValueError: it does not have each mark once, one after the other.
    """
    first, last = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
    before, begin, rest = whole.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end or first in rest or last in after:
        raise ValueError(f"{first.strip()} and {last.strip()} must stand there once, in this order")
    return f"{before}{first}\n{table}\n\n{last}{after}"


def with_tables(whole: str, found: list[Section]) -> str:
    """README.md with its tables made again."""
    whole = with_table(whole, "results", short_table(found, HERE.name))
    whole = with_table(whole, "speed", speed("report.py"))
    return with_table(whole, "programs", speed("references.py"))


def main() -> None:
    """Writes RESULTS.md, and the marked parts of README.md."""
    found = sections()
    readme = with_tables(README.read_text(), found)
    PAGE.write_text(page(found))
    README.write_text(readme)


if __name__ == "__main__":
    main()
