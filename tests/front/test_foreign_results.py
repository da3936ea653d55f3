"""What fit() and its results do with networks of other libraries; what they refuse in one line."""

import dataclasses

import foreign_nets as nets
import numpy as np
import pytest
from rich.console import Console

import jaxcl
from jaxcl.core.errors import UsageError
from jaxcl.networks import from_linen
from jaxcl.runner import session
from jaxcl.runner.interrupt import Interrupted

QUIET = Console(quiet=True)
SMALL = {"epochs": 1, "batch_size": 20, "lr": 1e-2}


def fitted(out, network=None, method="lwf", tasks=None, **settings):
    network = network or nets.once("linen")
    tasks = nets.tasks() if tasks is None else tasks
    return jaxcl.fit(tasks, method, network, out=out, console=QUIET, **SMALL, **settings)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return fitted(tmp_path_factory.mktemp("runs") / "run")


@pytest.mark.slow
def test_a_result_predicts_as_the_module_does(result):
    (variables,) = result.variables
    images = nets.tasks()[1].test_inputs
    tree = {"params": variables.params["shared"], **variables.stats["shared"]}
    features = nets.Linen().apply(tree, images.astype(np.float32) / 255, train=False)
    head = variables.params["heads"]["t01"]
    logits = features @ head["w"] + head["b"]
    np.testing.assert_allclose(result.logits(images, "sides"), logits, rtol=1e-4, atol=1e-5)
    found = result.predict(images, "sides")
    np.testing.assert_array_equal(found, np.asarray(logits).argmax(-1))
    right = 100 * (found == nets.tasks()[1].test_labels).mean()
    assert result.accuracy[0, 1, 1] == pytest.approx(right, abs=1e-3)


def test_inputs_of_another_shape_or_type_are_refused(result):
    for inputs, kind in (
        (np.zeros((2, 9, 9, 1), np.uint8), "uint8 9x9x1"),
        (np.zeros((2, 8, 8, 1), np.float32), "float32 8x8x1"),
        ({"image": np.zeros((2, 4), np.int64)}, "int32 4"),
    ):
        with pytest.raises(UsageError, match=f"^inputs: an example is {kind}, and the network"):
            result.predict(inputs, "bars")


def test_a_run_is_loaded_with_its_network(result):
    again = jaxcl.load(result.folder, network=nets.once("linen"))
    images = nets.tasks()[0].test_inputs
    np.testing.assert_array_equal(again.predict(images, "bars"), result.predict(images, "bars"))
    with pytest.raises(UsageError, match=r"^network: Linen \(Linen\) was given by a program; give"):
        jaxcl.load(result.folder).predict(images, "bars")
    other = jaxcl.load(result.folder, network=from_linen(nets.Linen(width=3)))
    with pytest.raises(UsageError, match=r"^network: it is not the one of the run .* load it with"):
        other.predict(images, "bars")


def interrupted(out, monkeypatch, **given):
    """A run that a signal ends after its first task."""
    seen = []

    def due(setup, saving, happened, seconds):
        seen.append(happened)
        return False

    class Stops:
        def __enter__(self):
            return lambda: len(seen) > 3

        def __exit__(self, *error):
            return False

    with monkeypatch.context() as patched:
        patched.setattr(session, "catching", lambda tell, **how: Stops())
        patched.setattr(session, "_due", due)
        with pytest.raises(Interrupted):
            fitted(out, **given)


@pytest.mark.slow
def test_another_network_than_the_run_began_with_is_refused(tmp_path, monkeypatch):
    out = tmp_path / "run"
    interrupted(out, monkeypatch)
    with pytest.raises(UsageError) as refused:
        fitted(out, from_linen(nets.Linen(width=3)))
    text = str(refused.value)
    assert text.startswith("resume: the network is not the one that the run in")
    assert (
        "params/shared/conv1/bias is float32 [3] in the network and float32 [4] in the run" in text
    )
    assert "\n" not in text
    message = r"^out: in .*, branches is (conv1|unset) and not (conv1|unset); give the same"
    with pytest.raises(UsageError, match=message):
        fitted(out, from_linen(nets.Linen(), branches=("conv1",)))
    bare = dataclasses.replace(nets.once("linen"), grow=None)
    with pytest.raises(UsageError, match=r"^network: Linen \(Linen\) was given by a program; give"):
        fitted(out, bare)
    assert fitted(out).accuracy.shape == (1, 2, 2)
    with pytest.raises(UsageError, match=r"^out: the network is not the one that the run in"):
        fitted(out, from_linen(nets.Linen(width=3)))  # the run is finished now
