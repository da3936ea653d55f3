"""Several processes, on one machine or many, that run one program on all their devices.

Every process runs the same lines on the same numbers, so each knows all there is to know;
the first one alone writes the folder of a run, which all of them see, and speaks.  What one process
alone can know (what lies in a folder, what the clock says, whether a signal came) is
agreed upon here.  With one process, functions here return what they are given.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import numpy as np
from numpy import ndarray

from jaxcl.core.errors import UsageError

Value = TypeVar("Value")
SILENT_SECONDS = 30  # after which a process counts as dead
LEAVING_SECONDS = 10  # that a process waits for others as it ends
PIECE = 2**28  # bytes that are told at once


class Elsewhere(Exception):
    """The first process met an error, and says so itself."""


def join() -> None:
    """Joins the other processes if the environment names them.

    In a SLURM step of several tasks or under Open MPI they are found by JAX; elsewhere
    ``JAX_COORDINATOR_ADDRESS`` (host:port of the first), ``JAX_NUM_PROCESSES`` and
    ``JAX_PROCESS_ID`` say it, or ``JAX_NUM_PROCESSES=auto`` where JAX can find out, as on
    a TPU pod.

    Raises:
      UsageError: the environment names them badly, or they cannot be reached.
    """
    given = os.environ.get("JAX_NUM_PROCESSES")
    tasks = [os.environ.get(name, "1") for name in ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")]
    if given in (None, "1") and set(tasks) == {"1"}:
        return
    import jax

    if jax.distributed.is_initialized():
        return
    named = {}
    if given not in (None, "auto"):
        try:
            named["num_processes"] = int(given)
            named["process_id"] = int(os.environ["JAX_PROCESS_ID"])
            named["coordinator_address"] = os.environ["JAX_COORDINATOR_ADDRESS"]
        except (KeyError, ValueError) as error:
            raise UsageError(
                f"JAX_NUM_PROCESSES: {given}, but {error}; give JAX_PROCESS_ID (0, 1, ...) and"
                " JAX_COORDINATOR_ADDRESS (host:port) too"
            ) from error
    # It would take SIGTERM before there is anything to save.
    jax.config.update("jax_enable_preemption_service", False)
    # On CPUs, programs that run at once would take each other's messages.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    try:
        jax.distributed.initialize(
            **named,
            heartbeat_timeout_seconds=SILENT_SECONDS,
            shutdown_timeout_seconds=LEAVING_SECONDS,
        )
    except (ValueError, RuntimeError) as error:
        reason = str(error).strip().split("\n")[0]
        raise UsageError(f"processes: they do not find each other ({reason})") from error


def is_lost(error: Exception) -> bool:
    """Returns whether an error says that another process cannot be reached."""
    import jax

    # Gloo's, of CPUs, come as ValueError; what else the runtime reports may be a full device.
    of_runtime = isinstance(error, jax.errors.JaxRuntimeError)
    return "Gloo" in str(error) or (of_runtime and "RESOURCE_EXHAUSTED" not in str(error))


def leave(code: int) -> NoReturn:
    """Ends this process at once, without a word to the others."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def number() -> int:
    """Returns which process this is, from 0."""
    jax = sys.modules.get("jax")  # not imported, or not wholly: there is no other process
    distributed = getattr(jax, "distributed", None)
    return jax.process_index() if jax and distributed and distributed.is_initialized() else 0


def is_multiprocess() -> bool:
    """Returns whether there are others."""
    jax = sys.modules.get("jax")
    return bool(jax and jax.distributed.is_initialized() and jax.process_count() > 1)


def is_primary() -> bool:
    """Returns whether this is the process that writes and speaks."""
    return number() == 0


def on_primary(make: Callable[[], Value]) -> Value:
    """Returns what the first process makes, as JSON, in all of them.

    Raises:
      Elsewhere: in the others, where ``make`` raised an error in the first.
    """
    if not is_multiprocess():
        return make()
    value, error = None, None
    if is_primary():
        try:
            value = make()
        except Exception as found:
            error = found
    said = json.loads(_told(json.dumps([value, error is None]).encode()))
    if error is not None:
        raise error
    if not said[1]:
        raise Elsewhere
    return said[0]


def arrays(found: Mapping[str, ndarray] | None) -> dict[str, ndarray]:
    """Arrays on the host that the first process has, in all of them."""
    assert found is not None or not is_primary()
    if not is_multiprocess():
        return dict(found or {})
    own = dict(found or {})
    kinds = on_primary(lambda: {name: [list(x.shape), x.dtype.name] for name, x in own.items()})
    return {
        name: np.frombuffer(_told(own[name].tobytes() if own else b""), kind).reshape(shape)
        for name, (shape, kind) in kinds.items()
    }


def any_of(flags: Sequence[bool]) -> list[bool]:
    """Returns each flag: whether it is set in any process."""
    if not is_multiprocess():
        return list(flags)
    from jax.experimental import multihost_utils

    told = np.asarray(multihost_utils.process_allgather(np.array([flags])))
    return np.any(told.reshape(-1, len(flags)), axis=0).tolist()


def broadcast(value: float) -> float:
    """Returns a number as the first process has it."""
    if not is_multiprocess():
        return value
    from jax.experimental import multihost_utils

    return float(multihost_utils.broadcast_one_to_all(np.float32(value)))


def on_host(x: Any) -> ndarray:
    """Returns a copy of an array, wherever its parts lie; all processes ask for it."""
    if is_multiprocess() and not x.is_fully_replicated:
        from jax.experimental import multihost_utils

        return np.asarray(multihost_utils.process_allgather(x, tiled=True))
    return np.array(x)


def _told(content: bytes) -> bytes:
    """Bytes of the first process, in all of them."""
    from jax.experimental import multihost_utils

    tell, size = multihost_utils.broadcast_one_to_all, np.array(divmod(len(content), PIECE))
    whole, rest = (int(n) for n in tell(size.astype(np.int32)))
    parts = []
    for i in range(whole + (rest > 0)):
        own = np.zeros(PIECE if i < whole else rest, np.uint8)
        if is_primary():
            own[:] = np.frombuffer(content[i * PIECE : (i + 1) * PIECE], np.uint8)
        parts.append(np.asarray(tell(own), np.uint8).tobytes())
    return b"".join(parts)
