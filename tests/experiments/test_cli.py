import pytest

from jaxcl.errors import UsageError
from jaxcl.experiments.cli import ranges


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--seeds", "0..3"], ["--seeds", "0", "1", "2", "3"]),
        (["--seeds=4..5", "9"], ["--seeds", "4", "5", "9"]),
        (["--seeds", "7", "1..1", "--grid", "lr=1..2"], None),
        (["--out", "0..3"], ["--out", "0..3"]),
        (["--seeds", "0...3", "x..y", "1.."], ["--seeds", "0...3", "x..y", "1.."]),
    ],
)
def test_ranges_stand_for_seeds_alone(args, expected):
    assert ranges(args) == (expected or ["--seeds", "7", "1", "--grid", "lr=1..2"])


@pytest.mark.parametrize("text", ["3..1", "0..4000000000"])
def test_ranges_of_none_or_too_many(text):
    with pytest.raises(UsageError, match="none, or too many"):
        ranges(["--seeds", text])
