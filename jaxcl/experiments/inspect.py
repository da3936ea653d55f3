"""What can be run, and what a run would do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from rich.console import Console
from rich.table import Table

from jaxcl.checkpointing.config_file import to_toml
from jaxcl.core.types import PRNGKey
from jaxcl.growth.parameters import count
from jaxcl.learner.config import Config
from jaxcl.learner.protocols import SCENARIOS, scenario_of
from jaxcl.methods import METHODS
from jaxcl.scenarios.datasets import sources, tfds
from jaxcl.scenarios.images import SIDE

RGB = (32, 32, 3)
IMAGES = {
    "mnist": (28, 28, 1), "fashion_mnist": (28, 28, 1), "mnist_m": (28, 28, 3),
    "digits": (8, 8, 1), "digits_m": (8, 8, 3),
}  # fmt: skip
"""Data sets of which a scenario is made, and that have images of another shape."""


def listing(console: Console) -> None:
    """Prints the scenarios and methods, one line each."""
    for title, entries in (("scenarios", SCENARIOS), ("methods", METHODS)):
        console.print(title, style="bold")
        for name, entry in entries.items():
            console.print(f"  {name:<18}  {entry.summary}", highlight=False)


def dry_run(console: Console, config: Config, out: Path) -> None:
    """Prints the settings, the size of the network and whether the data is there."""
    console.print("settings", style="bold")
    console.print(to_toml(config).rstrip(), highlight=False)
    console.print(f"out = {str(out)!r}", highlight=False)
    scenario = scenario_of(config.scenario)
    table = Table(title="parameters of the first task's network")
    table.add_column("part")
    table.add_column("weights", justify="right")
    net, key = (
        config.network.make(image_shape(config), columns=config.method.columns),
        jax.random.key(0),
    )
    shapes: dict[str, Any] = {
        layer: _shapes(net.new_branch, key, layer, ()).params for layer in net.layers
    }
    shapes |= {name: tree for name, tree in _shapes(net.init, key).params.items() if tree}
    shapes |= {"a head of 10 classes": _shapes(net.new_head, key, 10, ())}
    for part, tree in shapes.items():
        table.add_row(part, f"{count(tree):,}")
    console.print(table)
    console.print("data", style="bold")
    console.print("  images: bytes are divided by 255, floats are taken as they are")
    where = tfds.data_dir(config.data.data_dir)
    for name in dict.fromkeys(part for task in scenario.tasks for part in sources.sources(task)):
        if sources.available(name, config.data.data_dir):
            found = "built in" if name not in tfds.SOURCES else f"found in {where}"
        else:
            found = f"missing in {where}; {tfds.remedy(tfds.SOURCES[name], where)}"
        console.print(f"  {name}: {found}", highlight=False)


def image_shape(config: Config) -> tuple[int, int, int]:
    """Returns the height, width and channels of the images that the network would see."""
    scenario = scenario_of(config.scenario)
    shapes = {IMAGES.get(name, RGB) for name in scenario.tasks}
    if scenario.made == "permuted32":
        shapes = {(SIDE, SIDE, channels) for _, _, channels in shapes}
    as_they_come = not config.network.takes_rgb or config.data.resize == "keep"
    return shapes.pop() if as_they_come and len(shapes) == 1 else RGB


def _shapes(make: Callable[..., Any], key: PRNGKey, *args: Any) -> Any:
    """The shapes of what a function would make, without making it."""
    return jax.eval_shape(lambda key: make(key, *args), key)
