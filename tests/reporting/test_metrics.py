import numpy as np
import pytest

from jaxcl.reporting.metrics import (
    anytime_accuracy,
    average_accuracy,
    backward_transfer,
    forgetting,
    forward_transfer,
    learning_accuracy,
    mean_sem,
    verdict,
)

MATRIX = [[90.0, None, None], [80.0, 70.0, None], [85.0, 40.0, 60.0]]


def test_by_hand():
    assert average_accuracy(MATRIX) == pytest.approx((85 + 40 + 60) / 3)
    assert forgetting(MATRIX) == pytest.approx(((90 - 85) + (70 - 40)) / 2)
    assert forgetting([[90.0]]) is None
    assert backward_transfer(MATRIX) == pytest.approx(((85 - 90) + (40 - 70)) / 2)
    assert backward_transfer([[90.0]]) is None
    assert forward_transfer([12.0, 30.0, 55.0], [10.0, 20.0, 50.0]) == pytest.approx((10 + 5) / 2)
    assert forward_transfer([50.0], [50.0]) is None
    assert anytime_accuracy(MATRIX) == pytest.approx((90 + (80 + 70) / 2 + 185 / 3) / 3)
    assert anytime_accuracy([[90.0, None], [None, 80.0]]) is None  # the newest alone was tested
    assert learning_accuracy(MATRIX) == pytest.approx((90 + 70 + 60) / 3)


def test_forgetting_is_negative_where_a_task_got_better():
    assert forgetting([[50.0, None], [60.0, 90.0]]) == -10


def test_mean_and_standard_error():
    assert mean_sem([1.0, 2.0, 3.0]) == {"mean": 2.0, "sem": pytest.approx(1 / np.sqrt(3))}
    assert mean_sem([4.0]) == {"mean": 4.0, "sem": None}
    assert mean_sem([None]) == {"mean": None, "sem": None}


def test_forgetting_is_counted_from_the_best_accuracy_before_the_end():
    """A task may be at its best long after it was learned; the end itself does not count."""
    assert forgetting([[50.0, None, None], [80.0, 70.0, None], [60.0, 65.0, 90.0]]) == (20 + 5) / 2
    assert forgetting([[50.0, None, None], [40.0, 70.0, None], [60.0, 75.0, 90.0]]) == (-10 - 5) / 2


def test_a_verdict_counts_both_errors():
    """3-4-5: errors of 0.3 and 0.4 are 0.5 together, so means may be 1.0 apart."""
    for apart, word in ((0.99, "met"), (1.01, "above"), (-0.99, "met"), (-1.01, "below")):
        assert verdict({"mean": 50 + apart, "sem": 0.3}, (50.0, 0.4)) == word
    assert verdict({"mean": 51.1, "sem": None}, (50.0, 0.4)) == "met"  # 2 * 0.4 * sqrt(2) = 1.13
    assert verdict({"mean": 51.2, "sem": None}, (50.0, 0.4)) == "above"
    assert verdict({"mean": None, "sem": None}, (50.0, 0.4)) == "not run"
