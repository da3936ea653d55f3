"""RESULTS.md and the table of results in README.md, from what is recorded beside the experiments.

    python experiments/results.py

Every figure of ours is read from the JSON files in the folders beside this file, published ones
from the scripts in these folders.
"""

import runpy
from pathlib import Path

from jaxcl.reporting.pages.claims import Section, counts, short_table, text

HERE = Path(__file__).parent
PAGE, README = HERE / "RESULTS.md", HERE.parent / "README.md"
BEGIN, END = "<!-- results -->\n", "<!-- /results -->\n"
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
- *Not comparable* is what was measured in another way, *not run* what no run is recorded of."""


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


def with_results(whole: str, found: list[Section]) -> str:
    """A text with the short table between its two marks.

    Raises:
      ValueError: it does not have each mark once, one after the other.
    """
    before, begin, rest = whole.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in after:
        raise ValueError(f"{BEGIN.strip()} and {END.strip()} must stand there once, in this order")
    return f"{before}{BEGIN}\n{short_table(found, HERE.name)}\n\n{END}{after}"


def main() -> None:
    """Writes RESULTS.md, and the marked part of README.md."""
    found = sections()
    readme = with_results(README.read_text(), found)
    PAGE.write_text(page(found))
    README.write_text(readme)


if __name__ == "__main__":
    main()
