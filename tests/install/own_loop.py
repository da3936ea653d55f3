"""Runs the README's loop around one transform on two small tasks.

    python tests/install/own_loop.py README.md

Nothing but the core is imported, so this is what an environment of ``pip install jaxcl`` is
tried with.
"""

import re
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxcl import transforms


def example(readme: Path) -> str:
    """The block of Python that begins and ends tasks of a transform."""
    blocks = re.findall(r"```python\n(.*?)```", readme.read_text(), re.DOTALL)
    found = [b for b in blocks if "from jaxcl.transforms import" in b and "end_task(" in b]
    if not found:
        sys.exit(f"{readme}: no example of a loop of one's own")
    return found[0]


def given() -> dict[str, Any]:
    """What the example takes for given: parameters, a network, an optimiser, tasks, batches."""
    rng = np.random.default_rng(0)
    tasks = []
    for axis in range(2):  # tells points of the task apart
        x = rng.normal(size=(64, 3)).astype(np.float32)
        tasks.append({"x": jnp.asarray(x), "y": jnp.asarray((x[:, axis] > 0).astype(np.int32))})
    return {
        "params": {"w": jnp.zeros((3, 2))},
        "forward": lambda params, batch: batch["x"] @ params["w"],
        "optimizer": optax.adam(0.1),
        "tasks": tasks,
        "batches": [jnp.arange(at, at + 16) for at in range(0, 64, 16)] * 5,
    }


def main(readme: Path) -> None:
    """Runs the example; stops with an error if the first task was forgotten.

    Without the transform its accuracy is 0.61 in the end.
    """
    for name in transforms.__all__:
        getattr(transforms, name)
    names = given()
    exec(compile(example(readme), str(readme), "exec"), names)
    guesses = [names["forward"](names["params"], task).argmax(-1) for task in names["tasks"]]
    right = [float((g == t["y"]).mean()) for g, t in zip(guesses, names["tasks"], strict=True)]
    print("accuracy of the two tasks:", *(f"{part:.2f}" for part in right))
    assert right[0] > 0.85
    assert all(np.isfinite(part) and part > 0 for part in jax.tree.leaves(names["metrics"]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
