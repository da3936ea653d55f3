"""Features of a data set's images, made once by a backbone that stays as it is.

They lie in the user's cache folder in portions, so that who is stopped goes on where it was.
"""

import hashlib
import time
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from jaxcl.core.cache import cached, folder
from jaxcl.scenarios.task import Task

LAYOUT = 1  # of what the cache keeps; another number is made anew
PORTION = 1000  # images whose features are kept at a time
TOLD = 10  # times that progress is told of


class Backbone(NamedTuple):
    """A network from images to features.

    Attributes:
      tag: of its weights, the size of the images and all else that decides the features.
      make: loads the weights; gives ``images -> features``, of bytes ``[n, height, width,
        channels]`` float32 ``[n, width]``, each image by itself.
    """

    tag: str
    make: Callable[[], Callable[[ndarray], ndarray]]


def with_features(
    task: Task, backbone: Backbone, progress: Callable[[str], None] = lambda text: None
) -> Task:
    """Returns the task with float32 features ``[n, width]`` for inputs.

    What was made before is read; a damaged portion is made anew.  The folder is named by a hash
    of the backbone's tag and of all images, so others never serve.

    Args:
      task: of images, bytes ``[n, height, width, channels]``.
      backbone: is loaded if any portion is missing.
      progress: told how far it is, ten times.

    Raises:
      DataError: weights that are missing or damaged; of ``backbone.make``.
    """
    where = folder() / "features" / f"{task.name.replace('/', '-')}-{_hash(task, backbone)}"
    loaded, told = cache(backbone.make), _Told(task, progress)

    def of(split: str, images: ndarray) -> ndarray:
        found = []
        for first in range(0, len(images), PORTION):
            part = images[first : first + PORTION]

            def make(part: ndarray = part) -> dict[str, ndarray]:
                told.begun(where)
                return {"features": np.asarray(loaded()(part), np.float32)}

            found.append(cached(where / f"{split}-{first:07d}.npz", make)["features"])
            told.done(len(part))
        return np.concatenate(found)

    train, test = of("train", task.train_inputs), of("test", task.test_inputs)
    return task._replace(train_inputs=train, test_inputs=test)


def _hash(task: Task, backbone: Backbone) -> str:
    """What the features follow from: the backbone and all images."""
    found = hashlib.sha256(repr((LAYOUT, PORTION, backbone.tag)).encode())
    for images in (task.train_inputs, task.test_inputs):
        found.update(repr((images.dtype, images.shape)).encode())
        found.update(np.ascontiguousarray(images).data)
    return found.hexdigest()[:16]


class _Told:
    """Tells how many images are done, once any features have to be made."""

    def __init__(self, task: Task, progress: Callable[[str], None]) -> None:
        self.task, self.progress = task, progress
        self.all = len(task.train_inputs) + len(task.test_inputs)
        self.seen = self.first = self.tenths = 0
        self.since: float | None = None

    def begun(self, where: object) -> None:
        if self.since is None:
            self.since, self.first = time.perf_counter(), self.seen
            self.progress(f"making features of {self.task.name} (once; kept in {where})")

    def done(self, n: int) -> None:
        self.seen += n
        tenths = TOLD * self.seen // self.all
        if self.since is None or tenths == self.tenths or self.seen == self.all:
            return
        self.tenths = tenths
        each = (time.perf_counter() - self.since) / (self.seen - self.first)
        left = each * (self.all - self.seen)
        time_left = f"{left:.0f} s" if left < 100 else f"{left / 60:.0f} min"
        self.progress(f"{self.seen:,} of {self.all:,} images, about {time_left} left")
