"""jaxcl's side: the functions that the scenario command runs."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import problems
from side import Case

from jaxcl.core.pytree import copy
from jaxcl.core.random import stream
from jaxcl.core.types import Batch
from jaxcl.growth.heads import SETTINGS, View, forward, gathered_forward, own_logits
from jaxcl.growth.parameters import leaf_mask, on_route
from jaxcl.networks import Net, Pathway, cnn, mlp
from jaxcl.networks.base import Routes, Variables
from jaxcl.networks.gan import codes, mlp_gan
from jaxcl.scenarios.images import to_float
from jaxcl.training.generative import generator
from jaxcl.training.program import Program, adam, start_phase
from jaxcl.training.train_step import no_totals, run_steps
from jaxcl.training.vectorized import run_together
from jaxcl.transforms import LossTransform, TaskData, chain, diagonal_fisher, distill, replay, si
from jaxcl.transforms.base import keep_both
from jaxcl.transforms.rehearsal.memory import per_class
from jaxcl.transforms.wgan_gp import gradient_penalty

CHECKED = 5  # steps whose losses are compared
KEY = jax.random.key(0)


def task_of(problem: problems.Problem, index: int = 0) -> Batch:
    """The problem's data on the device, as the task of an index."""
    task = np.full(len(problem.labels), index, np.int32)
    return jax.device_put({"input": problem.images, "label": problem.labels, "task": task})


class Training:
    """Steps of an epoch that begins again when it ends."""

    def __init__(  # noqa: D107
        self, net: Net, routes: Routes, transform: LossTransform, problem, setting="task"
    ):
        self.task_index = len(routes) - 1
        self.view = View(net, routes, SETTINGS[setting])
        self.program = Program(self.view, (self.task_index,), transform, adam(1e-3))
        self.params = jax.device_put(problem.weights)
        self.data, self.order = task_of(problem, self.task_index), jnp.asarray(problem.order)
        transform_state = transform.init(self.params)
        for index in range(self.task_index):  # tasks before
            before = self.view._replace(routes=routes[: index + 1])
            judged = own_logits(before, tuple(range(index + 1)))
            task = TaskData(task_of(problem, index), forward(before), judged)
            transform_state, _ = transform.end_task(
                transform_state, self.params, task, stream(KEY, "end", index)
            )
        old = TaskData(self.data, forward(self.view._replace(routes=routes[:-1])))
        self.transform_state = transform.begin_task(
            transform_state, problems.before(problem.weights), old, KEY
        )
        self.restart()

    def restart(self) -> None:
        """Goes back to the first weights."""
        net, routes = self.view.net, self.view.routes
        variables = Variables(copy(self.params), {})
        mask = leaf_mask(variables.params, lambda path: on_route(net, routes[-1].route, path))
        self.state = start_phase(
            self.program.optimizer, variables, mask, copy(self.transform_state), copy(KEY)
        )
        self.totals = no_totals(self.program, self.state, self.data, self.order)
        self.done = 0

    def run(self, steps: int) -> None:
        """So many steps more."""
        while steps:
            first = self.done % len(self.order)
            last = min(first + steps, len(self.order))
            bounds = np.int32(first), np.int32(last)
            given = self.program, self.state, self.totals, self.data, self.order
            self.state, self.totals = run_steps(*given, *bounds)
            self.done, steps = self.done + last - first, steps - (last - first)
        jax.block_until_ready(self.state)

    def losses(self) -> list[float]:
        """Of the first steps."""
        found = []
        for _ in range(CHECKED):
            self.run(1)
            found.append(float(self.totals.sums["loss"]))
        self.restart()
        return [after - before for before, after in zip([0, *found], found, strict=False)]

    def case(self) -> Case:
        """What the harness asks for."""
        return Case(self.losses, self.run)


def _paths(tasks: int, branches: bool) -> Routes:
    names = [f"t{i:02d}" for i in range(tasks)]
    return tuple(Pathway(name, (name, name) if branches else ("t00",) * 2, name) for name in names)


def cnn_case(folder: Path, tasks: int = 1, branches: bool = False) -> Case:
    """The first task, or a later one with the old responses held on to."""
    del folder
    transform = chain(distill=distill(15.0, 2.0)) if tasks > 1 else chain()
    problem = problems.cnn(tasks, branches=branches)
    return Training(cnn(), _paths(tasks, branches), transform, problem).case()


FIRST: Routes = (Pathway("t00", (), "t00"),)
SECOND: Routes = (*FIRST, Pathway("t01", (), "t00"))


def mlp_case(folder: Path) -> Case:
    """The first task."""
    del folder
    return Training(mlp(784), FIRST, chain(), problems.mlp(), "domain").case()


def si_case(folder: Path) -> Case:
    """The second task: a penalty, and a path integral in every step."""
    del folder
    without_steps = si(10.0)._replace(end_task=keep_both)  # the first task is over, untrained
    training = Training(mlp(784), SECOND, chain(si=without_steps), problems.mlp(), "domain")
    found = jax.tree.map(lambda x: jnp.full_like(x, 0.5), training.transform_state["si"].importance)
    away = jax.tree.map(lambda x: x + 0.01, training.transform_state["si"].anchor)
    training.transform_state["si"] = training.transform_state["si"]._replace(
        importance=found, anchor=away
    )
    training.restart()
    return training.case()


def replay_case(folder: Path) -> Case:
    """The second task, with 100 examples of each class of the first."""
    transform = chain(replay=replay(per_class(100)))
    training = Training(mlp(784), SECOND, transform, problems.mlp(), "domain")
    memory = training.transform_state["replay"].memory.data
    n, kept = training.order.shape[1], len(memory["label"])

    def rows(step: int):
        key = stream(stream(KEY, "step", step), "replay")
        return jax.random.randint(key, (n,), 0, kept)

    drawn = {name: np.asarray(memory[name]) for name in ("input", "label")}
    np.savez(
        folder / "replay.npz",
        allow_pickle=False,
        rows=np.stack([rows(i) for i in range(CHECKED)]),
        **drawn,
    )
    return training.case()


def fisher_case(folder: Path, net: Net, routes: Routes, problem: problems.Problem) -> Case:
    """The exact diagonal Fisher of so many examples."""
    del folder
    view = View(net, routes, SETTINGS["task"])
    params, data = jax.device_put(problem.weights), task_of(problem)
    judged = own_logits(view, (0,))

    def fisher(n: int):
        part = {name: jnp.resize(leaf, (n, *leaf.shape[1:])) for name, leaf in data.items()}
        task = TaskData(part, forward(view), judged, gathered_forward(view))
        return jax.block_until_ready(diagonal_fisher(params, task, KEY))

    def check() -> list[float]:
        return [float(leaf.sum()) for leaf in jax.tree.leaves(fisher(20))]

    return Case(check, lambda n: (fisher(n), None)[1])


def gan_case(folder: Path) -> Case:
    """Five steps of the critic and one of the generator."""
    problem = problems.gan()
    n = problem.order.shape[1]
    optimizer = optax.adam(1e-4, b1=0.5, b2=0.9)
    program = generator.GanProgram(
        mlp_gan((28, 28, 1)), gradient_penalty(10.0), optimizer, 5, n, 0.999
    )
    images = jnp.asarray(problem.images)
    mixture = generator.Mixture(images, images, jnp.float32(1))

    def begin():
        weights = jax.device_put(problem.weights)
        state = generator.new_gan_state(program, copy(KEY))
        state = state._replace(average=copy(weights["generator"]), **weights)
        return state, generator.no_totals(program, state, mixture)

    now = begin()

    def run(iterations: int) -> None:
        nonlocal now
        now = generator.run_iterations(program, *now, mixture, np.int32(0), np.int32(iterations))
        jax.block_until_ready(now)

    def check() -> list[float]:
        nonlocal now
        np.savez(folder / "gan.npz", allow_pickle=False, **_draws(mixture, n))
        run(1)
        state, totals = now
        found = [float(totals.sums[name]) for name in ("critic", "penalty", "loss")]
        moved = [float(jnp.abs(leaf).sum()) for leaf in (state.generator["fc1"]["w"],)]
        now = begin()
        return found + moved

    return Case(check, run)


def _draws(mixture: generator.Mixture, n: int) -> dict[str, np.ndarray]:
    """What is random in the first iteration."""
    key = stream(KEY, "step", 0)
    own = [stream(key, "critic", i) for i in range(5)]
    return {
        "real": np.stack([generator.draw(mixture, stream(k, "draw"), n) for k in own]),
        "codes": np.stack([codes(stream(k, "codes"), n, 100) for k in own]),
        "mix": np.stack(
            [jax.random.uniform(stream(k, "transform"), (n, 1, 1, 1), jnp.float32) for k in own]
        ),
        "last": np.asarray(codes(stream(stream(key, "generator"), "codes"), n, 100)),
    }


def data_case(folder: Path) -> Case:
    """Batches of images as a step sees them, each looked at by adding it up."""
    del folder
    problem = problems.cnn()
    images, order = jnp.asarray(problem.images), jnp.asarray(problem.order)

    @jax.jit
    def total(images: jax.Array, order: jax.Array, batches: jax.Array) -> jax.Array:
        def add(i: jax.Array, so_far: jax.Array) -> jax.Array:
            return so_far + to_float(images[order[i % len(order)]]).sum()

        return jax.lax.fori_loop(0, batches, add, jnp.float32(0))

    def run(batches: int) -> None:
        total(images, order, jnp.int32(batches)).block_until_ready()

    return Case(lambda: [float(total(images, order, jnp.int32(CHECKED)))], run)


def seeds_case(folder: Path, seeds: int) -> Case:
    """Several networks; a unit is a step of one of them.

    One program on an accelerator, and on a CPU one after the other, as the commands have it.
    """
    del folder
    problem = problems.mlp()
    lanes = [Training(mlp(784), FIRST, chain(), problem, "domain") for _ in range(seeds)]
    program, data, order = lanes[0].program, lanes[0].data, lanes[0].order
    leaves, tree = jax.tree.flatten((data, order))
    now = [(lane.state, lane.totals) for lane in lanes]

    def run(units: int) -> None:
        nonlocal now
        bounds = np.int32(0), np.int32(units // seeds)
        if jax.default_backend() != "cpu":
            states, totals = zip(*now, strict=True)
            shared = (True,) * len(leaves)
            now = run_together(run_steps, program, tree, shared, states, totals, leaves, *bounds)
        else:
            now = [run_steps(program, *one, data, order, *bounds) for one in now]
        jax.block_until_ready(now)

    return Case(list, run)


_FISHER_MLP = partial(fisher_case, net=mlp(784), routes=FIRST, problem=problems.mlp())
_FISHER_CNN = partial(fisher_case, net=cnn(), routes=_paths(1, False), problem=problems.cnn())
CASES: dict[str, Callable[[Path], Case]] = {
    "cnn": cnn_case,
    "cnn-lwf": partial(cnn_case, tasks=2),
    "cnn-split": partial(cnn_case, tasks=4, branches=True),
    "mlp": mlp_case,
    "si": si_case,
    "replay": replay_case,
    "gan": gan_case,
    "fisher-mlp": _FISHER_MLP,
    "fisher-mlp-12": _FISHER_MLP,
    "fisher-cnn": _FISHER_CNN,
    "data": data_case,
    **{f"seeds-{n}": partial(seeds_case, seeds=n) for n in (4, 16, 64)},
}
