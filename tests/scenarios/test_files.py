"""Data sets from one's own files: every value by hand, and what is refused."""

import numpy as np
import pytest

from jaxcl.core.errors import DataError
from jaxcl.scenarios.readers.arrays import Part, join
from jaxcl.scenarios.readers.files import read


@pytest.fixture
def split():
    """The four arrays of a small data set: grey images of bytes, classes 3, 7 and 11."""
    rng = np.random.default_rng(0)
    return {
        "x_train": rng.integers(0, 256, (9, 4, 5), dtype=np.uint8),
        "y_train": np.array([7, 3, 11] * 3),
        "x_test": rng.integers(0, 256, (3, 4, 5), dtype=np.uint8),
        "y_test": np.array([11, 3, 7]),
    }


def save(folder, name="data.npz", **arrays):
    path = folder / name
    np.savez_compressed(path, **arrays)
    return path


def refused(path, message):
    with pytest.raises(DataError, match=message) as error:
        read(path)
    assert "\n" not in str(error.value)


def test_an_npz_in_keras_names_is_read_as_it_is(split, tmp_path):
    found = read(save(tmp_path, **split))
    np.testing.assert_array_equal(found.train_inputs, split["x_train"][..., None])
    np.testing.assert_array_equal(found.test_inputs, split["x_test"][..., None])
    assert found.train_labels.tolist() == [1, 0, 2] * 3
    assert found.test_labels.tolist() == [2, 0, 1]
    assert found.classes == ("3", "7", "11")
    assert found.train_inputs.dtype == np.uint8
    assert found.train_labels.dtype == found.test_labels.dtype == np.int32


@pytest.mark.parametrize("kind", [str, np.bytes_, object])
def test_labels_that_are_text_are_sorted_as_text(kind, split, tmp_path):
    split["y_train"], split["y_test"] = (split[k].astype(kind) for k in ("y_train", "y_test"))
    path = save(tmp_path, **split)
    if kind is object:
        refused(path, "Python objects, which could run code .* give arrays of numbers or strings")
        return
    found = read(path)
    assert found.classes == ("11", "3", "7")
    assert found.train_labels.tolist() == [2, 1, 0] * 3


@pytest.mark.parametrize(
    ("given", "kept"),
    [(np.float64, np.float32), (np.float16, np.float32), (np.int64, np.int32), (np.uint8,) * 2],
)
def test_inputs_become_bytes_floats_or_tokens(given, kept, split, tmp_path):
    for key in ("x_train", "x_test"):
        split[key] = split[key].reshape(-1, 20).astype(given)
    found = read(save(tmp_path, **split))
    assert found.train_inputs.dtype == found.test_inputs.dtype == kept
    np.testing.assert_array_equal(found.train_inputs, split["x_train"])


def test_a_part_of_each_class_is_held_out_and_the_same_one_each_time(tmp_path):
    labels = np.repeat(["a", "b", "c"], [50, 10, 2])[np.random.default_rng(0).permutation(62)]
    path = save(tmp_path, x=np.arange(62)[:, None], y=labels)
    found = read(path)
    assert np.bincount(found.test_labels).tolist() == [10, 2, 1]
    assert np.bincount(found.train_labels).tolist() == [40, 8, 1]
    rows = np.concatenate([found.train_inputs, found.test_inputs])[:, 0]
    assert sorted(rows) == list(range(62))
    assert found.test_inputs.mean() > 15  # not the first ones of each class
    for inputs, numbers in found[:2], found[2:4]:
        assert (np.diff(inputs[:, 0]) > 0).all()
        assert [found.classes[i] for i in numbers] == labels[inputs[:, 0]].tolist()
    for a, b in zip(found, read(path), strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.bincount(read(path, 0.5).test_labels).tolist() == [25, 5, 1]
    assert np.bincount(read(path, 0.999).train_labels).tolist() == [1, 1, 1]
    with pytest.raises(DataError, match=r"test_part: 1\.0 is not between 0 and 1; give 0.2"):
        read(path, 1.0)


def test_arrays_that_cannot_be_trained_on_are_refused(split, tmp_path):
    x, y = split["x_train"], split["y_train"]
    bad = np.full((9, 2), np.inf, np.float32)
    for message, changes in {
        "train: 9 inputs but 8 labels": {"y_train": y[:8]},
        "test: 0 examples": {"x_test": x[:0], "y_test": y[:0]},
        "train: a single class, 1; give at least two": {"y_train": np.ones(9, int)},
        "test: class '5' is not among the training examples": {"y_test": np.array([3, 5, 7])},
        "test: labels are <U1, and int64 in training": {"y_test": np.array(["3", "7", "7"])},
        r"train: labels have the shape \[9, 3\]; .* labels.argmax": {"y_train": np.eye(9, 3)},
        "train: labels are float64; give integers": {"y_train": y + 0.5},
        "train: labels are not UTF-8": {"y_train": np.array([b"\xff", b"b", b"c"] * 3)},
        r"test: an input has the shape \[4, 4, 1\], and \[4, 5, 1\]": {"x_test": x[:3, :, :4]},
        "test: an input has the type float32, and uint8": {"x_test": x[:3, ..., None] / 2.0},
        r"train: inputs have the shape \[9\]": {"x_train": x[:, 0, 0]},
        "train: inputs are int64 of the shape": {"x_train": x.astype(int)},
        "train: inputs are int64, -1 to 0; tokens": {"x_train": np.full((9, 2), [0, -1])},
        "train: inputs are uint64, 0 to": {"x_train": np.full((9, 2), [0, 2**40], np.uint64)},
        "train: inputs are complex128; give bytes": {"x_train": x[..., 0] * 1j},
        "train: inputs hold values that are not finite": {"x_train": bad},
        "train: inputs hold values that are not": {"x_train": np.full((9, 2), 1e300)},
    }.items():
        refused(save(tmp_path, **{**split, **changes}), message)
    refused(save(tmp_path, x=x[:4], y=y[:4]), "class '3' has one example, .* give two or more")
    refused(save(tmp_path, x_train=x, y_train=y), "x_test, y_test missing from its keys")
    both = save(tmp_path, x=x, y=y, x_test=x, y_test=y)
    refused(both, "x_test, y_test beside x, y, of which .*; name all x_train, y_train, x_test, y_t")
    fewer = read(save(tmp_path, **{**split, "y_test": np.array([11, 7, 7])}))
    assert fewer.test_labels.tolist() == [2, 1, 1]
    column = read(save(tmp_path, **{**split, "y_train": y[:, None]}))  # as Keras has CIFAR's
    assert column.train_labels.tolist() == [1, 0, 2] * 3


def test_where_nothing_can_be_read_the_remedy_is_named(tmp_path):
    refused(tmp_path / "none.npz", "none.npz does not exist; give an .npz or .csv")
    other = tmp_path / "data.xls"
    other.touch()
    refused(other, "the suffix '.xls' is unknown; give .npz, .csv, or a folder")
    refused(tmp_path, "0 folders in it; give one for each class")
    with pytest.raises(DataError, match="inputs are bytes; give a NumPy array"):
        join(Part("here", b"no array", np.arange(3)), None)


def outcome(path):
    try:
        return read(path)
    except DataError as error:
        return str(error)


def test_a_damaged_npz_is_refused_or_the_same(split, tmp_path):
    path = save(tmp_path, **split)
    whole, content = read(path), path.read_bytes()
    places = range(0, len(content), 5)
    refusals = 0
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        found = outcome(path)
        if isinstance(found, str):
            refusals += 1
            assert "damaged" in found or "missing from its keys" in found
            assert "\n" not in found
        else:
            for a, b in zip(found, whole, strict=True):
                np.testing.assert_array_equal(a, b)
    assert refusals > len(places) / 2
    path.write_bytes(content[: len(content) // 2])
    refused(path, "damaged, or no .npz file; write it anew")


def table(folder, text, encoding="utf-8"):
    path = folder / "data.csv"
    path.write_bytes(text.encode(encoding))
    return path


ROWS = "1,2.5,{}\n3,4,{}\n-5,6e1,{}\n7,8,{}\n"


@pytest.mark.parametrize(
    ("text", "classes", "labels"),
    [
        ("\ufeff" + ROWS.format("b", "a", "a", "b"), ("a", "b"), [1, 0, 0, 1]),
        ("u,v,w\n" + ROWS.format(10, 9, 9, 10), ("9", "10"), [1, 0, 0, 1]),
        ("0,1,Class\n" + ROWS.format("9.0", "9", 9, "x"), None, None),
        ("0,1,Class\n" + ROWS.format("9.0", "10.0", "10", 9), ("9", "10"), [0, 1, 1, 0]),
        ("label,u,v\nb,1,2.5\n\na,3,4\na,-5,6e1\nb,7,8\n", ("a", "b"), [1, 0, 0, 1]),
    ],
)
def test_a_table_with_and_without_a_header(text, classes, labels, tmp_path):
    path = table(tmp_path, text)
    if classes is None:
        refused(path, "class '9' has one example|class '9.0' has one example")
        return
    found = read(path, 0.5)
    assert found.classes == classes
    features = [[1, 2.5], [3, 4], [-5, 60], [7, 8]]
    expected = sorted([*row, label] for row, label in zip(features, labels, strict=True))
    for inputs, numbers in found[:2], found[2:4]:
        assert inputs.dtype == np.float32
        assert sorted(numbers) == [0, 1]
    rows = np.concatenate([found.train_inputs, found.test_inputs])
    numbers = np.concatenate([found.train_labels, found.test_labels])
    assert sorted(np.column_stack([rows, numbers]).tolist()) == expected


def test_tables_that_cannot_be_trained_on_are_refused_with_the_line(tmp_path):
    for message, text in {
        "line 3: 'nan' is no finite number; give one": "u,v\n1,a\nnan,a\n",
        "line 1: '' is no finite number": ",2,a\n1,2,b\n",
        "line 1: '' is no finite number; ": ",a\n1,b\n",
        "line 1: 'NA' is no finite number": "NA,2,a\n1,2,b\n",
        "line 2: '1e39' is no finite number": "1,a\n1e39,b\n",
        "line 4: 'x' is no finite number": '"a\nb",label\n1,a\nx,b\n',
        "line 2: the label is ''; give one": "1,2,a\n1,2, \n",
        "line 2: 2 values, but 3 in the first line": "1,2,a\n1,2\n",
        "the label '0.5' is no whole number; give classes": "1,0\n1,0.5\n",
        "1 column; give numbers and a label, with commas": "1;2;a\n",
        "2 columns are named": "u,label,Class\n1,2,3\n",
        "0 lines; give an example a line": "",
        "0 examples below the header": "u,v\n",
        "damaged .unexpected end of data": '1,"a\n',
    }.items():
        refused(table(tmp_path, text), message)
    path = table(tmp_path, "größe,label\n1,a\n", "latin-1")
    refused(path, "not UTF-8 .*; save it as UTF-8 text")


def test_underscores_are_no_numbers_and_an_index_is_no_feature(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("".join(f"{i}.5,{label}\n" for i, label in enumerate(["1_2", "12"] * 5)))
    assert read(path).classes == ("12", "1_2")
    path.write_text("1_000,a\n2,b\n" * 5)
    refused(path, "'1_000' is no finite number")
    path.write_text(",x,label\n0,1.5,a\n1,2.5,b\n")
    refused(path, "a column has no name; write it without the index")
    path.write_text(",x,species\n0,1.5,a\n1,2.5,b\n")  # which column it is, its place says
    refused(path, "a column has no name; write it without the index")
    path.write_text(",1.5,a\n1,2.5,b\n" * 5)  # an example with a gap is no header
    refused(path, "'' is no finite number")
