"""What the loops of this folder share: two tasks, their loss, and what is measured.

Task A asks for the sign of x0 and task B for that of x1, of the same inputs, with a head each.
A loop is given a chain of transforms with the names below, and returns a :class:`Run`.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxcl.transforms import LossTransform, chain, distill, ewc, per_class, regrow, replay

N, BATCH, STEPS = 128, 32, 60
X = jnp.asarray(np.random.default_rng(0).normal(size=(N, 4)), jnp.float32)
TASKS = [
    {"x": X, "label": jnp.asarray(X[:, i] > 0, jnp.int32), "task": jnp.full(N, i, jnp.int32)}
    for i in (0, 1)
]


def logits(outputs, batch):
    """Those of each example's own task; a batch of replayed ones may have several."""
    return jnp.where(batch["task"][:, None] == 0, outputs["a"], outputs["b"])


def loss_of(outputs, batch):
    chosen = logits(outputs, batch)
    return optax.softmax_cross_entropy_with_integer_labels(chosen, batch["label"]).mean()


def old_head(forward):
    """What existed before the second task; in the first task nothing is held on to."""
    return lambda params, batch: {"a": forward(params, batch)["a"]}


def batches(data, key):
    """The task's examples in order, with their rows, and a key for each step."""
    for i in range(STEPS):
        rows = (jnp.arange(BATCH) + i * BATCH) % N
        batch = {name: leaf[rows] for name, leaf in data.items()} | {"index": rows}
        yield batch, jax.random.fold_in(key, i)


class Run(NamedTuple):
    """What a loop saw.

    Attributes:
      params: as each of the tasks ended.
      states: the transforms' states as each of the tasks ended.
      outputs: of the whole data in evaluation mode, made by the library itself, as each ended.
      recorded: what ``distill`` had recorded as the second task began.
      traces: how often the step was traced.
      stats: as each of the tasks ended.
    """

    params: list[Any]
    states: list[Any]
    outputs: list[Any]
    recorded: Any
    traces: int
    stats: list[Any] = []  # noqa: RUF012


def distilling(strength: float) -> LossTransform:
    return chain(distill=distill(strength, 2.0))


def anchored(strength: float) -> LossTransform:
    """Responses are recorded, and with a strength of 0 nothing is added to the loss."""
    return chain(distill=distill(0.0), ewc=ewc(strength, n=64))


def all_three(strength: float) -> LossTransform:
    chosen = {"distill": distill(strength), "ewc": ewc(100 * strength, n=64)}
    return chain(**chosen, replay=replay(per_class(8)))


@functools.cache
def ran(train, make, strength: float) -> Run:
    """The run of a loop with a chain of the above; several tests look at the same."""
    return train(make(strength))


def drift(run: Run) -> float:
    """How far the old head's answers moved during the second task."""
    first, second = run.outputs
    return float(jnp.abs(second["a"] - first["a"]).mean())


def moved(run: Run) -> float:
    """How far the weights moved in the second task, as important as they were for the first."""
    then, now = run.params
    importance = regrow(run.states[0]["ewc"].importance, jax.tree.map(jnp.zeros_like, now))
    anchor = regrow(then, now)
    parts = jax.tree.map(lambda f, w, a: (f * (w - a) ** 2).sum(), importance, now, anchor)
    return float(sum(jax.tree.leaves(parts)))


def learned(run: Run, tasks=TASKS) -> list[float]:
    """Accuracy on each of the tasks after both, as a fraction."""
    chosen = (logits(run.outputs[1], data).argmax(-1) == data["label"] for data in tasks)
    return [float(right.mean()) for right in chosen]


def check_distillation(train, tasks=TASKS) -> None:
    """The old head's answers change less with distillation, and both tasks are learned."""
    held, plain = ran(train, distilling, 10.0), ran(train, distilling, 0.0)
    assert drift(held) < 0.5 * drift(plain)
    assert min(learned(held, tasks)) >= 0.9
    assert learned(plain, tasks)[1] >= 0.9


def check_anchor(train, traces: int = 1, strength: float = 100.0) -> None:
    """Weights stay nearer to their places; responses are the old network's; shapes traced once."""
    held, free = ran(train, anchored, strength), ran(train, anchored, 0.0)
    assert moved(held) < 0.3 * moved(free)
    assert held.traces == traces
    np.testing.assert_allclose(held.recorded["a"], held.outputs[0]["a"], rtol=1e-5, atol=1e-5)
    tree = jax.tree.structure(held.params[1])
    assert jax.tree.structure(held.states[1]["ewc"].importance) == tree
    assert jax.tree.structure(held.states[1]["ewc"].anchor) == tree


def check_all_three(train, tasks=TASKS) -> None:
    """Together they hold what was learned; the step is traced again as the memory comes."""
    held = ran(train, all_three, 1.0)
    assert held.traces == 2
    assert len(held.states[1]["replay"].memory.data["label"]) == 32
    assert min(learned(held, tasks)) >= 0.9
    assert drift(held) < 0.5 * drift(ran(train, distilling, 0.0))
