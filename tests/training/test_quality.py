import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.training.generative import quality
from jaxcl.training.generative.quality import found_in, train_judge


@pytest.fixture
def tasks(make_task, monkeypatch):
    """Two tasks of three bars each, counted on."""
    monkeypatch.setattr(quality, "STEPS", 60)
    monkeypatch.setattr(quality, "STEP_BATCH", 20)
    found = []
    for i in range(2):
        task = make_task(f"bars{i}", n=90, seed=i, upright=i == 0)
        labels = jnp.asarray(task.train_labels + 3 * i)
        found.append({"input": jnp.asarray(task.train_inputs), "label": labels})
    return found


def test_real_images_are_perfect_and_fewer_classes_are_not(tasks, key):
    judge = train_judge(key, tasks)
    real = found_in(judge, tasks)
    np.testing.assert_allclose(real.histogram, 1 / 6)
    both = jnp.concatenate([task["input"] for task in tasks])
    found = quality.quality(judge, real, both)
    assert found["kl"] == pytest.approx(0, abs=1e-9)
    assert found["frechet"] == pytest.approx(0, abs=1e-3)
    # One task alone: half of the classes, twice as often each.
    half = quality.quality(judge, real, tasks[0]["input"])
    assert half["kl"] == pytest.approx(np.log(2), abs=1e-6)
    assert half["frechet"] > 1


def test_a_judge_of_all_classes_chooses_among_those_so_far(tasks, key):
    judge = train_judge(key, tasks)
    real = found_in(judge, tasks[:1])
    np.testing.assert_allclose(real.histogram, [1 / 3] * 3 + [0] * 3)
    assert quality.quality(judge, real, tasks[0]["input"])["kl"] == pytest.approx(0, abs=1e-9)
    later = quality.quality(judge, real, tasks[1]["input"])
    assert 0 <= later["kl"] <= np.log(3)  # as far from even as three classes can be
    assert later["frechet"] > 1


def test_noise_is_far_away(tasks, key):
    judge = train_judge(key, tasks)
    noise = jax.random.randint(key, (60, 32, 32, 3), 0, 256).astype(jnp.uint8)
    assert quality.quality(judge, found_in(judge, tasks), noise)["frechet"] > 1


def test_a_judge_follows_from_its_key(tasks, key):
    a, b, c = (train_judge(k, tasks)["fc1"]["w"] for k in (key, key, jax.random.key(1)))
    np.testing.assert_array_equal(a, b)
    assert np.any(np.asarray(a) != np.asarray(c))
