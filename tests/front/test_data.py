import numpy as np
import pytest

import jaxcl
from jaxcl.core.errors import DataError, UsageError


@pytest.mark.slow
def test_a_file_is_a_task_and_its_classes_make_several(tmp_path, small):
    rng, y = np.random.default_rng(0), np.repeat([3, 5, 7, 9], 30)
    x = rng.normal(size=(120, 4)).astype(np.float32)
    np.savez(tmp_path / "mine.npz", x_train=x, y_train=y, x_test=x[::3], y_test=y[::3])
    whole = jaxcl.read_data(tmp_path / "mine.npz")
    assert (whole.name, whole.classes) == ("mine", 4)
    np.testing.assert_array_equal(whole.train_labels, (y - 3) // 2)
    tasks = jaxcl.split_classes(whole, 2)
    assert [task.name for task in tasks] == ["mine-0-1", "mine-2-3"]
    np.testing.assert_array_equal(tasks[1].train_inputs, x[60:])
    given = jaxcl.fit(tasks, "finetune", **small)
    small["out"] = tmp_path / "by path"
    chosen = {"data": str(tmp_path / "mine.npz"), "split_classes": 2}
    by_path = jaxcl.fit("data", "finetune", **small, **chosen)
    np.testing.assert_array_equal(given.accuracy, by_path.accuracy)
    for uneven in (1, 3):
        text = (
            f"split_classes: 4 classes of mine do not make tasks of {uneven}; give a number from 2"
        )
        with pytest.raises(DataError, match=text):
            jaxcl.split_classes(whole, uneven)


def test_a_home_folder_that_there_is_not_is_one_line():
    with pytest.raises(UsageError, match=r"^path: ~no-such-name/x\.npz: no such home; give the"):
        jaxcl.read_data("~no-such-name/x.npz")


def test_a_dataset_of_hugging_face_is_a_task():
    class Dataset:
        def __init__(self, **columns):
            self.columns, self.column_names = columns, list(columns)

        def __getitem__(self, name):
            return self.columns[name]

    found = jaxcl.from_huggingface(
        {
            "train": Dataset(pixels=np.eye(6, dtype=np.float32), label=[0, 1] * 3),
            "test": Dataset(pixels=np.eye(6, dtype=np.float32)[:2], label=[0, 1]),
        },
        name="eye",
    )
    assert (found.name, found.classes, found.train_inputs.shape) == ("eye", 2, (6, 6))
