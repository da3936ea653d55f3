"""What pictures show: lines, bands, cells and axes by hand."""

import io
from itertools import combinations

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyBboxPatch
from PIL import Image

from jaxcl.reporting.pictures import (
    Panel,
    accuracy_matrix,
    accuracy_panels,
    average_curves,
    forgetting_bars,
    learning_curves,
    rendered,
    route_diagram,
    value_curves,
    value_map,
)
from jaxcl.reporting.pictures.routes import ways
from jaxcl.reporting.pictures.style import in_order, looks

NAN = float("nan")
CURVES = {
    "a": [[50.0, 60.0, 70.0], [70.0, 70.0, 90.0]],
    "b": [[None, None, 20.0], [None, None, 40.0]],
}
MATRICES = [
    [[90.0, None, None], [70.0, 80.0, None], [75.0, 60.0, 50.0]],
    [[80.0, None, None], [90.0, 60.0, None], [65.0, 70.0, 30.0]],
]


def band(axes, place=0):
    """Lowest and highest y of a band by x."""
    edges: dict[float, list[float]] = {}
    for x, y in axes.collections[place].get_paths()[0].vertices:
        edges.setdefault(float(x), []).append(float(y))
    return {x: (min(ys), max(ys)) for x, ys in edges.items()}


def data(line):
    return list(map(float, line.get_xdata())), list(map(float, line.get_ydata()))


def legend_text(figure):
    (legend,) = figure.legends
    return legend.get_title().get_text(), [text.get_text() for text in legend.get_texts()]


def legend_is_outside(figure):
    figure.draw_without_rendering()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    return not any(box.overlaps(axes.bbox) for axes in figure.axes)


def test_learning_curves_are_means_and_bands_from_lowest_to_highest():
    figure = learning_curves(CURVES, [2, 3], "title")
    axes = figure.axes[0]
    assert data(axes.lines[0]) == ([1, 2, 3], [60, 65, 80])
    assert data(axes.lines[1]) == ([3], [30])
    assert band(axes) == {1: (50, 70), 2: (60, 70), 3: (70, 90)}
    assert legend_text(figure) == ("mean of 2 seeds,\nband: lowest to highest", ["a", "b"])
    assert legend_is_outside(figure)
    (said,) = axes.texts  # beside the names, so that it is no task's
    assert said.get_text() == "learning:"
    figure.draw_without_rendering()
    assert said.get_window_extent().x1 < axes.bbox.x0
    alone = learning_curves({"a": CURVES["a"][:1]}, [3])
    assert not alone.axes[0].texts
    assert legend_text(alone)[0] == "1 seed"
    assert not alone.axes[0].collections


def test_names_that_begin_with_an_underscore_are_in_the_legend():
    values = np.full((1, 2), 50.0)
    curves = learning_curves({"_a": [[50.0, 50.0]], "b": [[1.0, 2.0]]}, [1, 2], "title")
    assert [name.strip() for name in legend_text(curves)[1]] == ["_a", "b"]
    curves = average_curves({"_a": values, "b": values}, "title")
    assert [name.strip() for name in legend_text(curves)[1]] == ["_a", "b"]


def test_of_twenty_tasks_each_has_a_line_of_its_own():
    curves = {f"some-longer-name-{i}": [[50.0 + i] * 20] for i in range(20)}
    figure = learning_curves(curves, range(1, 21))
    lines = figure.axes[0].lines[:20]
    assert len({line.get_color() for line in lines}) == 20
    assert len({(line.get_linestyle(), line.get_marker()) for line in lines}) == 20
    assert legend_text(figure)[1][19] == "20  some-longer-name-19"
    assert legend_is_outside(figure)


def test_of_more_tasks_the_newest_and_the_mean_so_far():
    values = np.full((25, 1, 25), NAN)
    for task in range(25):
        values[task, :, task:] = 80.0 - task
    figure = learning_curves({f"t{i}": v for i, v in enumerate(values)}, range(1, 26))
    mean, newest = figure.axes[0].lines
    assert data(newest)[1] == [80.0 - task for task in range(25)]
    np.testing.assert_allclose(data(mean)[1], [80.0 - task / 2 for task in range(25)])


@pytest.mark.parametrize("n", [6, 7, 20])
def test_colours_are_told_apart(n):
    colours = [look.color for look in looks(n)]
    for one, other in combinations(colours, 2):
        assert np.abs(np.subtract(to_rgb(one), to_rgb(other))).max() > 0.02
    grey = [np.dot(to_rgb(c), (0.299, 0.587, 0.114)) for c in in_order(n)]
    assert np.diff(grey).min() > 0.01  # from dark to light, also without colours


def test_average_curves_have_bands_of_standard_errors():
    methods = {"er": np.array([[90.0, 60.0], [94.0, 70.0]]), "joint": np.array([[80.0, 75.0]])}
    figure = average_curves(methods, "title")
    axes = figure.axes[0]
    assert data(axes.lines[0]) == ([1, 2], [92, 65])
    assert data(axes.lines[1]) == ([1, 2], [80, 75])
    # The standard deviation of two is their distance over sqrt(2); over sqrt(2) again, the half.
    assert band(axes)[1.0] == pytest.approx((90, 94))
    assert band(axes)[2.0] == pytest.approx((60, 70))
    assert len(axes.collections) == 1
    title, names = legend_text(figure)
    assert title == "mean of 1 to 2 seeds,\nband: ± standard error"
    assert names == ["er", "joint"]  # as given
    assert legend_is_outside(figure)


def test_a_matrix_of_means():
    figure = accuracy_matrix(MATRICES, ["one", "two", "three"], "title")
    axes = figure.axes[0]
    texts = {text.get_position(): text.get_text() for text in axes.texts}
    assert texts == {
        (1, 1): "85.0", (2, 1): "80.0", (3, 1): "70.0", (2, 2): "70.0", (3, 2): "65.0",
        (3, 3): "40.0",
    }  # fmt: skip
    (image,) = axes.images
    np.testing.assert_array_equal(image.get_array().filled(NAN)[0], [85, 80, 70])
    assert image.get_clim() == (0, 100)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["one", "two", "three"]
    big = accuracy_matrix([[[50.0] * 25] * 25], [f"t{i}" for i in range(25)])
    assert not big.axes[0].texts


def test_forgetting_of_each_task():
    figure = forgetting_bars(MATRICES, ["one", "two", "three"])
    axes = figure.axes[0]
    # Of the first seed 90 - 75 and 80 - 60, of the second 90 - 65 and 60 - 70.
    assert [bar.get_width() for bar in axes.patches] == [20, 5]
    assert sorted(data(axes.lines[0])[0]) == [-10, 15, 20, 25]
    ((first, second),) = (c.get_segments() for c in axes.collections)
    np.testing.assert_allclose(np.array(first)[:, 0], [15, 25])
    np.testing.assert_allclose(np.array(second)[:, 0], [-10, 20])


def test_a_sweep_is_logarithmic_and_within_0_and_100():
    lines = {"average": [(90.0, 15.0), (5.0, 8.0), (NAN, NAN)], "learned": [(99.0, 0.0)] * 3}
    figure = value_curves("strength", [1.0, 100.0, 1e4], lines, seeds=[3])
    assert legend_text(figure)[0] == "mean of 3 seeds,\nbars: ± standard error"
    axes = figure.axes[0]
    assert axes.get_xscale() == "log"
    assert axes.get_ylim() == (0, 100)
    first, second, _ = axes.containers[0].lines[2][0].get_segments()
    np.testing.assert_allclose(np.array(first)[:, 1], [75, 100])
    np.testing.assert_allclose(np.array(second)[:, 1], [0, 13])
    figure.draw_without_rendering()
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert {"1", "100", "10000"} <= set(labels)
    assert legend_text(figure)[1][-1] == "diverged"
    assert legend_is_outside(figure)
    assert value_curves("s", [0.0, 1.0, 100.0], lines).axes[0].get_xscale() == "symlog"
    assert value_curves("s", [1, 2, 3], lines).axes[0].get_xscale() == "linear"
    words = value_curves("start", ["copy", "fresh", "old"], lines).axes[0]
    assert [label.get_text() for label in words.get_xticklabels()] == ["copy", "fresh", "old"]


def test_a_sweep_of_one_seed_has_no_error_bars():
    figure = value_curves("strength", [1.0, 2.0], {"average": [(90.0, 0.0), (80.0, 0.0)]})
    assert legend_text(figure)[0] == "1 seed"
    (container,) = figure.axes[0].containers
    assert not container.has_yerr
    assert data(container.lines[0]) == ([1, 2], [90, 80])


def test_a_sweep_of_numbers_may_lie_below_0():
    """R^2 does, where a guess is worse than the mean of the labels."""
    lines = {"average": [(-20.0, 5.0), (30.0, 40.0)]}
    (axes,) = value_curves("strength", [1.0, 2.0], lines, seeds=[3], measure="R²").axes
    first, second = axes.containers[0].lines[2][0].get_segments()
    np.testing.assert_allclose(np.array(first)[:, 1], [-25, -15])
    np.testing.assert_allclose(np.array(second)[:, 1], [-10, 70])
    assert axes.get_ylim() == pytest.approx((-25 - 0.08 * 95, 70 + 0.08 * 95))
    assert axes.get_ylabel() == "R² (%)"
    (axes,) = value_curves("strength", [1.0, 2.0], {"average": [(-20.0, 0.0), (-40.0, 0.0)]}).axes
    assert axes.get_ylim() == pytest.approx((-40 - 0.08 * 20, -20 + 0.08 * 20))


def test_curves_of_numbers_may_lie_below_0():
    """A fiftieth of the axis below the lowest; those of accuracies begin at 0."""
    average = average_curves({"er": np.array([[-10.0, -200.0]])}, measure="R²").axes[0]
    assert average.get_ylim() == pytest.approx((-206, 106.12))
    assert average.get_ylabel() == "average R² so far (%)"
    below = learning_curves({"a": [[-50.0, 80.0], [-100.0, None]]}, [2], measure="R²").axes[0]
    assert below.get_ylim() == (-104, 102)
    assert below.get_ylabel() == "test R² (%)"
    assert learning_curves(CURVES, [2, 3]).axes[0].get_ylim() == (0, 102)
    assert average_curves({"er": np.array([[0.0, 50.0]])}).axes[0].get_ylim() == (0, 102)
    figure = accuracy_matrix([[[90.0, None], [-120.0, 80.0]]], ["one", "two"], measure="R²")
    assert figure.axes[0].get_ylabel() == "R² on task"
    assert figure.axes[1].get_ylabel() == "R² (%)"


def test_a_map_of_two_settings():
    scores = np.array([[90.0, NAN], [80.0, 85.0]])
    varied = {"strength": [1.0, 2.0], "start": ["copy", "fresh"]}
    axes, scale = value_map(varied, scores, measure="R²").axes
    assert scale.get_ylabel() == "average R² (%)"
    assert [text.get_text() for text in axes.texts] == ["90.0", "diverged", "80.0", "85.0"]
    assert axes.get_ylabel() == "strength"


ROUTES = {
    "x": {"conv1": "x", "conv2": "x"},
    "y": {"conv1": "x", "conv2": "y"},
    "z": {"conv1": "x", "conv2": "y"},
}


def test_branches_by_hand():
    figure = route_diagram([ROUTES, ROUTES], [0, 1])
    (axes,) = figure.axes
    boxes = [patch for patch in axes.patches if isinstance(patch, FancyBboxPatch)]
    full = [box.get_facecolor()[3] > 0 for box in boxes]
    assert full == [True, False, False, True, True, False]
    blue, orange = (look.color for look in looks(2))
    edges = [matplotlib.colors.to_hex(box.get_edgecolor()) for box in boxes]
    assert edges == [blue, blue, blue, blue, orange, orange]
    middles = [box.get_x() + box.get_width() / 2 for box in boxes[:3]]
    arcs = [patch for patch in axes.patches if not isinstance(patch, FancyBboxPatch)]
    ends = [patch.get_path().vertices[[0, -1], 0] for patch in arcs]
    x, y, z = middles
    np.testing.assert_allclose(ends, [(y, x), (z, x), (z, y)])
    words = [text.get_text() for text in axes.texts]
    assert [words.count(word) for word in ("new", "as x", "as y")] == [3, 2, 1]


def test_seeds_that_branched_alike_have_one_diagram():
    plain = dict.fromkeys(ROUTES, ROUTES["x"])
    assert ways([plain, plain], [0, 1]) == []
    assert ways([ROUTES, plain, ROUTES], [0, 1, 2]) == [(ROUTES, [0, 2])]
    other = {**ROUTES, "z": {"conv1": "z", "conv2": "y"}}
    assert ways([ROUTES, other, other], [0, 1, 2]) == [(ROUTES, [0]), (other, [1, 2])]
    figure = route_diagram([ROUTES, plain, ROUTES], [0, 1, 2])
    assert "seeds 0, 2" in [text.get_text() for text in figure.axes[0].texts]


def test_methods_that_do_the_same_are_seen():
    curves = {"a": [[50.0, 60.0, 55.0]], "b": [[None, None, 20.0]]}
    same = {"lwf": CURVES, "split": curves, "select": curves}
    figure = accuracy_panels({"one": Panel(same, [2, 3]), "two": Panel({}, [])}, columns=2)
    first, second, empty = figure.axes
    lines = first.lines[:3]
    assert [data(line)[1] for line in lines] == [[60, 65, 80], [50, 60, 55], [50, 60, 55]]
    assert band(first) == {1: (50, 70), 2: (60, 70), 3: (70, 90)}
    widths = [line.get_linewidth() for line in lines]
    assert widths == sorted(widths, reverse=True)
    grey = [np.dot(to_rgb(line.get_color()), (0.299, 0.587, 0.114)) for line in lines]
    assert np.diff(grey).max() < -0.15
    assert [line.get_linestyle() for line in lines] == ["-", "-", "--"]
    assert second.get_ylabel() == "b"
    assert [text.get_text() for text in empty.texts] == ["not run"]
    assert legend_text(figure)[1] == ["lwf", "split", "select"]
    assert legend_is_outside(figure)


def test_a_first_epoch_may_lie_below_the_axes_but_not_above():
    for first, seen in ((10.0, False), (90.0, True)):
        curves = {"a": [[first, 60.0, 55.0]], "b": [[None, None, 20.0]]}
        figure = accuracy_panels({"one": Panel({"lwf": curves}, [2, 3])})
        low, high = figure.axes[0].get_ylim()
        assert low < 55
        assert high > 60
        assert (low <= first <= high) == seen
        assert ("below its axes" in legend_text(figure)[0]) != seen


def test_files_of_all_forms_and_nothing_set_for_others():
    before = dict(matplotlib.rcParams)
    files = {
        form: rendered(learning_curves(CURVES, [2, 3]), form) for form in ("png", "svg", "pdf")
    }
    assert dict(matplotlib.rcParams) == before
    assert Image.open(io.BytesIO(files["png"])).width == 1440  # 7.2 inches
    assert b"test accuracy (%)</text>" in files["svg"]
    assert files["pdf"].startswith(b"%PDF")
    assert files["pdf"] == rendered(learning_curves(CURVES, [2, 3]), "pdf")
