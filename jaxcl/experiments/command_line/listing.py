"""What can be run.

Light to import (no JAX), so that the list is there at once.
"""

import inspect
from collections.abc import Iterator

from rich.console import Console

from jaxcl.learner.settings.protocols import SCENARIOS
from jaxcl.methods import METHODS
from jaxcl.networks.choices import NETWORKS
from jaxcl.scenarios.datasets.catalog import BLENDED, FROZEN, NAMES, REGISTERED, SOURCES


def listing(console: Console) -> None:
    """Prints the scenarios, methods, networks and data sets, one line each."""
    parts = {"scenarios": SCENARIOS, "methods": METHODS, "networks": NETWORKS}
    for title, entries in parts.items():
        console.print(title, style="bold")
        for name, entry in entries.items():
            console.print(f"  {name:<18}  {entry.summary}", highlight=False)
    console.print("data sets, for --data", style="bold")
    console.print(f"  {'PATH':<18}  an .npz or .csv file, or a folder of images", highlight=False)
    for name, text in _data_sets():
        console.print(f"  {name:<18}  {text}", highlight=False)


def _data_sets() -> Iterator[tuple[str, str]]:
    """The data sets that have a name, and what there is to say of each."""
    for name in NAMES:
        parts = BLENDED.get(name, ())
        text = f"made of {' and '.join(parts)}" if parts else "built in"
        if name in FROZEN:
            text = f"features of {FROZEN[name].images}, by {FROZEN[name].backbone}"
        yield name, "TensorFlow Datasets" if name in SOURCES else text
    for name, read in REGISTERED.items():
        yield name, (inspect.getdoc(read) or "registered").splitlines()[0].rstrip(".")
