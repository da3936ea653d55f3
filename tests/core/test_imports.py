"""What an import pulls in, measured in processes of their own."""

import importlib
import subprocess
import sys

import pytest


def loaded(code: str) -> set[str]:
    command = f"{code}; import sys; print(*{{m.split('.')[0] for m in sys.modules}})"
    result = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def test_transforms_need_jax_optax_chex_and_jaxtyping_only():
    heavy = {
        "flax", "tensorflow_datasets", "orbax", "matplotlib", "tyro", "rich", "sklearn",
        "skimage", "tensorflow", "PIL", "beartype", "equinox",
    }  # fmt: skip
    before = loaded("import jax, optax, chex, jaxtyping")
    after = loaded("import jaxcl.transforms")
    assert after - before <= {"jaxcl", "wadler_lindig"}  # the latter is a part of jaxtyping
    assert not after & heavy


@pytest.mark.parametrize("command", ["scenario", "prepare", "compare"])
def test_help_does_not_wait_for_jax(command):
    code = f"import jaxcl.experiments.{command}, tyro"
    assert not loaded(code) & {"jax", "jaxlib", "tensorflow_datasets", "matplotlib"}


ROOMS = (
    "core", "transforms", "transforms.between_tasks", "transforms.objectives",
    "transforms.penalties", "transforms.plasticity", "transforms.recency_bias",
    "transforms.rehearsal", "networks",
    "networks.adapters", "networks.backbones", "networks.convolutions", "scenarios",
    "scenarios.datasets", "scenarios.readers", "checkpointing", "growth", "methods", "training",
    "training.generative", "learner.settings",
    "learner", "reporting", "reporting.html", "reporting.loggers", "runner", "front",
)  # fmt: skip


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_is_there_and_no_other(room):
    module = importlib.import_module(f"jaxcl.{room}")
    assert module.__doc__
    for name in module.__all__:
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        module.no_such_name  # noqa: B018


def test_a_room_that_is_light_stays_light():
    assert "jax" not in loaded(
        "import jaxcl, jaxcl.learner, jaxcl.methods, jaxcl.training.settings"
    )


def test_the_list_does_not_wait_for_jax():
    assert not loaded("import jaxcl.experiments.command_line.listing") & {
        "jax",
        "numpy",
        "matplotlib",
        "scipy",
    }
