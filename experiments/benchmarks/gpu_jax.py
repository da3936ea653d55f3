"""jaxcl's side of ``gpu.py``: networks in the loops that the commands compile."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Any

import gpu_cases
import jax
import jax.numpy as jnp
import jax_side
import numpy as np
from flax import linen
from gpu_serve import serve, tuning
from side import Case

from jaxcl import from_functions, from_linen
from jaxcl.core.pytree import copy
from jaxcl.core.types import Array, PRNGKey, PyTree
from jaxcl.growth.heads import SETTINGS, View
from jaxcl.growth.parameters import leaf_mask
from jaxcl.networks import Net, Pathway, cnn, mlp
from jaxcl.networks.backbones.resnet import ResNet
from jaxcl.networks.base import Routes, Variables
from jaxcl.networks.convolutions.loop_convolution import conv_general_dilated
from jaxcl.training.program import Program, adam, sgd, start_phase
from jaxcl.training.train_step import no_totals, run_steps
from jaxcl.training.vectorized import run_together
from jaxcl.transforms import chain
from jaxcl.transforms.base import keep_both
from jaxcl.transforms.penalties.ewc import quadratic_penalty

CHECKED = jax_side.CHECKED
THREADS = 4  # programs that are traced at a time; they are compiled one after the other
OPTIONS: dict[str, dict[str, Any]] = {  # of XLA, by form
    "nhwc": {"xla_gpu_force_conv_nhwc": True},
    "nchw": {"xla_gpu_force_conv_nchw": True},
    "no-graphs": {"xla_gpu_enable_command_buffer": ""},
}


class Lanes:
    """Networks that differ in numbers alone: as one program, or one after the other."""

    def __init__(  # noqa: D107
        self, program: Program, states: list[PyTree], data: PyTree, orders: list[Array], form: str
    ):
        self.program, self.data, self.orders = program, data, orders
        self.first = states
        self.zero = no_totals(program, states[0], data, orders[0])
        self.apart = len(states) == 1 or form == "after"
        self.restart()

    def restart(self) -> None:
        """Goes back to the first weights."""
        self.states = tuple(map(copy, self.first))
        self.totals = tuple(copy(self.zero) for _ in self.first)
        self.done = 0

    def compile(self, form: str, folder: Path) -> dict[str, float]:
        """Compiles the loop; how long tracing and compiling took."""
        bounds = np.int32(0), np.int32(0)
        start = time.perf_counter()
        if self.apart:
            given = self.program, self.states[0], self.totals[0], self.data, self.orders[0]
            lowered = run_steps.lower(*given, *bounds)
        else:
            leaves, tree = jax.tree.flatten((self.data, self.orders[0]))
            shared = (True,) * (len(leaves) - 1) + (False,)
            self.leaves = [*leaves[:-1], tuple(self.orders)]
            given = run_steps, self.program, tree, shared, self.states, self.totals, self.leaves
            lowered = run_together.lower(*given, *bounds)
        traced = time.perf_counter() - start
        with tuning(folder):
            start = time.perf_counter()
            self.step: Callable[..., Any] = lowered.compile(OPTIONS.get(form))
        return {"trace": traced, "compile": time.perf_counter() - start}

    def _stretch(self, first: int, last: int) -> None:
        bounds = np.int32(first), np.int32(last)
        if self.apart:
            each = zip(self.states, self.totals, self.orders, strict=True)
            now = [self.step(s, t, self.data, order, *bounds) for s, t, order in each]
        else:
            now = self.step(self.states, self.totals, self.leaves, *bounds)
        self.states, self.totals = zip(*now, strict=True)

    def run(self, steps: int) -> None:
        """So many steps more of every network."""
        n = len(self.orders[0])
        while steps:
            first = self.done % n
            last = min(first + steps, n)
            self._stretch(first, last)
            self.done, steps = self.done + last - first, steps - (last - first)
        jax.block_until_ready(self.states)

    def losses(self) -> list[float]:
        """Of the first network's first steps."""
        found = [0.0]
        for _ in range(CHECKED):
            self.run(1)
            found.append(float(self.totals[0].sums["loss"]))
        self.restart()
        return np.diff(found).tolist()


def half(module: linen.Module):
    """The network in bfloat16; weights, their gradients and running statistics stay float32."""

    def init(key: PRNGKey, inputs: PyTree) -> tuple[PyTree, PyTree]:
        found = module.init(key, inputs, train=False)
        return found["params"], found["batch_stats"]

    def apply(params: PyTree, stats: PyTree, inputs: PyTree, train: bool, key: PRNGKey | None):
        del key
        narrow = jax.tree.map(lambda w: w.astype(jnp.bfloat16), params)
        given = {"params": narrow, "batch_stats": stats}
        x = inputs.astype(jnp.bfloat16)
        if not train:
            return jnp.asarray(module.apply(given, x, train=False), jnp.float32), stats
        found: Any = module.apply(given, x, train=True, mutable=["batch_stats"])
        features, new = found
        return features.astype(jnp.float32), new["batch_stats"]

    return from_functions(init, apply)


def begun(program: Program, variables: Variables, transform_state: PyTree, lane: int) -> PyTree:
    """The state of a network before its first step; everything trains."""
    mask = leaf_mask(variables.params, lambda path: True)
    key = jax.random.key(lane)
    return start_phase(program.optimizer, copy(variables), mask, copy(transform_state), key)


def resnet(run: gpu_cases.Run) -> Lanes:
    """A residual network of Flax Linen."""
    net = gpu_cases.residual(run.case)
    problem = gpu_cases.resnet_problem(net)
    conv = conv_general_dilated if run.form == "products" else None
    module = ResNet(net.widths, net.blocks, conv=conv)
    chosen = half(module) if net.half else from_linen(module)
    grown = chosen.make(jax.ShapeDtypeStruct((32, 32, 3), jnp.float32))
    _, shapes = jax.eval_shape(grown.init, jax.random.key(0))
    stats = jax.tree.map_with_path(_first_statistics, shapes)
    program = Program(View(grown, jax_side.FIRST, SETTINGS["domain"]), (0,), chain(), sgd(0.03))
    params = _named_like(grown, problem.weights)
    variables = Variables(jax.device_put(params), stats)
    transform_state = program.transform.init(variables.params)
    states = [begun(program, variables, transform_state, i) for i in range(run.lanes)]
    orders = [jnp.asarray(gpu_cases.order_of(problem, i)) for i in range(run.lanes)]
    return Lanes(program, states, jax_side.task_of(problem), orders, run.form)


def _first_statistics(path: Any, leaf: jax.ShapeDtypeStruct) -> Array:
    return jnp.full(leaf.shape, path[-1].key == "var", leaf.dtype)


def _named_like(grown: Net, weights: dict) -> PyTree:
    shapes = jax.eval_shape(grown.init, jax.random.key(0)).params
    parts = {**weights["shared"], "heads": weights["heads"]}
    found = {part: weights[part] if part in weights else parts[part] for part in shapes}
    expected = jax.tree.map(lambda x: x.shape, {**shapes, "heads": {}})
    if jax.tree.map(lambda x: x.shape, {**found, "heads": {}}) != expected:
        raise ValueError(f"weights are named otherwise: {expected}")
    return found


def sweep(run: gpu_cases.Run) -> Lanes:
    """The second task with EWC at several strengths, which are numbers in the state."""
    net = mlp(784) if run.case == "mlp" else cnn()
    route = () if run.case == "mlp" else ("t00", "t00")
    routes: Routes = tuple(Pathway(task, route, "t00") for task in ("t00", "t01"))
    problem = gpu_cases.sweep_problem(run.case)
    transform = chain(ewc=quadratic_penalty(1.0, 0.5, keep_both))
    program = Program(View(net, routes, SETTINGS["domain"]), (1,), transform, adam(1e-3))
    variables = Variables(jax.device_put(problem.weights), {})
    first = transform.init(variables.params)
    penalty = first["ewc"]._replace(
        importance=jax.tree.map(lambda x: jnp.full_like(x, 0.01), first["ewc"].importance),
        anchor=jax.tree.map(lambda x: x + 0.01, first["ewc"].anchor),
    )
    strengths = gpu_cases.STRENGTHS[: run.lanes]
    states = [
        begun(program, variables, {**first, "ewc": penalty._replace(strength=jnp.asarray(s))}, 0)
        for s in strengths
    ]
    orders = [jnp.asarray(problem.order)] * run.lanes
    return Lanes(program, states, jax_side.task_of(problem, 1), orders, run.form)


def made(key: str, folder: Path) -> tuple[Case, dict[str, float]]:
    """A case that is compiled, and what that took."""
    run, start = gpu_cases.parsed(key), time.perf_counter()
    if run.kind == "step":
        with tuning(folder):
            case = jax_side.CASES[run.case](folder)
            case = case._replace(check=partial(list, case.check()))
            case.run(gpu_cases.units(run) or run.lanes)
        return case, {"all": time.perf_counter() - start}
    lanes = {"resnet": resnet, "sweep": sweep}[run.kind](run)
    parts = lanes.compile(run.form, folder)
    found = lanes.losses()
    seconds = {"all": time.perf_counter() - start, **parts}
    return Case(partial(list, found), lanes.run), seconds


def prepare(keys: list[str], folder: Path, alone: bool):
    """Compiles several at a time, unless their compiling is what is measured."""
    with ThreadPoolExecutor(1 if alone else THREADS) as pool:
        futures = {pool.submit(made, key, folder): key for key in keys}
        for future in as_completed(futures):
            yield futures[future], future


if __name__ == "__main__":
    serve(prepare)
