import pytest

from jaxcl.errors import UsageError
from jaxcl.grid import axes, label, points


def test_lists_and_spaced_values_have_the_type_of_the_setting():
    varied = axes(
        ["ewc.strength=1e2:1e6:3", "warmup-epochs=0,2", "start=copy,fresh", "t_squared=true,false"],
        "ewc",
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
    found = points(axes(["strength=1e-3:1e10:30", "lr=0.1,0.10000001"], "ewc"))
    assert len({label(point) for point in found}) == 60


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "nothing to vary"),
        (["strength"], "has no values"),
        (["strenght=1"], "'strenght' is unknown; did you mean 'strength'?"),
        (["si.strength=1"], "'si.strength' is unknown"),
        (["seeds=1,2"], "'seeds' is unknown"),
        (["together=1,2"], "'together' is unknown"),
        (["lr=1,2", "lr=3"], "lr is there twice"),
        (["lr=1,1.0"], "lr has a value twice"),
        (["lr=a"], "lr='a' is no number"),
        (["epochs=1.5"], "epochs='1.5' is no whole number"),
        (["epochs=1:8:4"], "epochs='1:8:4' is no whole number"),
        (["lr=1:2"], "is not first:last:n"),
        (["lr=0:2:3"], "give ends above 0"),
        (["lr=1:nan:3"], "give ends above 0"),
        (["lr=1:2:1"], "2 to 1000 values"),
        (["start=copy,new"], "start: 'new' is unknown"),
        (["t_squared=yes"], "'yes' is unknown"),
    ],
)
def test_what_cannot_be_varied_is_named(texts, message):
    with pytest.raises(UsageError, match=r"^grid") as error:
        axes(texts, "ewc")
    assert message in str(error.value)
