"""What can be run, and what a run would do."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

from jaxcl.checkpointing.config_file import to_toml
from jaxcl.core.types import PRNGKey
from jaxcl.growth.heads import head_classes, setting
from jaxcl.growth.parameters import count
from jaxcl.learner.settings.config import Config
from jaxcl.learner.settings.protocols import OWN, scenario_of
from jaxcl.learner.tasks import alike, load_tasks
from jaxcl.scenarios.datasets import sources, tfds
from jaxcl.scenarios.datasets.catalog import FROZEN, SOURCES
from jaxcl.scenarios.derive import classes_each
from jaxcl.scenarios.images import SIDE
from jaxcl.scenarios.inputs import ready, spec_of
from jaxcl.scenarios.settings import MadeSettings
from jaxcl.scenarios.task import Task, size_text

RGB = (32, 32, 3)
IMAGES = {
    "mnist": (28, 28, 1), "fashion_mnist": (28, 28, 1), "mnist_m": (28, 28, 3),
    "digits": (8, 8, 1), "digits_m": (8, 8, 3), "usps": (16, 16, 1), "omniglot": (28, 28, 1),
}  # fmt: skip
"""Data sets of which a scenario is made, and that have images of another shape."""
CLASSES = {name: each.classes for name, each in SOURCES.items()} | {"letters": 26}
CLASSES |= {name: CLASSES[each.images] for name, each in FROZEN.items()}
TEN = 10  # of all other data sets


def dry_run(console: Console, config: Config, out: Path) -> None:
    """Prints the settings, the size of the network and whether the data is there.

    Tasks of which no name tells more (a data set of one's own, what a plug-in makes) are read.

    Raises:
      UsageError: data that is not there, or cannot be learned.
    """
    console.print("settings", style="bold")
    console.print(to_toml(config).rstrip(), highlight=False)
    console.print(f"out = {str(out)!r}", highlight=False)
    if config.scenario == OWN:
        text = "the tasks are those that a program gives; their shapes and the network's follow"
        return console.print(text, highlight=False)
    scenario = scenario_of(config.scenario)
    if scenario.tasks:
        spec = jax.ShapeDtypeStruct(image_shape(config), jnp.float32)
        lines, classes = _whether_there(config), classes_of(config)
    else:
        tasks = load_tasks(config, lambda text: console.print(text, style="dim"))
        lines, classes = [_size(task) for task in tasks], [task.classes for task in tasks]
        lines += [line for task in tasks for line in _class_names(task)]
        tasks = alike(config, tasks)
        spec = spec_of(ready(config.data, tasks[0]), tasks[0].train_inputs)
    console.print(_parameters(config, spec, classes))
    console.print("data", style="bold")
    console.print("  images: bytes are divided by 255, floats are taken as they are")
    for line in lines:
        console.print(f"  {line}", highlight=False)


def _parameters(config: Config, spec: Any, classes: Sequence[int]) -> Table:
    """The sizes of the first task's network for inputs of some shapes, and of its head."""
    table = Table(title="parameters of the first task's network")
    table.add_column("part")
    table.add_column("weights", justify="right")
    net, key = config.network.make(spec, columns=config.method.columns), jax.random.key(0)
    shapes: dict[str, Any] = {
        layer: _shapes(net.new_branch, key, layer, ()).params for layer in net.layers
    }
    shapes |= {name: tree for name, tree in _shapes(net.init, key).params.items() if tree}
    if classes:
        outputs = head_classes(
            setting(config.data.setting, config.data.heads, one_head=config.one_head), classes, 0
        )
        shapes |= {f"the first head, of {outputs} outputs": _shapes(net.new_head, key, outputs, ())}
    else:
        shapes |= {"each output of a head": _shapes(net.new_head, key, 1, ())}
    for part, tree in shapes.items():
        table.add_row(part, f"{count(tree):,}")
    return table


def _size(task: Task) -> str:
    """What a task has."""
    train, test = len(task.train_labels), len(task.test_labels)
    kind = size_text(task.train_inputs)
    leaves = [leaf for leaf in jax.tree.leaves(task.train_inputs) if leaf.dtype != np.uint8]
    if leaves:  # which are taken as they are
        low, high = min(leaf.min() for leaf in leaves), max(leaf.max() for leaf in leaves)
        kind += f" from {float(low):.3g} to {float(high):.3g}"
    return f"{task.name}: {train:,} to train, {test:,} to test, {task.classes} outputs, {kind}"


def _class_names(task: Task) -> list[str]:
    """Which class has which number, where that is not its name."""
    names = task.class_names
    if list(names) == [str(i) for i in range(len(names))]:
        return []
    some = [f"{i} is {name!r}" for i, name in enumerate(names[:TEN])]
    more = [f"{len(names) - TEN} more"] if len(names) > TEN else []
    return [f"classes of {task.name}: {', '.join([*some, *more])}"]


def _whether_there(config: Config) -> list[str]:
    """Where the data sets of a scenario are, or how to get them."""
    lines, where = [], tfds.data_dir(config.data.data_dir)
    tasks = scenario_of(config.scenario).tasks
    for name in dict.fromkeys(part for task in tasks for part in sources.sources(task)):
        if sources.available(name, config.data.data_dir):
            found = "built in" if name not in tfds.SOURCES else f"found in {where}"
        else:
            found = f"missing in {where}; {tfds.remedy(tfds.SOURCES[name], where)}"
        lines.append(f"{name}: {found}")
    made = (f"{name}: features, made once and kept" for name in tasks if name in FROZEN)
    return [*lines, *made]


def image_shape(config: Config) -> tuple[int, ...]:
    """Returns the shape of a named scenario's examples, as the network sees them.

    It is height, width and channels of images, and the number of features.
    """
    scenario = scenario_of(config.scenario)
    for name in scenario.tasks:
        if name in FROZEN:
            return (FROZEN[name].width,)
    shapes = {IMAGES.get(name, RGB) for name in scenario.tasks}
    if scenario.made == "permuted32":
        shapes = {(SIDE, SIDE, channels) for _, _, channels in shapes}
    as_they_come = not config.network.takes_rgb or config.data.resize == "keep"
    return shapes.pop() if as_they_come and len(shapes) == 1 else RGB


def classes_of(config: Config) -> list[int]:
    """Returns the classes of each task of a named scenario; none where only the data say so.

    Raises:
      DataError: as many tasks as are asked for cannot be made.
    """
    scenario, data = scenario_of(config.scenario), config.data
    found = [CLASSES.get(name, TEN) for name in scenario.tasks]
    if scenario.made == "groups":
        return []
    if not isinstance(data, MadeSettings):
        return found
    if scenario.made != "split":
        return found * data.tasks
    return [classes_each(scenario.tasks[0], found[0], data.tasks)] * data.tasks


def _shapes(make: Callable[..., Any], key: PRNGKey, *args: Any) -> Any:
    """The shapes of what a function would make, without making it."""
    return jax.eval_shape(lambda key: make(key, *args), key)
