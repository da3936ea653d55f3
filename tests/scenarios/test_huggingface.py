"""Objects that behave as those of the package ``datasets`` do."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from jaxcl.core.errors import DataError
from jaxcl.scenarios.readers.files import from_huggingface


class Column:
    """A sequence, which gives its values one by one."""

    def __init__(self, values):
        self.values = values

    def __len__(self):
        return len(self.values)

    def __getitem__(self, row):
        return self.values[row]


class Dataset:
    """Columns under their names, and names of classes for one of them."""

    def __init__(self, names=None, **columns):
        self.columns = columns
        self.column_names = list(columns)
        self.features = {name: SimpleNamespace() for name in columns}
        if names:
            self.features["label"] = SimpleNamespace(names=names)

    def __getitem__(self, name):
        return Column(self.columns[name])


def images(*values, size=(4, 3), mode="L"):
    return [Image.new(mode, size, value) for value in values]


LABELS = [1, 0, 1, 0]


def refused(message, dataset, **arguments):
    with pytest.raises(DataError, match=message) as error:
        from_huggingface(dataset, **arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("split", ["test", "validation"])
def test_inputs_and_the_names_of_their_classes(split):
    names = ["cat", "apple", "never"]
    train = Dataset(names, image=images(1, 2, 3, 4), label=LABELS)
    test = Dataset(names, image=images(5, 6), label=[0, 1])
    other = Dataset(names, image=images(7), label=[0])
    splits = {"train": train, split: test, "unsupervised": other}
    if split == "test":
        splits = {"validation": other, **splits}
    found = from_huggingface(splits)
    assert found.train_inputs.shape == (4, 3, 4, 1)
    assert found.train_inputs.dtype == np.uint8
    assert found.train_inputs[:, 0, 0, 0].tolist() == [1, 2, 3, 4]
    assert found.test_inputs[:, 2, 3, 0].tolist() == [5, 6]
    assert found.train_labels.tolist() == LABELS
    assert found.test_labels.tolist() == [0, 1]
    assert found.classes == ("cat", "apple")


@pytest.mark.parametrize(
    ("values", "shape", "dtype"),
    [
        ([0.5, 1.5, 2.5, 3.5], (1,), np.float32),
        ([[1, 2, 3]] * 4, (3,), np.int32),
        ([np.ones((2, 3), np.float32)] * 4, (2, 3), np.float32),
        (np.ones((4, 5, 6, 3), np.uint8), (5, 6, 3), np.uint8),
    ],
)
def test_numbers_and_arrays_with_a_part_held_out(values, shape, dtype):
    found = from_huggingface(Dataset(value=values, kind=["b", "a", "b", "a"]), "value", "kind")
    assert found.train_inputs.shape == (2, *shape)
    assert found.train_inputs.dtype == dtype
    assert found.classes == ("a", "b")
    assert sorted(found.test_labels) == [0, 1]


def test_a_column_stays_with_its_label():
    """Each number says its label."""
    found = from_huggingface(Dataset(other=[0] * 4, x=[1.0, 0.0, 1.0, 0.0], label=LABELS), "x")
    np.testing.assert_array_equal(found.train_inputs[:, 0], found.train_labels)
    np.testing.assert_array_equal(found.test_inputs[:, 0], found.test_labels)


def test_what_cannot_be_read_is_refused():
    x = [[0.0, 1.0]] * 4
    train = Dataset(x=x, label=LABELS)
    stream = SimpleNamespace(column_names=["x", "label"])
    refused("dataset: a list; give a datasets.Dataset", [1, 2])
    refused("dataset: a SimpleNamespace; .* not streamed", stream)
    refused(r"dataset: 'train' is not among its splits \['test'\]", {"test": train})
    refused("dataset, test: a list; give", {"train": train, "test": [1]})
    refused(
        r"inputs: 2 columns beside 'label', \['x', 'y'\]; give", Dataset(x=x, y=x, label=LABELS)
    )
    refused("inputs: 'z' is no column of the split 'train'; give one of", train, inputs="z")
    refused("label: 'fine' is no column of the split 'train'", train, inputs="x", label="fine")
    refused("inputs are <U5; give", Dataset(text=["words"] * 4, label=LABELS))
    refused(
        "dataset, train, x: values of several shapes; give", Dataset(x=[[1], [1, 2]], label=[0, 1])
    )
    refused("labels are object; give integers", Dataset(x=x, label=[0, 1, None, 1]))
    refused("-1 to 1, but there are 2 names; remove", Dataset("ab", x=x, label=[0, 1, -1, 1]))
    refused("0 to 2, but there are 2 names", Dataset("ab", x=x, label=[0, 1, 2, 1]))
    refused("0 examples", Dataset(x=np.ones((0, 2), np.float32), label=np.ones(0, int)))


def test_the_row_of_an_image_that_differs_is_named():
    wide = images(1, 2) + images(3, size=(5, 3)) + images(4)
    refused(
        r"dataset, train, image, row 2: 5 wide, 3 high .* but .* row 0 is 4 wide",
        Dataset(image=wide, label=LABELS),
    )
    gap = [*images(1, 2, 3), None]
    refused("row 3: a NoneType and no image; remove", Dataset(image=gap, label=LABELS))
    both = {"train": images(1, 2, 3, 4, mode="RGB"), "test": images(1, 2, 3, 4)}
    refused(
        r"dataset, test: an input has the shape \[3, 4, 1\], and \[3, 4, 3\] in training",
        {split: Dataset(image=values, label=LABELS) for split, values in both.items()},
    )
