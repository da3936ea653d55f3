"""From a configuration to what a run needs: checked settings, tasks, networks."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np
import optax

from jaxcl.core.errors import DataError, UsageError
from jaxcl.core.sharding import DATA, SEED, size
from jaxcl.core.types import Data
from jaxcl.growth.heads import first_label, setting
from jaxcl.learner.config import Config
from jaxcl.learner.configuration import data_kind
from jaxcl.learner.protocols import OWN, scenario_of
from jaxcl.learner.state import Setup, Tasks
from jaxcl.methods import METHODS
from jaxcl.methods.base import StreamInfo
from jaxcl.methods.replay import ExactReplay
from jaxcl.methods.split import TRAINED
from jaxcl.networks.gan import conv_gan, mlp_gan
from jaxcl.scenarios.checks import check_all
from jaxcl.scenarios.datasets import sources
from jaxcl.scenarios.derive import DERIVED, shuffled_classes, split
from jaxcl.scenarios.inputs import ready, spec_of
from jaxcl.scenarios.readers.files import read
from jaxcl.scenarios.settings import FileSettings, MadeSettings, SplitSettings
from jaxcl.scenarios.task import Task, as_batch, checksum, hold_out, limit, rgb32, size_text
from jaxcl.training.generator import GanProgram
from jaxcl.training.train_step import OPTIMIZERS
from jaxcl.transforms import LossTransform, chain, l2, replay
from jaxcl.transforms.wgan_gp import gradient_penalty


def check_config(config: Config) -> Config:
    """Returns the whole configuration if it can be run; raises UsageError if not."""
    method, network, data = config.check().method, config.network, config.data
    if type(data) is not data_kind(scenario_of(config.scenario)):
        raise UsageError(f"data: its settings are not those of scenario {config.scenario!r}")
    branches, columns = method.branches, method.columns
    if branches and not network.has_branches:
        others = ", ".join(name for name, each in METHODS.items() if not each.branches)
        raise UsageError(
            f"net: {network.name} has no layer that {method.name} can branch; give --net cnn, or"
            f" a --method that runs here: {others}"
        )
    if (branches or columns) and data.heads == "full":
        raise UsageError(f"heads: full needs one pathway; {method.name} has several, give growing")
    if columns and getattr(network, "initial", "he") != "he":
        raise UsageError(f"initial: {method.name} starts from he; leave it out")
    if columns and data.setting == "domain":
        raise UsageError(f"setting: {method.name} needs a head a task; give task or class")
    if branches and data.setting == "domain":
        raise UsageError(
            f"setting: {method.name} has branches for each task, and in the domain setting the"
            " task is unknown when it is tested; give task or class"
        )
    if config.together is None:  # a CPU is busy with one
        one = jax.default_backend() == "cpu" and size(SEED) == 1
        config = dataclasses.replace(config, together=1 if one else len(config.seeds))
    return config


def load_tasks(config: Config, progress: Callable[[str], None] = lambda text: None) -> list[Task]:
    """Returns the scenario's tasks in host memory, checked.

    Args:
      config: names the scenario and says where the data is.
      progress: told what is being read, when that takes a while.

    Raises:
      DataError: data that is missing, damaged or not fit to train on.
    """
    config = check_config(config)
    scenario, data = scenario_of(config.scenario), config.data
    if config.scenario == OWN:
        raise DataError("scenario: own has tasks that a program gave; give them again")
    tasks = [sources.load(name, data.data_dir, progress) for name in scenario.tasks]
    if scenario.make is not None:
        tasks = list(scenario.make())
    elif isinstance(data, FileSettings):
        tasks = of_file(data, progress)
    elif scenario.made is not None:
        assert isinstance(data, MadeSettings)
        order = data.order if isinstance(data, SplitSettings) else 0
        whole = shuffled_classes(tasks[0], order) if order else tasks[0]
        tasks = DERIVED[scenario.made](whole, data.tasks)
    tasks = [hold_out(limit(task, data.limit), data.validation) for task in tasks]
    return check_tasks(config, tasks)


def of_file(settings: FileSettings, progress: Callable[[str], None]) -> list[Task]:
    """Returns tasks of some classes each, of a data set of one's own.

    Raises:
      DataError: no such file, or one that holds no data set.
    """
    name, path = settings.data, Path(settings.data).expanduser()
    if name in (*sources.NAMES, *sources.REGISTERED) and not path.exists():
        whole = sources.load(name, settings.data_dir, progress)
    else:
        found = read(path)
        whole = Task(path.stem, *found[:4], len(found.classes))
    if settings.order:
        whole = shuffled_classes(whole, settings.order)
    each = settings.split_classes
    if each is None:
        return [whole]
    if whole.classes % each:
        raise DataError(
            f"split_classes: {whole.classes} classes of {whole.name} do not make tasks of {each};"
            " give a number that divides them"
        )
    return split(whole, whole.classes // each)


def check_tasks(config: Config, tasks: Sequence[Task]) -> list[Task]:
    """Returns the tasks if the configuration can be run on them; raises DataError if not."""
    tasks = check_all(tasks, config.training.batch_size)
    classes = {task.classes for task in tasks}
    if config.data.setting == "domain" and len(classes) > 1:
        raise DataError(
            "setting: domain needs as many classes in every task, and these have"
            f" {', '.join(map(str, sorted(classes)))}; give task or class"
        )
    if config.generator is not None:
        for task in tasks:
            own = jax.tree.leaves(task.train_inputs)
            if len(own) != 1 or own[0].dtype != np.uint8 or own[0].ndim != 4:
                raise DataError(
                    f"task {task.name!r}: inputs are {size_text(task.train_inputs)}, and a"
                    " generator makes images of bytes; give uint8 [n, height, width, channels], or"
                    " another method"
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
    tasks = check_tasks(config, tasks)
    chosen = setting(config.data.setting, config.data.heads)
    tasks = _alike(config, tasks)
    inputs = ready(config.data, tasks[0])
    classes = [task.classes for task in tasks]
    train: list[Data] = []
    test: list[Data] = []
    for i, task in enumerate(tasks):
        first = first_label(chosen, classes, i)
        train.append(as_batch(task.train_inputs, task.train_labels, i, first, stream=stream))
        test.append(as_batch(task.test_inputs, task.test_labels, i, first, stream=stream))
    losses, optimizer = transform(config, sum(classes)), make_optimizer(config)
    return Setup(
        config=config,
        tasks=Tasks(
            [task.name for task in tasks],
            classes,
            checksum(tasks),
            train,
            test,
            inputs,
            size_text(train[0]["image"]),
        ),
        setting=chosen,
        net=config.network.make(
            spec_of(inputs, tasks[0].train_inputs), columns=config.method.columns
        ),
        scholar=make_scholar(config, tasks[0]),
        transform=losses,
        optimizer=optimizer,
        compiled=(losses, optimizer),
    )


def transform(config: Config, classes: int) -> LossTransform:
    """Builds all that is done to the loss: replay weighs it, penalties add to it, L2 comes last.

    Args:
      config: of the run.
      classes: of all tasks.
    """
    made = config.method.losses(StreamInfo(classes, config.data.setting))
    if config.replay is not None and (memory := config.replay.memory(classes)) is not None:
        weight, temperature = config.replay.replay_weight, config.replay.temperature
        made = {"replay": replay(memory, weight=weight, temperature=temperature), **made}
    training = config.training
    return chain(**made, l2=l2(training.l2, training.later_l2))


def make_optimizer(config: Config) -> optax.GradientTransformationExtraArgs:
    """Builds the network's optimiser."""
    return OPTIMIZERS[config.training.optimizer](config.training.lr)


def check_stream(config: Config) -> None:
    """Raises a UsageError where a method needs all images on the device at once."""
    method, parts = config.method, size(DATA)
    similarity = getattr(method, "similarity", None)
    exact = isinstance(config.replay, ExactReplay)
    if method.on_all_data or config.generator or exact or similarity in TRAINED:
        what = similarity if similarity in TRAINED else method.name
        raise UsageError(f"stream: {what} needs all inputs on the device; leave it out")
    batch_size = config.training.batch_size
    if batch_size % parts:
        raise UsageError(
            f"batch_size: {batch_size} examples cannot be streamed to {parts} devices"
            f" evenly; give {batch_size // parts * parts or parts}"
        )


def _alike(config: Config, tasks: Sequence[Task]) -> list[Task]:
    """The tasks with images of one shape, as the network takes them."""
    shapes = {str(jax.tree.map(lambda x: x.shape[1:], task.train_inputs)) for task in tasks}
    differ = len(shapes) > 1
    if config.data.resize == "keep":
        if differ:
            raise UsageError("resize: keep, but inputs differ between tasks; give bilinear")
        return list(tasks)
    if config.network.takes_rgb or differ:  # other networks take images as they come
        return [rgb32(task, config.data.resize) for task in tasks]
    return list(tasks)


def make_scholar(config: Config, task: Task) -> GanProgram | None:
    """Builds how a generator of a task's images learns; None for a method without one.

    Raises:
      UsageError: images that the generator cannot make.
    """
    settings = config.generator
    if settings is None:
        return None
    make = {"mlp": mlp_gan, "conv": conv_gan}[settings.generator]
    try:
        gan = make(task.train_inputs.shape[1:], latent=settings.latent)
    except ValueError as error:
        raise UsageError(f"generator: {error}; give mlp") from error
    penalty = chain(penalty=gradient_penalty(settings.gradient_penalty))
    optimizer = optax.adam(settings.generator_lr, b1=0.5, b2=0.9)
    sizes = settings.critic_steps, settings.generator_batch
    return GanProgram(gan, penalty, optimizer, *sizes, settings.average)
