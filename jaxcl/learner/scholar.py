"""The scholar: a learner with a generator, which teaches the learner that it becomes.

As a task comes, the generator of the tasks before draws images.  The new generator
learns from them and from the task's own images; the new solver from what the loss
transforms make of them (:func:`jaxcl.transforms.generated`).

References:
  Shin, Lee, Kim & Kim, Continual learning with deep generative replay, 2017
  (arXiv 1705.08690).
"""

import dataclasses
from collections.abc import Callable, Sequence
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.core.batching import map_batches, resident
from jaxcl.core.pytree import copy
from jaxcl.core.random import stream
from jaxcl.core.types import Array, Batch, Data, Int, Params, PRNGKey, UInt8
from jaxcl.growth.heads import NEVER, Setting, View, first_label, own_logits, run_view, view_of
from jaxcl.learner.state import Epoch, EpochPlan, Setup, new_task_weight, phase_key, task_key
from jaxcl.networks.base import Variables
from jaxcl.training.generative.generator import (
    GanState,
    Mixture,
    new_gan_state,
    no_totals,
    run_iterations,
    sample_images,
)
from jaxcl.training.generative.quality import found_in, quality, train_judge
from jaxcl.training.learner_state import Learner
from jaxcl.training.loop import means
from jaxcl.training.vectorized import StepRequest

CANDIDATES = 3  # images drawn for each that is kept, where classes are to be balanced
LABEL_BATCH = 500
JUDGED_IMAGES = 5000


@partial(jax.jit, static_argnames="view")
def classify(
    view: View, variables: Variables, images: UInt8[Array, "n h w c"], known: Int[Array, ""]
) -> Int[Array, "n"]:
    """Returns the most probable of the first ``known`` classes, where tasks share one output."""
    logits_of = own_logits(view, tuple(range(len(view.routes))))

    def one(batch: Batch) -> Array:
        logits = logits_of(run_view(view, variables, batch).outputs, batch)
        return jnp.argmax(jnp.where(jnp.arange(logits.shape[-1]) < known, logits, NEVER), -1)

    return map_batches(one, {"input": images}, LABEL_BATCH)


def balanced(key: PRNGKey, labels: Int[Array, "m"], n: int) -> Int[Array, "n"]:
    """Returns ``n`` rows drawn with replacement so that every label that occurs is as frequent."""
    counts = jnp.zeros(len(labels), jnp.int32).at[labels].add(1)
    chances = 1 / counts[labels]
    return jax.random.choice(key, len(labels), (n,), p=chances / chances.sum())


def imagine(setup: Setup, learner: Learner) -> UInt8[Array, "n h w c"] | None:
    """Returns images of the tasks before; None if there is no generator that has learned any.

    They are the same whenever they are asked for in a task before its solver trains.
    """
    if setup.scholar is None or not learner.model.generator:
        return None
    settings, gan = setup.config.generator, setup.scholar.gan
    assert settings is not None
    key = stream(task_key(learner), "imagine")
    judged = settings.balance and (setup.setting.joined or setup.setting.shared_head)
    n = settings.generated
    images = sample_images(gan, learner.model.generator, key, CANDIDATES * n if judged else n)
    if not judged:
        return images
    routes = learner.model.routes[: learner.at.task_index]
    view = view_of(setup.net, routes, setup.setting, setup.tasks.inputs)
    known = sum(setup.tasks.classes)
    if setup.setting.joined:  # outputs of classes still to come may be there already
        known = first_label(setup.setting, setup.tasks.classes, learner.at.task_index)
    labels = classify(view, learner.model.variables, images, jnp.int32(known))
    return images[balanced(stream(key, "balance"), labels, n)]


def _mixture(setup: Setup, learner: Learner, replayed: Array | None) -> Mixture:
    real = resident(setup.tasks.train[learner.at.task_index])["input"]
    if replayed is None:
        return Mixture(real, real[:1], jnp.float32(1))
    return Mixture(real, replayed, jnp.float32(new_task_weight(setup, learner.at.task_index)))


def plan_generator(
    setup: Setup, learner: Learner, epoch: Epoch, imagined: Array | None, *, last: bool
) -> tuple[Learner, EpochPlan]:
    """Prepares some iterations of the generator.

    Args:
      setup: of the run.
      learner: whose generator learns.
      epoch: an entry of its schedule.
      imagined: images of the tasks before.
      last: whether the generator has then learned the task.

    Returns:
      The learner with the state of the first iteration, and how the iterations are made.
    """
    program, gan = setup.scholar, learner.phase.gan
    assert program is not None
    if epoch.number == 0 and learner.at.step == 0:
        key = phase_key(learner, epoch)
        if gan is None or setup.config.training.scratch:
            gan = new_gan_state(program, key)
        gan = gan._replace(step=jnp.int32(0), key=key)
    assert gan is not None
    mixture, totals = _mixture(setup, learner, imagined), learner.phase.totals
    if totals is None:
        totals = no_totals(program, gan, mixture)

    def request(learner: Learner, first: np.int32, end: np.int32) -> StepRequest:
        given = program, learner.phase.gan, learner.phase.totals, (mixture,)
        return StepRequest(run_iterations, *given, first, end)

    def take(learner: Learner, gan: GanState) -> Learner:
        return learner.changed(gan=gan)

    finish = partial(_finish_iterations, setup, epoch, last)
    plan = EpochPlan(request, take, finish, remedy="--generator-lr")
    return learner.changed(gan=gan, totals=totals), plan


def _finish_iterations(
    setup: Setup, epoch: Epoch, last: bool, learner: Learner
) -> tuple[Learner, dict[str, float]]:
    """The learner after some iterations, and the means of their metrics."""
    assert learner.phase.gan is not None
    assert learner.phase.totals is not None
    found = means(learner.phase.totals.sums, epoch.steps)
    if last:  # a copy: the average itself is given away as the next task's training begins
        learner = learner.changed(generator=copy(learner.phase.gan.average))
        found |= {f"quality.{name}": value for name, value in _quality(setup, learner).items()}
    return learner.changed(epoch=learner.at.epoch + 1, step=0, totals=None), found


@dataclasses.dataclass(frozen=True)
class _RealImages:
    """The real images of all tasks, read when asked for; equal to those of the same labels."""

    checksum: str
    setting: Setting
    tasks: Callable[[], Sequence[Batch]] = dataclasses.field(compare=False)


@lru_cache(1)  # all seeds and tasks of an experiment are judged by the same network
def _judge(real: _RealImages) -> Params:
    return train_judge(stream(jax.random.key(0), "judge"), real.tasks())


def _quality(setup: Setup, learner: Learner) -> dict[str, float]:
    """Figures of what the generator makes, against the real images of the tasks so far.

    ``floor`` is the Frechet distance of as many real images that were held out.
    """
    assert setup.scholar is not None
    key, so_far = task_key(learner), learner.at.task_index + 1
    every = partial(_labelled, setup, setup.tasks.train)
    judge = _judge(_RealImages(setup.tasks.checksum, setup.setting, every))
    drawn = sample_images(
        setup.scholar.gan, learner.model.generator, stream(key, "quality"), JUDGED_IMAGES
    )
    tests = _labelled(setup, setup.tasks.test[:so_far])
    held_out = jnp.concatenate([task["input"] for task in tests])
    rows = jax.random.permutation(stream(key, "floor"), len(held_out))[:JUDGED_IMAGES]
    found = found_in(judge, _labelled(setup, setup.tasks.train[:so_far]))
    floor = quality(judge, found, held_out[rows])["frechet"]
    return {**quality(judge, found, drawn), "floor": floor}


def _labelled(setup: Setup, tasks: Sequence[Data]) -> list[Batch]:
    """Images of some tasks, with labels that are counted over all of the tasks."""
    told_apart = setup.setting.joined or setup.setting.shared_head
    found: list[Batch] = []
    for i, task in enumerate(map(resident, tasks)):
        offset = 0 if told_apart else sum(setup.tasks.classes[:i])
        found.append({"input": task["input"], "label": task["label"] + offset})
    return found


def pictures(setup: Setup, learner: Learner, n: int) -> UInt8[np.ndarray, "n h w c"]:
    """Draws images of the generator as it stands, of the same codes at any time."""
    assert setup.scholar is not None
    assert learner.phase.gan is not None
    key = stream(jax.random.key(learner.at.seed), "pictures")
    return np.asarray(sample_images(setup.scholar.gan, learner.phase.gan.average, key, n))
