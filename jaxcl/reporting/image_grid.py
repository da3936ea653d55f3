"""Images side by side, such as those that a generator makes."""

import io

import numpy as np
from PIL import Image


def image_grid(images: np.ndarray, columns: int = 8, scale: int = 2) -> bytes:
    """Puts images side by side, as a PNG.

    Args:
      images: bytes ``[n, height, width, 1 or 3]``; n is a multiple of ``columns``.
      columns: images in a row.
      scale: pixels of the picture for one of an image.
    """
    apart = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=64)
    n, height, width, channels = apart.shape
    rows = apart.reshape(n // columns, columns, height, width, channels)
    sheet = rows.swapaxes(1, 2).reshape(-1, columns * width, channels)
    picture = Image.fromarray(sheet[..., 0] if channels == 1 else sheet)
    buffer = io.BytesIO()
    size = (scale * picture.width, scale * picture.height)
    picture.resize(size, Image.Resampling.NEAREST).save(buffer, format="png")
    return buffer.getvalue()
