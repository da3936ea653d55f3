"""Successive halving: many points for a short time, the best of them for longer.

Jamieson & Talwalkar, Non-stochastic best arm identification and hyperparameter
optimization, 2016 (arXiv 1502.07943).
"""

from collections.abc import Sequence
from typing import Any

from jaxcl.core.errors import UsageError
from jaxcl.learner.settings.config import Config
from jaxcl.reporting import tuning


def parts(points: int, factor: int, steps: int) -> list[int]:
    """Returns by how much the length of training is divided in each round; 1 in the last.

    Args:
      points: of the grid.
      factor: one in so many goes on to the next round, trained so many times as long.
      steps: epochs, or iterations, of a task: no round trains a smaller part than one of them.

    Raises:
      UsageError: a factor below 2.

    >>> parts(9, 3, 60), parts(20, 3, 60), parts(2, 3, 60), parts(9, 3, 6)
    ([9, 3, 1], [9, 3, 1], [1], [3, 1])
    """
    if factor < 2:
        raise UsageError(f"halving: {factor} leaves nothing out; give 2 or more")
    found = [1]
    while found[0] * factor <= min(points, steps):
        found.insert(0, found[0] * factor)
    return found


def shortened(config: Config, part: int) -> Config:
    """Returns the configuration with so many times fewer steps a task, at least one.

    Those of a generator are fewer, too.

    >>> from jaxcl.learner.settings.configuration import configure
    >>> shortened(configure(epochs=6), 4).training.epochs
    1
    """
    training, generator = config.training, config.generator
    if generator is not None:
        config = config.changed(generator_steps=max(1, generator.generator_steps // part))
    if training.epochs is not None:
        return config.changed(epochs=max(1, training.epochs // part))
    assert training.iterations is not None
    return config.changed(iterations=max(1, training.iterations // part))


def best(tried: Sequence[tuning.Tried], factor: int) -> list[dict[str, Any]]:
    """Returns one in so many of the points, those that did best, in the order of the grid."""
    ended = [each for each in tried if each.summary is not None]
    ranked = sorted(ended, key=tuning.score, reverse=True)
    chosen = ranked[: max(1, len(tried) // factor)]
    return [each.point for each in tried if any(each is other for other in chosen)]
