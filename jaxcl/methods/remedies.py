"""From settings to what fights forgetting: the transforms and memories of the methods."""

from collections.abc import Callable

from jaxcl.methods.config import Config
from jaxcl.transforms import LossTransform, der, distill, ewc, mas, online_ewc, si
from jaxcl.transforms.rehearsal import buffers
from jaxcl.transforms.rehearsal.memory import Memory, fraction, generated, noise, per_class, stored

Make = Callable[[Config, int], LossTransform]
"""(whole settings, classes of all tasks) -> a transform of the loss."""


def filled(value: float | None) -> float:
    """A setting that the scenario's protocol has filled in."""
    assert value is not None
    return value


def distilled(config: Config, classes: int, *, on_generated: bool = False) -> LossTransform:
    """Old responses: to the new images, or to those of a generator."""
    del classes
    lam, temperature = filled(config.lam), filled(config.temperature)
    # Where all classes compete, new ones had no share in the old responses.
    padded = config.setting == "class"
    return distill(
        lam,
        temperature,
        t_squared=bool(config.t_squared),
        weighting=config.lwf_weighting or "one",
        padded=padded,
        generated=on_generated,
    )


def with_ewc(config: Config, classes: int) -> LossTransform:
    """A penalty for each task before."""
    del classes
    return ewc(filled(config.strength), fisher=config.fisher, n=config.fisher_examples)


def with_online_ewc(config: Config, classes: int) -> LossTransform:
    """A penalty with one running Fisher."""
    del classes
    n = config.fisher_examples
    return online_ewc(filled(config.strength), config.decay, fisher=config.fisher, n=n)


def with_si(config: Config, classes: int) -> LossTransform:
    """A penalty from the path integral."""
    del classes
    return si(filled(config.strength), xi=config.xi)


def with_mas(config: Config, classes: int) -> LossTransform:
    """A penalty from the sensitivity of the outputs."""
    del classes
    return mas(filled(config.strength), n=config.fisher_examples)


def _kept(config: Config, classes: int) -> Memory:
    """What experience replay keeps: so many a class, a part of each task, or a buffer."""
    if config.per_class is not None:
        return per_class(config.per_class)
    if config.buffer is None:
        return fraction(filled(config.ratio))
    storages = {
        "reservoir": lambda m: buffers.reservoir(m),
        "ring": lambda m: buffers.ring(m),
        "class_balanced": lambda m: buffers.class_balanced(m, classes),
    }
    return stored(storages[config.storage](config.buffer))


def with_der(config: Config, classes: int) -> LossTransform:
    """Kept images with the logits they had."""
    per_class = 100 if config.per_class is None else config.per_class
    room = per_class * classes if config.buffer is None else config.buffer
    return der(room, classes, alpha=config.alpha, beta=config.beta)


MEMORIES: dict[str, Callable[[Config, int], Memory]] = {
    "buffer": _kept,
    "exact": lambda config, classes: fraction(1.0),
    "noise": lambda config, classes: noise(),
    "generative": lambda config, classes: generated(soft=config.labels == "soft"),
}
"""What can be replayed, by the name that settings give it."""
