import shutil
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcl
from jaxcl.checkpointing import storage
from jaxcl.core.errors import UsageError

SETTINGS = [("task", {}), ("class", {}), ("class", {"heads": "full"})]


def accuracies(result, tasks, setting, *, seed=None):
    """What ``predict`` gives for the tests of all tasks, percent."""
    first, found = 0, []
    for task in tasks:
        name = task.name if setting == "task" else None
        labels = task.test_labels + (first if setting == "class" else 0)
        found.append(100 * np.mean(result.predict(task.test_inputs, name, seed=seed) == labels))
        first += len(np.unique(task.train_labels))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("setting", "more"), SETTINGS)
def test_predictions_are_those_that_were_tested(setting, more, pair, small):
    result = jaxcl.fit(pair, "finetune", setting=setting, seeds=(1, 2), **small, **more)
    for place, seed in enumerate((1, 2)):
        found = accuracies(result, pair, setting, seed=seed)
        np.testing.assert_allclose(found, result.accuracy[place, -1], rtol=1e-6)
    np.testing.assert_array_equal(
        result.predict(pair[0].test_inputs, "first" if setting == "task" else None),
        result.predict(pair[0].test_inputs, "first" if setting == "task" else None, seed=1),
    )


def test_in_the_domain_setting_no_task_is_told(pair, small):
    pair = [pair[0], pair[0]._replace(name="again")]
    result = jaxcl.fit(pair, "finetune", setting="domain", **small)
    np.testing.assert_allclose(accuracies(result, pair, "domain"), result.accuracy[0, -1])
    with pytest.raises(UsageError, match="task: the domain setting has none; leave it out"):
        result.predict(pair[0].test_inputs, "first")


def test_a_run_that_is_loaded_or_copied_is_the_same(pair, small, tmp_path):
    result = jaxcl.fit(pair, "finetune", **small)
    result.save(tmp_path / "copy")
    for folder in (small["out"], tmp_path / "copy"):
        again = jaxcl.load(folder)
        np.testing.assert_array_equal(again.accuracy, result.accuracy)
        x = pair[1].test_inputs
        np.testing.assert_array_equal(again.logits(x, "second"), result.logits(x, "second"))
        assert again.plot().size[0] > 100
    files = again.pictures(tmp_path / "drawn", "pdf")
    assert [file.name for file in files] == ["accuracy.pdf", "matrix.pdf", "forgetting.pdf"]
    assert all(file.read_bytes().startswith(b"%PDF") for file in files)
    with pytest.raises(UsageError, match="holds something already; name another"):
        result.save(tmp_path / "copy")
    with pytest.raises(UsageError, match="is not there; run it first"):
        jaxcl.load(tmp_path / "nothing")
    assert repr(result).startswith("Result(finetune, 2 tasks: average accuracy ")


def test_what_cannot_be_predicted_is_one_line(pair, small):
    result, x = jaxcl.fit(pair, "finetune", **small), pair[0].test_inputs
    for message, given in {
        "an example is float32 4, and the network learned float32 5": (x[:, :4], "first"),
        "an example is uint8 5, and the network learned float32 5": (x.astype(np.uint8), "first"),
        "task: missing; choose from first, second": (x,),
        "task: 'third' is unknown; choose from first, second": (x, "third"),
    }.items():
        with pytest.raises(UsageError, match=message) as error:
            result.predict(*given)
        assert "\n" not in str(error.value)
    with pytest.raises(UsageError, match="seed: 7 was not run; choose from 0"):
        result.predict(x, "first", seed=7)
    assert result.predict(x.astype(np.float64), "first").shape == (60,)  # as it was for training


@pytest.mark.slow
def test_images_are_made_ready_as_those_that_were_learned(make_task, small, small_cnn):
    """The convolutional network takes 32x32x3, and channels are normalised."""
    tasks = [
        task._replace(
            train_inputs=task.train_inputs[:, ::2, ::2, :1],
            test_inputs=task.test_inputs[:, ::2, ::2, :1],
        )
        for task in (make_task("a", n=40), make_task("b", n=40, seed=1))
    ]
    result = jaxcl.fit(tasks, "finetune", normalise=True, **{**small, "network": "cnn"})
    np.testing.assert_allclose(accuracies(result, tasks, "task"), result.accuracy[0, -1])


def test_inputs_may_be_a_tree(small):
    """Tokens and numbers side by side, through a network of two functions."""
    rng = np.random.default_rng(0)

    def part(n):
        inputs = {"tokens": rng.integers(0, 7, (n, 3)), "size": rng.normal(size=(n, 2))}
        return inputs, (inputs["tokens"][:, 0] > 3).astype(np.int64)

    def init(key, inputs):
        shapes = {"embed": (7, 4), "mix": (2, 4)}
        keys = jax.random.split(key, 2)
        made = zip(shapes.items(), keys, strict=True)
        return {name: jax.random.normal(k, shape) for (name, shape), k in made}, ()

    def apply(params, stats, inputs, train, key):
        found = params["embed"][inputs["tokens"][:, 0]] + inputs["size"] @ params["mix"]
        return jnp.tanh(found), stats

    tasks = [jaxcl.Task(name, *part(60), *part(30)) for name in ("a", "b")]
    small["network"] = network = jaxcl.from_functions(init, apply)
    result = jaxcl.fit(tasks, "er", **small)
    np.testing.assert_allclose(accuracies(result, tasks, "task"), result.accuracy[0, -1])
    loaded = jaxcl.load(small["out"], network=network)
    np.testing.assert_allclose(accuracies(loaded, tasks, "task"), result.accuracy[0, -1])
    with pytest.raises(
        UsageError, match=r"network: apply \(functions\) was given by a program; give"
    ):
        jaxcl.load(small["out"]).predict(tasks[0].test_inputs, "a")


def test_no_examples_are_refused(pair, small):
    result = jaxcl.fit(pair, "finetune", **small)
    with pytest.raises(UsageError, match="inputs: no examples; give at least one"):
        result.predict(pair[0].test_inputs[:0], "first")


def test_weights_that_are_missing_or_damaged_and_folders_of_several_runs_are_named(pair, small):
    result = jaxcl.fit(pair, "finetune", **small)
    with pytest.raises(UsageError, match="holds several runs; name one of them, such as /"):
        jaxcl.load(small["out"].parent)
    weights = result.folder / "params/seed0"
    for file in weights.rglob("*"):
        if file.is_file():
            file.write_bytes(b"rubbish")
    with pytest.raises(UsageError, match=r"seed0 is damaged \(.*\); restore it, or run again"):
        jaxcl.load(result.folder).params  # noqa: B018
    denied = PermissionError(13, "not allowed")
    with (
        mock.patch.object(storage, "load_onto_host", side_effect=denied),
        pytest.raises(UsageError, match=r"seed0 cannot be read \(not allowed\); check its perm"),
    ):
        jaxcl.load(result.folder).params  # noqa: B018
    shutil.rmtree(weights)
    with pytest.raises(UsageError, match="seed0 is missing; restore it, or run again"):
        jaxcl.load(result.folder).predict(pair[0].test_inputs, "first")
