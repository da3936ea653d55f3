"""The processes of ``gpu.py``: one of jaxcl, several of PyTorch, which compile side by side."""

import argparse
import json
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import gpu_cases

HERE = Path(__file__).parent
PEERS = 4  # processes of PyTorch
PRODUCT = """
import json, numpy as np
x, y = np.random.default_rng(0).standard_normal((2, 1024, 1024), np.float32)
exact = x.astype(np.float64) @ y.astype(np.float64)
def error(z): return f"{np.linalg.norm(np.asarray(z) - exact) / np.linalg.norm(exact):.1e}"
"""
PROBE = {  # what a side is, and how exact its float32 products are
    "jaxcl": """
import jax, jax.numpy as jnp
device, asked = jax.devices()[0], jax.config.jax_default_matmul_precision
print(json.dumps({"jax": jax.__version__, "device": device.device_kind,
    "jax_default_matmul_precision": str(asked), "error of a product": error(jnp.dot(x, y))}))
""",
    "PyTorch": """
import torch, torch_gpu
from torch import backends as b
z = (torch_gpu.tensor(x) @ torch_gpu.tensor(y)).cpu()
print(json.dumps({"torch": torch.__version__, "CUDA": torch.version.cuda,
    "cuDNN": b.cudnn.version(), "cuda.matmul.allow_tf32": b.cuda.matmul.allow_tf32,
    "cudnn.allow_tf32": b.cudnn.allow_tf32, "error of a product": error(z)}))
""",
}


class Side:
    """A process, and a thread that hears its answers."""

    def __init__(self, python: str, script: str, folder: str, env: dict[str, str]):  # noqa: D107
        pipe = subprocess.PIPE
        command = [python, str(HERE / script), folder]
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=env)
        self.answers: queue.Queue[dict[str, Any] | None] = queue.Queue()
        threading.Thread(target=self._hear, daemon=True).start()

    def _hear(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.answers.put(json.loads(line))
        self.answers.put(None)

    def ask(self, **values: Any) -> None:
        """Sends a request."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(values) + "\n")
        self.process.stdin.flush()

    def answer(self, until: float) -> dict[str, Any]:
        """The next answer.

        Raises:
          TimeoutError: there is none in time.
          RuntimeError: the process ended.
        """
        try:
            found = self.answers.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            raise TimeoutError(f"{self.process.args}: no answer in time") from None
        if found is None:
            raise RuntimeError(f"{self.process.args} ended; its message is above")
        return found


class Sides:
    """All processes."""

    def __init__(self, folder: str, options: argparse.Namespace):  # noqa: D107
        self.python = {"jaxcl": sys.executable, "PyTorch": options.torch_python}
        memory = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}  # which both sides share
        memory["TORCHINDUCTOR_COMPILE_THREADS"] = "4"
        self.env = {**os.environ, **memory}
        peers = 1 if options.tiny else PEERS
        self.ours = Side(sys.executable, "gpu_jax.py", folder, self.env)
        self.theirs = [
            Side(options.torch_python, "torch_gpu.py", folder, self.env) for _ in range(peers)
        ]
        self.many = Side(sys.executable, "gpu_jax.py", folder, self.env)
        self.all = (self.ours, self.many, *self.theirs)
        self.dead: set[Side] = set()
        self.ready: dict[str, Side] = {}
        self.places: dict[str, int] = {}  # of a case's forms, which share what is tuned

    def __enter__(self) -> "Sides":
        """Nothing more to do."""
        return self

    def __exit__(self, *unused: object) -> None:
        """Ends the processes."""
        for side in self.all:
            side.process.kill()
            side.process.wait()

    def versions(self) -> dict[str, dict[str, str]]:
        """Of both libraries, with the flags that decide how exact products are."""
        found = {}
        for name, code in PROBE.items():
            path = os.pathsep.join([str(HERE), self.env.get("PYTHONPATH", "")])
            command = [self.python[name], "-c", PRODUCT + code]
            done = subprocess.run(
                command, capture_output=True, text=True, env={**self.env, "PYTHONPATH": path}
            )
            found[name] = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {}
        return found

    def _side(self, key: str) -> Side:
        run = gpu_cases.parsed(key)
        if not run.peer:  # what may take too long to compile has a process of its own
            return self.many if run.kind == "resnet" and run.lanes > 1 else self.ours
        place = self.places.setdefault(f"{run.kind}/{run.case}", len(self.places))
        return self.theirs[place % len(self.theirs)]

    def prepare(self, keys: list[str], until: float, alone: bool, told: dict[str, Any]) -> None:
        """Gets cases ready, all processes at once, or jaxcl's first, alone.

        A process that does not get ready in time is given up, with all of its cases.
        """
        keys = [k for k in keys if k not in self.ready and self._side(k) not in self.dead]
        sides: dict[Side, list[str]] = {}
        for key in keys:
            sides.setdefault(self._side(key), []).append(key)
        order = sorted(sides.items(), key=lambda each: each[0] in self.theirs)
        for group in [order[:1], order[1:]] if alone else [order]:
            for side, names in group:
                side.ask(prepare=names, alone=alone)
            for side, names in group:
                try:
                    for _ in names:
                        self._told(side, side.answer(until), told)
                except (TimeoutError, RuntimeError) as error:
                    self._give_up(side, str(error))

    def _told(self, side: Side, found: dict[str, Any], told: dict[str, Any]) -> None:
        name = found.pop("name")
        told[name] = found
        if "error" in found:
            print(f"{name}: {found['error']}", flush=True)
        else:
            self.ready[name] = side

    def _give_up(self, side: Side, why: str) -> None:
        print(why, flush=True)
        side.process.kill()
        self.dead.add(side)
        self.ready = {name: of for name, of in self.ready.items() if of is not side}

    def run(self, key: str, units: int) -> dict[str, float]:
        """What so many units took."""
        side = self.ready[key]
        side.ask(run=key, units=units)
        return side.answer(time.monotonic() + 120)

    def drop(self, part: str | None) -> None:
        """Forgets cases whose names have this in them; nothing where it is None."""
        keys = [key for key in self.ready if part is not None and part in key]
        for side in {self.ready[key] for key in keys}:
            own = [key for key in keys if self.ready[key] is side]
            side.ask(drop=own)
            side.answer(time.monotonic() + 60)
        for key in keys:
            del self.ready[key]
