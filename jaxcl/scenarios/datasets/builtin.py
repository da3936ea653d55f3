"""Three small tasks from packages that are installed anyway: no download.

In the spirit of the paper's scenario 5, simple and similar tasks come first, a
complex and dissimilar one last.  What is real and what is rendered:

- ``digits`` is real: scikit-learn's handwritten digits (UCI, Alpaydin & Kaynak
  1998; 8x8, stretched to 32x32).
- ``letters`` is rendered: A to Z in fonts that matplotlib ships, each picture
  with a random font, size, rotation, shear, shift and stroke width.
- ``photos`` is real: 32x32 colour patches of ten photographs that scikit-image
  and scikit-learn ship; the class is the photograph.  Training and test patches
  come from disjoint areas of it.

Seeds are fixed, so everybody has the same images; classes are balanced.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy import ndarray
from PIL import Image, ImageDraw, ImageFont

from jaxcl.scenarios.task import Task

SIDE = 32
FONTS = (
    *(f"DejaVuSans{style}" for style in ("", "-Bold", "-Oblique", "Mono", "Mono-Bold")),
    *(f"DejaVuSerif{style}" for style in ("", "-Bold", "-Italic")),
    *(f"STIXGeneral{style}" for style in ("", "Bol", "Italic")),
    *("cmr10", "cmss10", "cmtt10", "cmb10"),
)
LETTERS_TRAIN, LETTERS_TEST = 60, 20  # images a class
DIGITS_TRAIN, DIGITS_TEST = 144, 30
PHOTOS_TRAIN, PHOTOS_TEST = 160, 50
TILE = 64  # pixels; alternate tiles of a photograph are for training and testing


def _task(name: str, train: list[list[ndarray]], test: list[list[ndarray]], seed: int) -> Task:
    """A task from lists of images by class, shuffled."""
    rng = np.random.default_rng(seed)
    arrays: list[ndarray] = []
    for classes in (train, test):
        images = np.concatenate([np.stack(images) for images in classes])
        labels = np.repeat(np.arange(len(classes), dtype=np.int32), [len(c) for c in classes])
        order = rng.permutation(len(labels))
        arrays += [images[order], labels[order]]
    train_inputs, train_labels, test_inputs, test_labels = arrays
    return Task(name, train_inputs, train_labels, test_inputs, test_labels, len(train))


def digits() -> Task:
    """Reads handwritten digits, 10 classes, grey: real."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)  # 0 to 16
    images = np.round(np.asarray(pixels) * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    by_class = [list(images[labels == label]) for label in range(10)]
    last = DIGITS_TRAIN + DIGITS_TEST
    train = [images[:DIGITS_TRAIN] for images in by_class]
    test = [images[DIGITS_TRAIN:last] for images in by_class]
    return _task("digits", train, test, seed=1)


def letters() -> Task:
    """Renders capital letters A to Z, 26 classes, white on black."""
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    rng = np.random.default_rng(2)

    def some(letter: str, n: int) -> list[ndarray]:
        return [_letter(letter, folder / f"{rng.choice(FONTS)}.ttf", rng) for _ in range(n)]

    alphabet = [chr(ord("A") + i) for i in range(26)]
    train = [some(letter, LETTERS_TRAIN) for letter in alphabet]
    test = [some(letter, LETTERS_TEST) for letter in alphabet]
    return _task("letters", train, test, seed=2)


def _letter(letter: str, font: Path, rng: np.random.Generator) -> ndarray:
    """One letter, drawn twice as large and transformed by a random affine map."""
    big = 2 * SIDE
    canvas = Image.new("L", (big, big))
    size = int(rng.integers(36, 50))
    ImageDraw.Draw(canvas).text(
        (big / 2, big / 2),
        letter,
        fill=255,
        font=ImageFont.truetype(str(font), size),
        anchor="mm",
        stroke_width=int(rng.integers(0, 3)),
    )
    angle, shear = rng.uniform(-0.25, 0.25), rng.uniform(-0.2, 0.2)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = rotation @ np.array([[1, shear], [0, 1]]) / rng.uniform(0.85, 1.1)
    centre = np.full(2, big / 2)
    offset = centre - matrix @ (centre + rng.uniform(-5, 5, 2))
    coefficients = (*matrix[0], offset[0], *matrix[1], offset[1])
    moved = canvas.transform(
        (big, big), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR
    )
    return np.asarray(moved.resize((SIDE, SIDE), Image.Resampling.BOX))[..., None]


def _photographs() -> dict[str, ndarray]:
    from skimage import data
    from sklearn.datasets import load_sample_image

    return {
        "temple": load_sample_image("china.jpg"),
        "dahlia": load_sample_image("flower.jpg"),
        "astronaut": data.astronaut(),
        "cat": data.chelsea(),
        "coffee": data.coffee(),
        "rocket": data.rocket(),
        "galaxies": data.hubble_deep_field(),
        "tissue": data.immunohistochemistry(),
        "retina": data.retina()[180:1230, 180:1230],  # without the black surround
        "motorcycle": data.stereo_motorcycle()[0],
    }


def photos() -> Task:
    """Patches of ten photographs, 10 classes, colour: real."""
    rng = np.random.default_rng(3)
    pictures = list(_photographs().values())
    train = [_patches(picture, 0, PHOTOS_TRAIN, rng) for picture in pictures]
    test = [_patches(picture, 1, PHOTOS_TEST, rng) for picture in pictures]
    return _task("photos", train, test, seed=3)


def _patches(picture: ndarray, parity: int, n: int, rng: np.random.Generator) -> list[ndarray]:
    """Random patches, or their mirror images, of every other tile of a picture.

    Tiles are coloured like a chess board; those of one parity are for training,
    the others for testing, and no patch crosses a border.
    """
    rows, columns = picture.shape[0] // TILE, picture.shape[1] // TILE
    tiles = [(r, c) for r in range(rows) for c in range(columns) if (r + c) % 2 == parity]
    patches = []
    for _ in range(n):
        row, column = tiles[rng.integers(len(tiles))]
        top, left = np.array([row, column]) * TILE + rng.integers(0, TILE - SIDE + 1, 2)
        patch = picture[top : top + SIDE, left : left + SIDE]
        patches.append(patch[:, ::-1] if rng.random() < 0.5 else patch)
    return patches


TASKS: dict[str, Callable[[], Task]] = {"digits": digits, "letters": letters, "photos": photos}
