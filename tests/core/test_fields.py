"""A setting that cannot be used is named, with what it may be."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from jaxcl.core.errors import UsageError
from jaxcl.core.fields import Positive, Unit, check_ranges


@dataclasses.dataclass
class Settings:
    part: Unit[float] = 0.5
    count: Positive[int] | None = None
    order: int = 0
    folder: Path | None = None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"part": "0.1"}, "part: '0.1' is no number; give one"),
        ({"part": float("nan")}, "part: nan is no number; give one"),
        ({"part": 1.5}, r"part: 1.5 is outside \[0, 1\]"),
        ({"count": 10.0}, "count: 10.0 is no whole number; give one"),
        ({"count": "10"}, "count: '10' is no whole number; give one"),
        ({"count": 0}, "count: 0 is not positive; give a number above 0"),
        ({"order": "a"}, "order: 'a' is no whole number; give one"),
        ({"folder": 3}, "folder: 3 is no path; give one"),
    ],
)
def test_a_value_of_another_kind_or_out_of_range_is_refused(given, message):
    with pytest.raises(UsageError, match=f"^{message}$"):
        check_ranges(Settings(**given))


def test_numbers_of_numpy_and_paths_as_text_are_taken():
    check_ranges(Settings(np.float32(0.5), np.int64(3), np.uint8(1), Path("here")))
    check_ranges(Settings(1, 3, folder="here"))
