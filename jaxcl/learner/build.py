"""From a configuration to what a run needs: checked settings, tasks, networks."""

import dataclasses
import math
from collections.abc import Callable, Sequence

import jax
import numpy as np
import optax

from jaxcl.core.errors import DataError, UsageError, check_name
from jaxcl.core.sharding import DATA, SEED, size
from jaxcl.core.types import Data
from jaxcl.growth.heads import first_label, setting
from jaxcl.learner.state import Setup
from jaxcl.methods.config import TRAINED, Config
from jaxcl.methods.resolve import resolve
from jaxcl.methods.table import METHODS, generates, transform, union
from jaxcl.networks import Net, cnn, columns, mlp
from jaxcl.networks.gan import conv_gan, mlp_gan
from jaxcl.scenarios import sources
from jaxcl.scenarios.derive import DERIVED, shuffled_classes
from jaxcl.scenarios.protocols import SCENARIOS
from jaxcl.scenarios.task import Task, as_batch, check_all, checksum, hold_out, limit, rgb32
from jaxcl.training.generator import GanProgram
from jaxcl.training.train_step import OPTIMIZERS
from jaxcl.transforms import chain
from jaxcl.transforms.wgan_gp import gradient_penalty

SMALLEST = 6  # images that two convolutions and a pooling leave something of


def check_config(config: Config) -> Config:
    """Returns the whole configuration if it can be run; raises UsageError if not."""
    check_name("method", config.method, METHODS)
    method = METHODS[config.method]
    config = resolve(config.check())
    if config.replay is not None and (method.replay is not None or method.data is union):
        raise UsageError(f"replay: {config.method} has its own earlier images; leave it out")
    rule, columns = method.branches, method.columns
    if rule and not columns and config.net != "cnn":
        others = ", ".join(name for name, each in METHODS.items() if not each.branches)
        raise UsageError(
            f"net: {config.net} has no layer that {config.method} can branch; give --net cnn, or"
            f" a --method that runs here: {others}"
        )
    if (rule or columns) and config.setting == "class" and config.heads == "full":
        raise UsageError(
            f"heads: full needs one pathway; {config.method} has several, give growing"
        )
    if config.initial is not None and (columns or config.net == "cnn"):
        who = config.method if columns else "the cnn"
        raise UsageError(f"initial: {who} starts from he; leave it out, or give another net")
    if columns and config.setting == "domain":
        raise UsageError(f"setting: {config.method} needs a head a task; give task or class")
    if rule and config.setting == "domain":
        raise UsageError(
            f"setting: {config.method} has branches for each task, and in the domain setting the"
            " task is unknown when it is tested; give task or class"
        )
    if config.together is None:  # a CPU is busy with one
        one = jax.default_backend() == "cpu" and size(SEED) == 1
        config = dataclasses.replace(config, together=1 if one else len(config.seeds))
    return config.check()


def load_tasks(config: Config, progress: Callable[[str], None] = lambda text: None) -> list[Task]:
    """The scenario's tasks in host memory, checked.

    Args:
      config: names the scenario and says where the data is.
      progress: told what is being read, when that takes a while.

    Raises:
      DataError: data that is missing, damaged or not fit to train on.
    """
    config = check_config(config)
    scenario = SCENARIOS[config.scenario]
    tasks = [sources.load(name, config.data_dir, progress) for name in scenario.tasks]
    if scenario.made is not None:
        assert config.tasks is not None
        whole = shuffled_classes(tasks[0], config.order) if config.order else tasks[0]
        tasks = DERIVED[scenario.made](whole, config.tasks)
    tasks = [hold_out(limit(task, config.limit), config.validation) for task in tasks]
    return fit(config, tasks)


def fit(config: Config, tasks: Sequence[Task]) -> list[Task]:
    """The tasks if the configuration can be run on them; raises DataError if not."""
    assert config.batch_size is not None
    tasks = check_all(tasks, config.batch_size)
    classes = {task.classes for task in tasks}
    if config.setting == "domain" and len(classes) > 1:
        raise DataError(
            "setting: domain needs as many classes in every task, and these have"
            f" {', '.join(map(str, sorted(classes)))}; give task or class"
        )
    if generates(config):
        for task in tasks:
            if task.train_images.dtype != np.uint8:
                raise DataError(
                    f"task {task.name!r}: images are {task.train_images.dtype}, and a generator"
                    " makes bytes; give uint8, or another method"
                )
    return tasks


def set_up(config: Config, tasks: Sequence[Task], *, stream: bool = False) -> Setup:
    """Brings the tasks to the device and builds what all seeds have in common.

    Args:
      config: of the run.
      tasks: in order.
      stream: leave images on the host; steps get them a window at a time.

    Raises:
      UsageError: a setting that cannot be used; a method that cannot be streamed to.
    """
    config = check_config(config)
    if stream:
        check_stream(config)
    assert config.optimizer is not None
    assert config.lr is not None
    tasks = fit(config, tasks)
    method, chosen = METHODS[config.method], setting(config.setting, config.heads)
    tasks = _alike(config, tasks)
    classes = [task.classes for task in tasks]
    train: list[Data] = []
    test: list[Data] = []
    for i, task in enumerate(tasks):
        first = first_label(chosen, classes, i)
        train.append(as_batch(task.train_images, task.train_labels, i, first, stream=stream))
        test.append(as_batch(task.test_images, task.test_labels, i, first, stream=stream))
    losses, optimizer = transform(config, sum(classes)), OPTIMIZERS[config.optimizer](config.lr)
    return Setup(
        config=config,
        method=method,
        setting=chosen,
        transform=losses,
        net=make_net(config, tasks[0].train_images.shape[1:]),
        scholar=make_scholar(config, tasks[0].train_images.shape[1:]),
        optimizer=optimizer,
        compiled=(losses, optimizer),
        names=[task.name for task in tasks],
        classes=classes,
        data=checksum(tasks),
        train=train,
        test=test,
    )


def check_stream(config: Config) -> None:
    """Raises a UsageError where a method needs all images on the device at once."""
    method, parts = METHODS[config.method], size(DATA)
    trained = method.branches and config.similarity in TRAINED
    exact = (config.replay or method.replay) == "exact"
    if method.data is union or generates(config) or exact or trained:
        what = config.similarity if trained else config.method
        raise UsageError(f"data: {what} needs all images on the device; leave stream out")
    assert config.batch_size is not None
    if config.batch_size % parts:
        raise UsageError(
            f"batch_size: {config.batch_size} examples cannot be streamed to {parts} devices"
            f" evenly; give {config.batch_size // parts * parts or parts}"
        )


def _alike(config: Config, tasks: Sequence[Task]) -> list[Task]:
    """The tasks with images of one shape, as the network takes them."""
    differ = len({task.train_images.shape[1:] for task in tasks}) > 1
    if config.resize == "keep":
        if differ:
            raise UsageError("resize: keep, but images differ between tasks; give bilinear")
        return list(tasks)
    assert config.resize is not None
    if config.net == "cnn" or differ:  # other networks take images as they come
        return [rgb32(task, config.resize) for task in tasks]
    return list(tasks)


def make_net(config: Config, shape: tuple[int, ...]) -> Net:
    """The configured network for images of a shape ``(height, width, channels)``."""
    progressive = METHODS[config.method].columns
    if config.net == "cnn":
        height, width, channels = shape
        if height != width or height < SMALLEST:
            raise UsageError(f"resize: keep, but images are {height}x{width}; give bilinear")
        return (columns if progressive else cnn)(size=height, channels=channels)
    hidden = config.hidden or ()
    if progressive:
        return columns(size=1, channels=math.prod(shape), filters=(), hidden=hidden)
    assert config.initial is not None
    return mlp(math.prod(shape), hidden, initial=config.initial)


def make_scholar(config: Config, shape: tuple[int, ...]) -> GanProgram | None:
    """How a generator of images of a shape learns; None for a method without one.

    Raises:
      UsageError: images that the generator cannot make.
    """
    if not generates(config):
        return None
    make = {"mlp": mlp_gan, "conv": conv_gan}[config.generator]
    try:
        gan = make(shape, latent=config.latent)
    except ValueError as error:
        raise UsageError(f"generator: {error}; give mlp") from error
    penalty = chain(penalty=gradient_penalty(config.gradient_penalty))
    optimizer = optax.adam(config.generator_lr, b1=0.5, b2=0.9)
    sizes = config.critic_steps, config.generator_batch
    return GanProgram(gan, penalty, optimizer, *sizes, config.average)
