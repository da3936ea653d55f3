"""Runs the README's loop around one transform.

    python tests/install/own_loop.py README.md

Nothing but the core is imported, so this is what an environment of ``pip install jaxcl`` is
tried with.
"""

import re
import sys
from pathlib import Path
from typing import Any

from jaxcl import transforms


def example(readme: Path) -> str:
    """The block of Python that begins and ends tasks of a transform."""
    blocks = re.findall(r"```python\n(.*?)```", readme.read_text(), re.DOTALL)
    found = [b for b in blocks if "from jaxcl.transforms import" in b and "end_task(" in b]
    if not found:
        sys.exit(f"{readme}: no example of a loop of one's own")
    return found[0]


def main(readme: Path) -> None:
    """Runs the example; stops with an error if a task was forgotten or not learned.

    Without the transform the accuracy of the first is 0.38 in the end.
    """
    for name in transforms.__all__:
        getattr(transforms, name)
    names: dict[str, Any] = {}
    exec(compile(example(readme), str(readme), "exec"), names)
    assert all(hit > 0.7 for hit in names["hits"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
