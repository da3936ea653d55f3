"""Settings of all tests: strict dtypes, nothing written to the user's folders."""

import functools
import os
import tempfile

# The same small programs are compiled again and again: keep them for a run of the tests.
_compiled = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
os.environ["JAX_COMPILATION_CACHE_DIR"] = _compiled.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"
os.environ["MPLBACKEND"] = "agg"
os.environ["MPLCONFIGDIR"] = _compiled.name  # its list of fonts would be a file too many
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"

import jax
import numpy as np
import optax
import pytest
from hypothesis import settings

from jaxcl import quality
from jaxcl.data.task import Task

jax.devices()  # as many as that are simulated here, but not in the commands that tests start
del os.environ["XLA_FLAGS"]

jax.config.update("jax_numpy_dtype_promotion", "strict")
# The first example compiles; the same examples are tried every time.
settings.register_profile("jax", deadline=None, max_examples=15, derandomize=True)
settings.load_profile("jax")


def _relaxed(make):
    """Optax promotes dtypes implicitly in Adam's bias correction; only it may."""

    @functools.wraps(make)
    def wrapper(*args, **kwargs):
        inner = make(*args, **kwargs)

        def update(*args, **kwargs):
            with jax.numpy_dtype_promotion("standard"):
                return inner.update(*args, **kwargs)

        return optax.GradientTransformationExtraArgs(inner.init, update)

    return wrapper


optax.adam = _relaxed(optax.adam)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def _quick_judge(monkeypatch):
    """Figures of generated images are not what most tests are about."""
    monkeypatch.setattr(quality, "STEPS", 3)


@pytest.fixture(autouse=True, scope="module")
def _forget_compiled():
    """A process may map so many pieces of memory and no more; each program has several."""
    yield
    jax.clear_caches()


@pytest.fixture
def key():
    return jax.random.key(0)


@pytest.fixture
def make_task():
    """Tasks that can be learned: a bright bar whose place is the class."""

    def make(name: str, classes: int = 3, n: int = 60, seed: int = 0, upright: bool = True) -> Task:
        rng = np.random.default_rng(seed)

        def split(n: int):
            labels = np.arange(n, dtype=np.int32) % classes
            images = rng.integers(0, 80, (n, 32, 32, 3), dtype=np.uint8)
            for image, label in zip(images, labels, strict=True):
                image[:, 4 * label : 4 * label + 4] += 150
            return (images if upright else images.transpose(0, 2, 1, 3)), labels

        return Task(name, classes, *split(n), *split(n // 2))

    return make
