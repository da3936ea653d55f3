"""The names of data sets, and what is known of each before it is read.

Light to import (no JAX, no NumPy), so that a list of them is there at once.
"""

from collections.abc import Callable
from typing import Any, NamedTuple


class Source(NamedTuple):
    """A data set, or a part of one.

    Attributes:
      tfds_name: name of the TFDS builder, with its configuration.
      classes: number of classes that are kept.
      first_label: raw label of the first of them.
      partial: whether other classes are in the raw data, to be left out.
      transposed: whether rows and columns are exchanged in the raw images.
      module: that defines the builder, where TFDS has none of that name.
      group: name of the feature that says which classes belong together, such as characters of an
        alphabet.  Then the two raw splits have other classes each, and both are taken apart
        (:mod:`~jaxcl.scenarios.datasets.drawings`).
    """

    tfds_name: str
    classes: int
    first_label: int = 0
    partial: bool = False
    transposed: bool = False
    module: str = ""
    group: str = ""


SOURCES = {
    "mnist": Source("mnist", 10),
    "fashion_mnist": Source("fashion_mnist", 10),
    "cifar10": Source("cifar10", 10),
    "cifar100": Source("cifar100", 100),
    "emnist/letters": Source("emnist/letters", 26, 1, transposed=True),
    "emnist/upper": Source("emnist/byclass", 26, 10, partial=True, transposed=True),
    "svhn_cropped": Source("svhn_cropped", 10),
    "usps": Source("usps", 10, module="jaxcl.scenarios.datasets.usps"),
    "omniglot": Source("omniglot", 1623, group="alphabet"),
}


class Frozen(NamedTuple):
    """A data set of features.

    Attributes:
      images: the data set that they are made of.
      backbone: name of the network that makes them.
      width: values of an image's features.
    """

    images: str
    backbone: str
    width: int


FROZEN = {
    f"{images}_lite0": Frozen(images, "efficientnet_lite0", 1280)
    for images in ("cifar100", "omniglot")
}
"""Data sets of features, by name."""

BUILT_IN = ("digits", "letters", "photos")
"""Data sets that need no file."""

BLENDED = {"mnist_m": ("mnist", "cifar10"), "digits_m": ("digits", "photos")}
"""Data sets that are made of two others: figures and photographs."""

NAMES = (*BUILT_IN, *SOURCES, *BLENDED, *FROZEN)
REGISTERED: dict[str, Callable[[], Any]] = {}
"""Data sets that plug-ins have added."""
