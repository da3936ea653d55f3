import pytest

from jaxcl.core.errors import UsageError
from jaxcl.learner.settings.configuration import configure
from jaxcl.reporting.labels import label
from jaxcl.runner.grid import axes, points

SELECT = configure("select")


def test_lists_and_spaced_values_have_the_type_of_the_setting():
    varied = axes(
        [
            "select.strength=1e2:1e6:3",
            "warmup-epochs=0,2",
            "start=copy,fresh",
            "t_squared=true,false",
        ],
        SELECT,
    )
    assert varied == {
        "strength": [100.0, 10000.0, 1000000.0],
        "warmup_epochs": [0, 2],
        "start": ["copy", "fresh"],
        "t_squared": [True, False],
    }
    assert [type(value) for value in varied["warmup_epochs"]] == [int, int]
    assert len(points(varied)) == 3 * 2 * 2 * 2
    assert points(varied)[1] == {
        "strength": 100.0, "warmup_epochs": 0, "start": "copy", "t_squared": False,
    }  # fmt: skip


def test_labels_of_points_are_different():
    found = points(axes(["strength=1e-3:1e10:30", "lr=0.1,0.10000000000001"], SELECT))
    assert len({label(point) for point in found}) == 60


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "nothing to vary"),
        (["strength"], "has no values"),
        (["xi=1,2"], "xi: select has no --xi"),
        (["validation=0,0.1"], "validation cannot be varied"),
        (["strenght=1"], "'strenght' is unknown; did you mean 'strength'?"),
        (["si.strength=1"], "'si.strength', but the method is select"),
        (["seeds=1,2"], "seeds cannot be varied"),
        (["together=1,2"], "together cannot be varied"),
        (["lr=1,2", "lr=3"], "lr is there twice"),
        (["lr=1,1.0"], "lr has a value twice"),
        (["lr=a"], "lr='a' is no number"),
        (["epochs=1.5"], "epochs='1.5' is no whole number"),
        (["epochs=1:8:4"], "but these are whole numbers; list them"),
        (["lr=1:2"], "is not first:last:n"),
        (["lr=0:2:3"], "give a first and a last value above 0"),
        (["lr=1:nan:3"], "give a first and a last value above 0"),
        (["lr=1:2:1"], "1 values; give 2 to 1000"),
        (["start=copy,new"], "start: 'new' is unknown"),
        (["t_squared=yes"], "'yes' is unknown"),
    ],
)
def test_what_cannot_be_varied_is_named(texts, message):
    with pytest.raises(UsageError, match=r"^grid") as error:
        axes(texts, SELECT)
    assert message in str(error.value)


def test_more_settings_than_a_folder_can_be_named_after_are_refused():
    names = ("lr", "l2", "later_lr", "later_l2", "strength", "temperature", "threshold")
    varied = axes([f"{name}=1.2345678901234567e-06" for name in names], SELECT)
    points(dict(list(varied.items())[:4]))
    with pytest.raises(UsageError, match="too many settings"):
        points(varied)
