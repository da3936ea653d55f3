"""Settings of the process that runs experiments; a library user makes their own."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


def use_compilation_cache() -> None:
    """Keeps compiled programs between processes, in the user's cache folder.

    Unless ``JAX_COMPILATION_CACHE_DIR`` or the program says where; set the variable to an empty
    string to keep nothing.
    """
    import jax

    from jaxcl.core.cache import folder

    said = jax.config.values["jax_compilation_cache_dir"] is not None
    if not said and "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(folder() / "xla"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


@contextmanager
def compile_clock() -> Iterator[Callable[[], tuple[float, float]]]:
    """Counts the programs that are compiled, or read compiled from the cache, and their seconds.

    Yields:
      A function that says how many seconds so far, and how many programs.
    """
    from jax import monitoring

    spent: list[float] = []

    def listen(event: str, duration_secs: float, **kwargs: object) -> None:
        del kwargs
        if event == "/jax/core/compile/backend_compile_duration":
            spent.append(duration_secs)

    monitoring.register_event_duration_secs_listener(listen)
    try:
        yield lambda: (sum(spent), float(len(spent)))
    finally:
        monitoring.unregister_event_duration_listener(listen)


def versions() -> dict[str, str]:
    """Versions of what a result depends on.

    Without packages that were not installed, such as those that a checkout on the path brings: a
    run that is done is recorded all the same.
    """
    import platform
    from importlib import metadata

    import jaxcl

    found = {"python": platform.python_version(), "jaxcl": jaxcl.__version__}
    for name in ("jax", "jaxlib", "numpy", "optax", "orbax-checkpoint", "tensorflow-datasets"):
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def machine() -> dict[str, Any]:
    """The machine that this process runs on, as far as it can be asked.

    Returns:
      ``cores`` that this process may use; ``cpu``, its model; ``memory`` of the machine in bytes;
      ``accelerator``, the kind that JAX computes on, None on a CPU; ``accelerators``, how many of
      them, those of other processes among them. None where the system does not say.
    """
    import jax

    allowed = getattr(os, "sched_getaffinity", None)  # Linux alone knows of a process's own
    device = jax.devices()[0]
    accelerated = device.platform != "cpu"
    return {
        "cores": len(allowed(0)) if allowed is not None else os.cpu_count(),
        "cpu": _cpu_model(),
        "memory": _memory(),
        "accelerator": device.device_kind if accelerated else None,
        "accelerators": jax.device_count() if accelerated else 0,
    }


def _cpu_model(file: Path = Path("/proc/cpuinfo")) -> str | None:
    """The first model that Linux names."""
    lines = file.read_text().splitlines() if file.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else None


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # not a POSIX system, or one without the names
        return None


def git_commit() -> str | None:
    """Returns the checkout's commit, with ``+`` if the package was changed since; None outside git.

    What experiments write beside the package, such as their tables, is no change.
    """
    import subprocess

    here = Path(__file__).parents[1]

    def git(*args: str) -> str:
        command = ["git", "-C", str(here), *args]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", __file__)  # installed into another repository: not ours
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "-uno", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
