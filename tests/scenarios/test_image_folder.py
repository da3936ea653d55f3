"""Folders of images: names are classes, and pixels are kept."""

import numpy as np
import pytest
from PIL import Image

from jaxcl.core.errors import DataError
from jaxcl.scenarios.readers.files import read
from jaxcl.scenarios.readers.image_folder import pixels


def write(path, value, shape=(3, 4, 3)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(shape, value, np.uint8)).save(path)


def refused(path, message):
    with pytest.raises(DataError, match=message) as error:
        read(path)
    assert "\n" not in str(error.value)


@pytest.fixture
def folder(tmp_path):
    """Classes a and B, whose images have values 10 and 20 apart from their numbers."""
    for name, start in (("a", 10), ("B", 20)):
        for i in (2, 0, 1):
            write(tmp_path / "train" / name / f"{i}.png", start + i)
        write(tmp_path / "test" / name / "0.BMP", start + 9)
    return tmp_path


def test_train_and_test_are_read_in_the_order_of_the_names(folder):
    (folder / "train" / ".hidden").mkdir()
    (folder / "train" / "a" / "notes.txt").touch()
    (folder / "train" / "a" / ".0.png").touch()
    (folder / "train" / "a" / "folder.png").mkdir()
    (folder / "notes").mkdir()
    found = read(folder)
    assert found.classes == ("B", "a")
    assert found.train_inputs.shape == (6, 3, 4, 3)
    assert found.train_inputs.dtype == np.uint8
    assert found.train_inputs[:, 1, 2, 0].tolist() == [20, 21, 22, 10, 11, 12]
    assert found.train_labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.test_inputs[:, 0, 0, 2].tolist() == [29, 19]
    assert found.test_labels.tolist() == [0, 1]


def test_a_second_folder_of_another_name_is_not_left_out_in_silence(folder):
    (folder / "test").rename(folder / "validation")
    refused(folder, "validation: beside train; name it test, or move it away")


def test_images_are_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    for name in "ab":
        (tmp_path / name).mkdir()
        for i in range(2):
            image = Image.fromarray(np.zeros((2, 5, 3), np.uint8))
            image.save(tmp_path / name / f"{i}.jpg", exif=exif)
    assert read(tmp_path).train_inputs.shape[1:] == (5, 2, 3)


def test_without_a_test_folder_a_part_of_each_class_is_held_out(folder):
    for path in (folder / "train", folder):  # classes at the top, then train alone
        if path == folder:
            (folder / "test").rename(folder.parent / "away")
        found = read(path)
        assert np.bincount(found.train_labels).tolist() == [2, 2]
        values = np.concatenate([found.train_inputs, found.test_inputs])[:, 0, 0, 0]
        assert sorted(values) == [10, 11, 12, 20, 21, 22]
    (folder / "test").mkdir()
    refused(folder, "test: 0 folders in it; give one for each class")


def test_classes_can_be_called_train_and_test(tmp_path):
    for name in ("train", "test"):
        for i in range(2):
            write(tmp_path / name / f"{i}.png", i)
    assert read(tmp_path).classes == ("test", "train")


def test_grey_images_have_one_channel_and_a_jpeg_is_about_the_same(folder):
    for name in ("a", "B"):
        for i in range(3):
            write(folder / "grey" / name / f"{i}.jpg", 100, (8, 8))
    found = read(folder / "grey")
    assert found.train_inputs.shape == (4, 8, 8, 1)
    assert np.abs(found.train_inputs.astype(int) - 100).max() <= 1


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("1", [255]), ("L", [200]), ("LA", [200]), ("P", [200, 100, 50]), ("RGB", [200, 100, 50]),
        ("RGBA", [200, 100, 50]),
    ],
)  # fmt: skip
def test_each_mode_becomes_grey_or_red_green_and_blue(mode, expected):
    colour = Image.new("RGB", (3, 2), (200, 100, 50))
    grey = Image.new("L", (3, 2), 200)
    image = (grey if len(expected) == 1 else colour).convert(mode, dither=Image.Dither.NONE)
    if mode == "P":
        image = colour.quantize(4)
        image.info["transparency"] = b"\0\0\0\0"
    found = pixels("here", image)
    assert found.shape == (2, 3, len(expected))
    assert np.abs(found.astype(int) - expected).max() <= (4 if mode == "P" else 0)


def test_the_first_image_that_differs_is_named(folder):
    write(folder / "train" / "a" / "1.png", 0, (4, 3, 3))
    refused(folder, r"a/1.png: 3 wide, 4 high .* but .*B/0.png is 4 wide, 3 high .*; resize all")
    write(folder / "train" / "a" / "1.png", 0, (3, 4))
    refused(folder, r"a/1.png: .* and grey, but .* in colour; .* all in grey or all in colour")
    write(folder / "train" / "a" / "1.png", 0)
    write(folder / "test" / "a" / "0.BMP", 0, (4, 4, 3))
    refused(folder, r"test/a/0.BMP: 4 wide, 4 high .* but the first in .*train is 4 wide, 3 high")


def test_what_is_missing_damaged_or_too_deep_is_named(folder):
    path = folder / "train" / "a" / "1.png"
    content = path.read_bytes()
    for broken in (content[:-30], content[:40], b"", b"text", content[:50] + b"\0" + content[51:]):
        path.write_bytes(broken)
        refused(folder, r"a/1.png: damaged, or no image \(.*\); replace it, or remove it")
    Image.fromarray(np.full((3, 4), 1000, np.uint16)).save(path)
    refused(folder, r"a/1.png: more than 8 bits for a channel \(mode I;16\); save it with 8")
    path.write_bytes(content)
    (folder / "train" / "c").mkdir()
    refused(folder, r"c: a class of 0 images; add some \(.png, .*\), or remove the folder")
    (folder / "train" / "c").rmdir()
    write(folder / "test" / "d" / "0.png", 0)
    refused(folder, "test: class 'd' is not among the training examples; remove it")
