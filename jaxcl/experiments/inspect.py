"""What can be run, and what a run would do."""

from pathlib import Path

import jax
from rich.console import Console
from rich.table import Table

from jaxcl import data
from jaxcl.config import Config, to_toml
from jaxcl.data import tfds
from jaxcl.growth import count
from jaxcl.methods import METHODS
from jaxcl.nets import cnn
from jaxcl.scenarios import SCENARIOS


def listing(console: Console) -> None:
    """Prints the scenarios and methods, one line each."""
    for title, entries in (("scenarios", SCENARIOS), ("methods", METHODS)):
        console.print(f"[bold]{title}[/bold]")
        for name, entry in entries.items():
            console.print(f"  {name:<18}  {entry.summary}", highlight=False)


def dry_run(console: Console, config: Config, out: Path) -> None:
    """Prints the settings, the size of the network and whether the data is there."""
    console.print("[bold]settings[/bold]")
    console.print(to_toml(config).rstrip(), highlight=False)
    console.print(f"out = {str(out)!r}", highlight=False)
    net = cnn()
    table = Table(title="parameters of the first task's network")
    table.add_column("part")
    table.add_column("weights", justify="right")
    key = jax.random.key(0)
    shapes = {
        **{layer: jax.eval_shape(lambda k, l=layer: net.new_branch(k, l), key) for layer in net.layers},
        "fc1": jax.eval_shape(net.init, key)["fc1"],
        "a head of 10 classes": jax.eval_shape(lambda k: net.new_head(k, 10), key),
    }
    for part, tree in shapes.items():
        table.add_row(part, f"{count(tree):,}")
    console.print(table)
    console.print("[bold]data[/bold]")
    where = tfds.data_dir(config.data_dir)
    for name in SCENARIOS[config.scenario].tasks:
        if data.available(name, config.data_dir):
            found = "built in" if name not in tfds.SOURCES else f"found in {where}"
        else:
            found = f"missing in {where}; {tfds.remedy(tfds.SOURCES[name], where)}"
        console.print(f"  {name}: {found}", highlight=False)
