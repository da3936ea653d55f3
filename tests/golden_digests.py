"""Digests of what a run writes, in parts, so that a comparison says what differs.

- ``params``: final parameters of every seed, and of its generator (values, shapes and dtypes);
- ``metrics``: numbers of ``metrics.jsonl``, wall times left out, and figures of ``summary.json``;
- ``routes``: routes and similarities, and the best point of a sweep;
- ``sizes``: numbers of weights, and bytes in the state of the losses.

``params`` and ``metrics`` are digests of the values in an order of their own, so new names leave
them as they are. ``.names`` is the digest of the names, ``.order`` that of the values in the order
of the names: it tells whether values have changed places.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FIGURES = (
    "accuracy", "final", "average_accuracy", "forgetting", "backward_transfer",
    "forward_transfer", "learning_accuracy",
)  # fmt: skip
ROUTES, SIZES = ("routes", "similarity"), ("weights", "bytes")
NO_METRICS = (*ROUTES, *SIZES, "seconds", "params", "variables", "generator")
Parts = dict[str, str]
"""Part of a result -> its digest; or ``refused`` or ``failed`` -> exit code."""


def digests(out: Path) -> Parts:
    """The digests of a run's folder, or of all runs in a folder."""
    params: dict[str, bytes] = {}
    metrics: dict[str, bytes] = {}
    routes, sizes = [], []
    for file in sorted(out.rglob("summary.json")):
        at = str(file.parent.relative_to(out))
        summary = json.loads(file.read_text())
        lines = [json.loads(x) for x in (file.parent / "metrics.jsonl").read_text().splitlines()]
        lines = [line | line.pop("growth", {}) for line in lines]
        for kind in ("params", "generator"):
            for folder in sorted((file.parent / kind).glob("seed*")):
                params |= {f"{at}/{kind}/{folder.name}/{n}": x for n, x in arrays(folder)}
        for i, line in enumerate(lines):
            kept = {key: value for key, value in line.items() if key not in NO_METRICS}
            metrics |= {f"{at}/{i:05d}/{n}": x for n, x in numbers(kept)}
        metrics |= {f"{at}/{n}": x for n, x in numbers({key: summary[key] for key in FIGURES})}
        routes.append([summary[key] for key in ROUTES])
        sizes += [line[key] for line in lines if line["event"] == "seed" for key in SIZES]
    if (out / "sweep.json").exists():
        routes.append(json.loads((out / "sweep.json").read_text())["best"])
    if not (params and metrics):
        return {"failed": "nothing was written"}
    found = {"routes": sha(json.dumps(routes).encode()), "sizes": sha(json.dumps(sizes).encode())}
    return three("params", params) | three("metrics", metrics) | found


def three(part: str, values: dict[str, bytes]) -> Parts:
    """Digests of values in an order of their own, of their names, and in the order of these."""
    names = sorted(values)
    return {
        part: sha(*sorted(values.values())),
        f"{part}.names": sha(*(name.encode() for name in names)),
        f"{part}.order": sha(*(values[name] for name in names)),
    }


def sha(*parts: bytes) -> str:
    """The first half of the SHA-256 of some bytes, each with its length."""
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "big") + part)
    return found.hexdigest()[:32]


def arrays(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Paths of the arrays that Orbax wrote to a folder; dtype, shape and bytes of each."""
    import jax
    import numpy as np
    from orbax.checkpoint import v1 as ocp

    stored = ocp.metadata(str(folder)).metadata
    like = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), stored)
    tree = ocp.load(str(folder), like)
    for path, x in jax.tree_util.tree_leaves_with_path(tree):
        head = f"{x.dtype} {x.shape} ".encode()
        yield jax.tree_util.keystr(path, simple=True, separator="."), head + np.asarray(x).tobytes()


def numbers(value: Any, path: str = "") -> Iterator[tuple[str, bytes]]:
    """Paths of the leaves of a JSON value, and what they are; texts count as names."""
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in pairs:
            yield from numbers(inner, f"{path}.{key}")
    elif isinstance(value, str):
        yield f"{path}={value}", b""
    else:
        yield path, json.dumps(value).encode()
