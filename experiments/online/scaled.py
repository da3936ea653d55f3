"""All of CIFAR-10 in one pass with images from -1 to 1, as the authors of ER-ACE scale them.

A plug-in, for ``--plugin experiments/online/scaled.py --scenario scaled-cifar10``; the data set is
looked for where ``TFDS_DATA_DIR`` says.
"""

import dataclasses

import numpy as np

import jaxcl
from jaxcl.learner.settings.natural_images import ONLINE
from jaxcl.scenarios import Task, load


def scaled_cifar10() -> list[Task]:
    """Returns CIFAR-10 as a single task, its images as float32 from -1 to 1."""
    task = load("cifar10", None, print)
    images = {name: _scaled(getattr(task, name)) for name in ("train_inputs", "test_inputs")}
    return [task._replace(**images)]


def _scaled(images: np.ndarray) -> np.ndarray:
    return images.astype(np.float32) / 127.5 - 1


jaxcl.register_scenario(
    scaled_cifar10,
    summary="CIFAR-10 in one task and one pass, images from -1 to 1",
    protocol=ONLINE._replace(data=dataclasses.replace(ONLINE.data, augment=(), normalise=False)),
)
