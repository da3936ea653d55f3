"""USPS digits, as a builder that TensorFlow Datasets has none of.

Importing this module is enough for ``tfds.builder("usps")``.
"""

import bz2
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from numpy import ndarray
from sklearn.datasets import load_svmlight_file

URL = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/"
FILES = {"train": "usps.bz2", "test": "usps.t.bz2"}
MD5 = {"train": "ec16c51db3855ca6c91edd34d0e9b197", "test": "8ea070ee2aca1ac39742fdd1ef5ed118"}
"""As many programs have them, torchvision among them."""
SIDE = 16


class Usps(tfds.core.GeneratorBasedBuilder):
    """16x16 grey digits from envelopes, white on black: 7,291 for training, 2,007 for testing.

    References:
      Hull, A database for handwritten text recognition research, 1994; in the form that LIBSVM
      distributes, whose lines are ``label index:value ...`` with labels 1 to 10 and values from
      -1 to 1.
    """

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> Any:
        features = {
            "image": tfds.features.Image(shape=(SIDE, SIDE, 1), encoding_format="png"),
            "label": tfds.features.ClassLabel(num_classes=10),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description="USPS digits, 16x16.",
            features=tfds.features.FeaturesDict(features),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        found = dl_manager.download({split: URL + file for split, file in FILES.items()})
        for split, path in found.items():
            if hashlib.md5(Path(path).read_bytes()).hexdigest() != MD5[split]:
                raise ValueError(f"{FILES[split]} is not the file that was published")
        return {split: self._generate_examples(Path(path)) for split, path in found.items()}

    def _generate_examples(self, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
        images, labels = read_libsvm(path)
        for row, (image, label) in enumerate(zip(images, labels, strict=True)):
            yield row, {"image": image, "label": int(label)}


def read_libsvm(path: Path) -> tuple[ndarray, ndarray]:
    """Returns bytes ``[n, 16, 16, 1]`` and labels int ``[n]`` from 0, of a compressed file."""
    with bz2.open(path) as file:
        rows, labels = load_svmlight_file(file, n_features=SIDE**2)
    bytes_ = np.rint((rows.toarray() + 1) * (255 / 2)).astype(np.uint8)
    return bytes_.reshape(-1, SIDE, SIDE, 1), labels.astype(np.int32) - 1
