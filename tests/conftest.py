"""Settings of all tests: strict dtypes, nothing written to the user's folders."""

import dataclasses
import functools
import os
import signal
import tempfile
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

# The same small programs are compiled again and again: keep them for a run of the tests,
# whose workers and commands share them.
if "PYTEST_XDIST_WORKER" not in os.environ:
    _compiled = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _compiled.name
    os.environ["MPLCONFIGDIR"] = _compiled.name  # its list of fonts would be a file too many
    os.environ["XDG_STATE_HOME"] = _compiled.name  # of runs that several tests share
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.02"
os.environ["JAX_TRACEBACK_IN_LOCATIONS_LIMIT"] = "0"  # or each operation has its stack on it
os.environ["MPLBACKEND"] = "agg"

import jax

# Most of the time would go into making programs fast that run for a moment. With XLA_FLAGS=
# in front of pytest they are compiled as a user has them.
_quick = "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
if jax.__version_info__ < (0, 11):  # a later XLA ends where it meets this flag
    _quick += " --xla_cpu_use_fusion_emitters=false"
_flags = os.environ.setdefault("XLA_FLAGS", _quick)
os.environ["XLA_FLAGS"] = f"{_flags} --xla_force_host_platform_device_count=8"

import numpy as np
import optax
import pytest
from hypothesis import settings

from jaxcl import networks
from jaxcl.learner import build, seed_loop
from jaxcl.learner.state import Setup
from jaxcl.methods import METHODS
from jaxcl.methods.replay import NoiseReplay
from jaxcl.networks import cnn
from jaxcl.networks.choices import NETWORKS
from jaxcl.networks.gan import mlp_gan
from jaxcl.runner import grouping, recorder
from jaxcl.scenarios.datasets import builtin
from jaxcl.scenarios.task import Task, size_text
from jaxcl.training.generative import quality
from jaxcl.transforms.rehearsal.made_examples import noise

jax.devices()  # as many as that are simulated here, but not in the commands that tests start
os.environ["XLA_FLAGS"] = _flags

jax.config.update("jax_numpy_dtype_promotion", "strict")
# Letters are drawn once, not for each command.
builtin.TASKS.update({name: functools.cache(make) for name, make in builtin.TASKS.items()})
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
def _own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


_small_gan = functools.cache(functools.partial(mlp_gan, hidden=(16,)))


@pytest.fixture(autouse=True)
def _quick_generator(monkeypatch):
    """Generated images and figures of them are not what most tests are about."""
    monkeypatch.setattr(build, "mlp_gan", _small_gan)
    monkeypatch.setattr(quality, "STEPS", 3)
    monkeypatch.setattr(quality, "HIDDEN", (16, 8))


@pytest.fixture
def little_noise(monkeypatch):
    """A hundredth of the noise that is replayed, which takes longest of what a small run does."""
    monkeypatch.setattr(NoiseReplay, "memory", lambda self, classes: noise(100))


@pytest.fixture(autouse=True, scope="module")
def _forget_compiled():
    """Programs take memory, of which a process may map 65,530 pieces and no more."""
    yield
    maps = Path("/proc/self/maps")
    if not maps.exists() or maps.read_bytes().count(b"\n") > 15_000:
        jax.clear_caches()


@pytest.fixture
def key():
    return jax.random.key(0)


_small = functools.cache(functools.partial(cnn, filters=(4, 6), hidden=16))


@pytest.fixture
def small_cnn(monkeypatch):
    """The convolutional network with few filters, for runs that are about something else."""
    monkeypatch.setattr(networks, "cnn", _small)
    return _small()


_made = [(networks, name) for name in ("cnn", "columns", "mlp")]
_made += [(build, "conv_gan")]
_made += [(quality, name) for name in ("adam", "chain", "mlp")]
_once = [(*place, make := getattr(*place), functools.cache(make)) for place in _made]
_programs: dict[object, tuple] = {}


@pytest.fixture
def compiled_once(monkeypatch):
    """Runs whose settings differ in numbers alone share programs, as the points of a sweep do.

    Not for tests that change what is read while a program is traced.
    """

    def made(**fields) -> Setup:
        like = dataclasses.replace(grouping.untraced(fields["config"]), seeds=(0,))
        tasks = fields["tasks"]
        shape = size_text(tasks.train[0]["input"])
        key = like, tuple(tasks.classes), shape, fields["net"]
        fields["compiled"] = _programs.setdefault(key, fields["compiled"])
        if fields["scholar"] is not None:
            key = shape, like.generator
            fields["scholar"] = _programs.setdefault(key, fields["scholar"])
        return Setup(**fields)

    for module, name, make, once in _once:
        if getattr(module, name) is make:
            monkeypatch.setattr(module, name, once)
    monkeypatch.setattr(build, "Setup", made)
    monkeypatch.setattr(seed_loop, "forget_programs", lambda: None)


@pytest.fixture
def own_registry():
    """What a test makes known by its name is forgotten again."""
    with mock.patch.dict(METHODS), mock.patch.dict(NETWORKS):
        yield


@pytest.fixture
def stopping_after(monkeypatch):
    """``with stopping_after(n):`` a run gets SIGTERM when it has written n lines of metrics."""

    @contextmanager
    def stopping_after(n: int):
        append, lines = recorder.run_folder.append, []

        def stopping(*line):
            append(*line)
            lines.append(line)
            if len(lines) == n:
                os.kill(os.getpid(), signal.SIGTERM)

        with monkeypatch.context() as patch:
            patch.setattr(recorder.run_folder, "append", stopping)
            yield

    return stopping_after


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

        return Task(name, *split(n), *split(n // 2), classes)

    return make
