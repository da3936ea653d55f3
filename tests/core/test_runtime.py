import os
import re
import runpy
import shutil
import subprocess
from importlib import metadata
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

import jaxcl
from jaxcl.core import runtime
from jaxcl.core.cache import folder
from jaxcl.core.runtime import compile_clock, machine, versions


def test_the_clock_counts_compiling_and_nothing_else():
    x = jnp.arange(7.0)
    f = jax.jit(lambda x: jnp.sin(x) * 3 + 1)
    with compile_clock() as spent:
        assert spent() == (0, 0)
        f(x)
        once = spent()
        assert once[0] > 0
        assert once[1] == 1
        f(x)
        assert spent() == once
    jax.jit(lambda x: x - 2)(x)
    assert spent() == once


def test_compiled_programs_are_kept_where_the_program_or_its_environment_says(
    monkeypatch, tmp_path
):
    before = (
        jax.config.jax_compilation_cache_dir,
        jax.config.jax_persistent_cache_min_compile_time_secs,
    )
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    try:
        for said, kept in ((str(tmp_path), str(tmp_path)), ("", ""), (None, str(folder() / "xla"))):
            jax.config.update("jax_compilation_cache_dir", said)
            runtime.use_compilation_cache()
            assert jax.config.jax_compilation_cache_dir == kept
        jax.config.update("jax_compilation_cache_dir", None)
        monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "")
        runtime.use_compilation_cache()
        assert jax.config.jax_compilation_cache_dir is None
    finally:
        jax.config.update("jax_compilation_cache_dir", before[0])
        jax.config.update("jax_persistent_cache_min_compile_time_secs", before[1])


def test_the_machine_that_tests_run_on():
    found = machine()
    assert (found["accelerator"], found["accelerators"]) == (None, 0)
    assert 1 <= found["cores"] <= os.cpu_count()
    assert found["memory"] is None or found["memory"] > 2**27  # bytes, not pages


def test_a_package_that_was_not_installed_has_no_version_and_stops_nothing(monkeypatch):
    def version(name):
        if name in {"jaxcl", "optax"}:  # a checkout on the path
            raise metadata.PackageNotFoundError(name)
        return installed(name)

    installed = metadata.version
    monkeypatch.setattr(metadata, "version", version)
    found = versions()
    assert found["jaxcl"] == jaxcl.__version__
    assert found["jax"] == jax.__version__
    assert "optax" not in found


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="Linux alone has it")
def test_cores_are_those_that_the_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 8})
    assert machine()["cores"] == 3


def test_accelerators_are_counted_by_their_kind(monkeypatch):
    device = SimpleNamespace(platform="gpu", device_kind="NVIDIA H100")
    monkeypatch.setattr(jax, "devices", lambda: [device] * 4)
    monkeypatch.setattr(jax, "device_count", lambda: 4)
    found = machine()
    assert (found["accelerator"], found["accelerators"]) == ("NVIDIA H100", 4)


def test_the_model_of_a_cpu(tmp_path):
    file = tmp_path / "cpuinfo"
    assert runtime._cpu_model(file) is None
    file.write_text("processor\t: 0\nflags\t: fpu\n")
    assert runtime._cpu_model(file) is None
    file.write_text("processor\t: 0\nmodel name\t: Xeon: 8 GHz\nmodel name\t: other\n")
    assert runtime._cpu_model(file) == "Xeon: 8 GHz"


def test_a_commit_is_marked_where_the_package_was_changed_and_nowhere_else(tmp_path):
    package, table = tmp_path / "package", tmp_path / "RESULTS.md"
    (package / "core").mkdir(parents=True)
    shutil.copy(runtime.__file__, package / "core/runtime.py")
    table.write_text("not run")
    for command in ("init -q", "add -A", "-c user.name=a -c user.email=b commit -qm first"):
        subprocess.run(["git", *command.split()], cwd=tmp_path, check=True)
    place = package / "core/runtime.py"
    git_commit = runpy.run_path(str(place))["git_commit"]
    first = git_commit()
    assert re.fullmatch(r"[0-9a-f]{40}", first)
    table.write_text("97 %")
    assert git_commit() == first
    with place.open("a") as file:
        file.write("# changed\n")
    assert git_commit() == first + "+"
