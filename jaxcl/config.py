"""Everything that decides the result of a run, as one frozen dataclass.

Light to import (no JAX), so that the command line answers at once.
"""

import dataclasses
import sys
import tomllib
import typing
from pathlib import Path
from typing import Any, Literal

from jaxcl.errors import UsageError, check_name

MOST_EPOCHS = 100_000


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of a run; one result for each seed follows from them."""

    method: str = "select"
    """How forgetting is fought; --list names them all."""
    scenario: str = "builtin"
    """The sequence of tasks; --list names them all."""
    seeds: tuple[int, ...] = (0,)
    """Random seeds; each is a run of its own."""
    epochs: int | None = None
    """Epochs a task; by default the scenario's own (10)."""
    batch_size: int = 100
    """Examples in a step; what is left of an epoch's shuffle sits out."""
    lr: float = 1e-3
    """Learning rate of Adam."""
    lam: float = 15.0
    """lambda: weight of the old responses (lwf, split, select)."""
    temperature: float = 2.0
    """Temperature of the distillation (lwf, split, select)."""
    l2: float = 1e-4
    """Coefficient of the L2 term, l2/2 * sum of squared weights."""
    threshold: float = 0.90
    """select: a layer is shared from this similarity on, 0 to 1."""
    start: Literal["copy", "fresh"] = "copy"
    """A new branch starts as a copy of the nearest one, or with fresh weights."""
    warmup_epochs: int = 0
    """Epochs in which a later task's new head trains alone, before the others."""
    resize: Literal["bilinear", "pad"] = "bilinear"
    """How small images become 32x32."""
    limit: int | None = None
    """At most this many training images (and as many test images) a task."""
    probe: int = 2000
    """Images of a task from which the channel statistics are taken."""
    data_dir: Path | None = None
    """Folder of TensorFlow Datasets; default: TFDS_DATA_DIR or ~/tensorflow_datasets."""

    def check(self) -> "Config":
        """Returns the configuration if every number is in its range.

        Raises:
          UsageError: naming the field, its value and what it may be.
        """
        positive = {"epochs": self.epochs, "batch_size": self.batch_size, "lr": self.lr}
        positive |= {"temperature": self.temperature, "limit": self.limit, "probe": self.probe}
        for name, value in positive.items():
            if value is not None and not value > 0:
                raise UsageError(f"{name}: {value} is not positive; give a number above 0")
        for name in ("lam", "l2", "warmup_epochs"):
            value = getattr(self, name)
            if not value >= 0:
                raise UsageError(f"{name}: {value} is negative; give 0 or more")
        for name, value in {**positive, "lam": self.lam, "l2": self.l2}.items():
            if value is not None and value > sys.float_info.max:
                raise UsageError(f"{name}: too large; give a finite number")
        for name in ("epochs", "warmup_epochs"):
            if (getattr(self, name) or 0) > MOST_EPOCHS:
                raise UsageError(f"{name}: more than {MOST_EPOCHS}; give fewer")
        if not 0 <= self.threshold <= 1:
            raise UsageError(f"threshold: {self.threshold} is outside [0, 1]")
        if not self.seeds:
            raise UsageError("seeds: none given; give at least one, such as 0")
        if len(set(self.seeds)) < len(self.seeds):
            raise UsageError(f"seeds: {list(self.seeds)} has one twice; give each once")
        if not all(0 <= seed < 2**32 for seed in self.seeds):
            raise UsageError("seeds: outside [0, 2^32); give small whole numbers")
        return self


def to_toml(config: Config) -> str:
    """The configuration as TOML; settings that are None are left out."""
    import tomli_w

    items = dataclasses.asdict(config).items()
    return tomli_w.dumps(
        {k: str(v) if isinstance(v, Path) else v for k, v in items if v is not None}
    )


def from_toml(text: str) -> Config:
    """The configuration that :func:`to_toml` wrote.

    Raises:
      UsageError: not TOML, an unknown setting, or a value of another type.
    """
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"not TOML: {str(error)[:100]}") from error
    hints = typing.get_type_hints(Config)
    for name in values:
        check_name("setting", name, hints)
    missing = [f.name for f in dataclasses.fields(Config) if f.default is not None]
    missing = [name for name in missing if name not in values]
    if missing:
        raise UsageError(f"{missing[0]}: missing; the file is not whole")
    return Config(**{name: _typed(name, value, hints[name]) for name, value in values.items()})


def _typed(name: str, value: Any, hint: Any) -> Any:
    """A value from TOML as the type of a setting; UsageError if it is of another."""
    if typing.get_origin(hint) is Literal:
        choices = typing.get_args(hint)
        if value not in choices:
            raise UsageError(f"{name}: {value!r} is none of {', '.join(choices)}")
        return value
    allowed = {kind for kind in (typing.get_args(hint) or (hint,)) if isinstance(kind, type)}
    if typing.get_origin(hint) is tuple:
        if isinstance(value, list):
            return tuple(_typed(name, part, int) for part in value)
    elif Path in allowed and isinstance(value, str):
        return Path(value)
    elif float in allowed and type(value) is int and abs(value) < 2**53:
        return float(value)
    elif type(value) in allowed:
        return value
    raise UsageError(f"{name}: {value!r} is of the wrong type")
