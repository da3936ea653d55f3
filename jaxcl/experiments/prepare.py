"""Download data sets for the scenarios: ``python -m jaxcl.experiments.prepare mnist cifar10``."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from jaxcl.core.fields import shown
from jaxcl.experiments.command_line import cli
from jaxcl.experiments.command_line.words import run_tyro


@dataclasses.dataclass(frozen=True)
class Command:
    """Download data sets with TensorFlow Datasets' own builders, without TensorFlow."""

    names: tyro.conf.Positional[tuple[str, ...]]
    """mnist, fashion_mnist, cifar10, cifar100, emnist/letters, emnist/byclass, svhn_cropped, usps,
    omniglot."""
    data_dir: Annotated[Path | None, shown("TFDS_DATA_DIR", "PATH")] = None
    """Where to write them."""
    overwrite: bool = False
    """Make a data set anew where it exists."""


def main(command: Command) -> None:
    """Runs the command."""
    from jaxcl.core.errors import UsageError, check_name
    from jaxcl.scenarios.datasets.prepare import WANTED, prepare
    from jaxcl.scenarios.datasets.tfds import data_dir

    if not command.names:
        raise UsageError(f"names: none given; choose from {', '.join(WANTED)}")
    for name in command.names:
        check_name("data set", name, WANTED)
    for name in command.names:
        folder = prepare(name, data_dir(command.data_dir), overwrite=command.overwrite)
        print(f"{name}: prepared in {folder}")


def read(args: Sequence[str]) -> Command:
    """Reads the command line."""
    known = [field.name for field in dataclasses.fields(Command)]
    return run_tyro(Command, cli.program("prepare"), Command.__doc__ or "", args, known)


def run() -> None:
    """Runs the command of this process."""
    cli.main(read, main)


if __name__ == "__main__":
    run()
