"""From a configuration to what a run needs: checked settings, tasks, networks."""

import dataclasses
from collections.abc import Sequence

import jax
import optax

from jaxcl.core.batching import examples
from jaxcl.core.errors import UsageError
from jaxcl.core.sharding import DATA, SEED, size
from jaxcl.core.types import Data
from jaxcl.growth.heads import SETTINGS, first_label, setting
from jaxcl.growth.parameters import check_precision
from jaxcl.growth.plasticity import hidden_units
from jaxcl.growth.routing import check_activations
from jaxcl.learner.settings.config import Config
from jaxcl.learner.settings.configuration import data_kind
from jaxcl.learner.settings.protocols import scenario_of
from jaxcl.learner.state import Setup, Tasks
from jaxcl.learner.tasks import alike, check_tasks
from jaxcl.methods import METHODS
from jaxcl.methods.base import StreamInfo
from jaxcl.methods.replay import ExactReplay, GenerativeReplay
from jaxcl.methods.split import TRAINED
from jaxcl.networks.gan import conv_gan, mlp_gan
from jaxcl.scenarios.inputs import check_augment, ready, spec_of
from jaxcl.scenarios.task import Task, as_batch, checksum, size_text
from jaxcl.training.generative.generator import GanProgram
from jaxcl.training.program import OPTIMIZERS
from jaxcl.transforms import OBJECTIVES, LossTransform, Units, chain, l2, replay
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
    if (why := method.refuses.get(str(data.setting))) is not None:
        allowed = " or ".join(name for name in SETTINGS if name not in method.refuses)
        raise UsageError(f"setting: {why}; give {allowed}")
    if config.training.scratch and method.follows_weights:
        raise UsageError(
            f"scratch: {method.name} needs the weights that training began with, and each task"
            " would begin with others; give --scratch False, or another method"
        )
    if config.training.loss != "categorical" and data.setting == "class":
        raise UsageError(f"loss: {config.training.loss} tells no classes apart; give setting task")
    _check_augmentation(config)
    if config.together is None:  # a CPU is busy with one
        one = jax.default_backend() == "cpu" and size(SEED) == 1
        config = dataclasses.replace(config, together=1 if one else len(config.seeds))
    return config


def _check_augmentation(config: Config) -> None:
    """Raises a UsageError for an unknown one, and where old responses would not hold for it."""
    check_augment(config.data)
    soft = isinstance(config.replay, GenerativeReplay) and config.replay.labels == "soft"
    if config.data.augment and (soft or config.method.generates):
        raise UsageError(
            "augment: old responses to generated images do not hold for augmented ones; leave it"
            " out, or give dgr with --labels hard"
        )


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
    chosen = setting(config.data.setting, config.data.heads, one_head=config.one_head)
    tasks = alike(config, tasks)
    inputs = ready(config.data, tasks[0])
    classes = [task.classes for task in tasks]
    firsts = [first_label(chosen, classes, i) for i in range(len(tasks))]
    train, test = _on_device(tasks, firsts, stream=stream)
    check_steps(config, [examples(data) for data in train], sum(classes))
    names, kind = [task.name for task in tasks], size_text(train[0]["input"])
    seen = spec_of(inputs, tasks[0].train_inputs)
    net = config.network.make(seen, columns=config.method.columns)
    check_precision(net)
    if config.method.branches:
        check_activations(net, seen)
    objective = OBJECTIVES[config.training.loss]
    units = hidden_units(net, inputs, seen) if config.method.resets_units else None
    whole, optimizer = transform(config, sum(classes), units), make_optimizer(config)
    return Setup(
        config=config,
        tasks=Tasks(
            names,
            classes,
            checksum(tasks),
            train,
            test,
            inputs,
            kind,
            objective,
            [task.class_names for task in tasks],
        ),
        setting=chosen,
        net=net,
        scholar=make_scholar(config, tasks[0]),
        transform=whole,
        optimizer=optimizer,
        compiled=(whole, optimizer),
    )


def _on_device(
    tasks: Sequence[Task], firsts: Sequence[int], *, stream: bool
) -> tuple[list[Data], list[Data]]:
    """Training and test data of the tasks, whose labels begin at the first ones given."""
    train: list[Data] = []
    test: list[Data] = []
    for i, (task, first) in enumerate(zip(tasks, firsts, strict=True)):
        train.append(as_batch(task.train_inputs, task.train_labels, i, first, stream=stream))
        test.append(as_batch(task.test_inputs, task.test_labels, i, first, stream=stream))
    return train, test


def losses(config: Config, classes: int, units: Units | None = None) -> dict[str, LossTransform]:
    """Returns all that is done to the loss: replay weighs it, penalties add to it, L2 comes last.

    Args:
      config: of the run.
      classes: of all tasks.
      units: hidden ones of the network, for a method that asks for them.
    """
    training, objective = config.training, OBJECTIVES[config.training.loss]
    made = config.method.losses(StreamInfo(classes, config.data.setting, objective, units))
    if not isinstance(made, dict) or not all(isinstance(t, LossTransform) for t in made.values()):
        text = f"the losses of {config.method.name} are {made!r:.60}"
        raise UsageError(f"method: {text}; return a dict of transforms")
    if config.replay is not None and (memory := config.replay.memory(classes)) is not None:
        how = {**config.replay.options(), "objective": objective}
        try:
            made = {"replay": replay(memory, **how), **made}
        except ValueError as error:  # a memory that goes by classes, and there are none
            raise UsageError(str(error)) from error
    return {**made, "l2": l2(training.l2, training.later_l2)}


def transform(config: Config, classes: int, units: Units | None = None) -> LossTransform:
    """Builds the chain of :func:`losses`."""
    return chain(**losses(config, classes, units))


def predicting(config: Config, classes: int) -> tuple[str, LossTransform] | None:
    """Returns the loss that predicts in place of the logits, with its name, if one does."""
    every = losses(config, classes).items()
    return next(((name, each) for name, each in every if each.predict is not None), None)


def make_optimizer(config: Config) -> optax.GradientTransformationExtraArgs:
    """Builds the network's optimiser."""
    return OPTIMIZERS[config.training.optimizer](config.training.lr)


def check_steps(config: Config, seen: Sequence[int], classes: int) -> None:
    """Raises a UsageError where a task is trained on fewer examples than a batch has."""
    trained, method = config.method.trained_examples(seen[:1], classes), config.method
    if trained < config.training.batch_size:
        raise UsageError(
            f"batch_size: {config.training.batch_size} examples, and {method.name} trains on"
            f" {trained} of them; give {trained} at most, or a larger --buffer"
        )


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
