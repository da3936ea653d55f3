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
PROBE = {
    "jaxcl": "import jax, json; d = jax.devices()[0]; print(json.dumps(dict(jax=jax.__version__,"
    "device=d.device_kind, platform=jax.default_backend(),"
    "default_matmul_precision=str(jax.config.jax_default_matmul_precision))))",
    "PyTorch": "import torch, json, gpu_torch; b = torch.backends; print(json.dumps(dict("
    "torch=torch.__version__, cuda=torch.version.cuda, cudnn=b.cudnn.version(),"
    "matmul_allow_tf32=b.cuda.matmul.allow_tf32, cudnn_allow_tf32=b.cudnn.allow_tf32)))",
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
            Side(options.torch_python, "gpu_torch.py", folder, self.env) for _ in range(peers)
        ]
        self.ready: dict[str, Side] = {}

    def __enter__(self) -> "Sides":
        """Nothing more to do."""
        return self

    def __exit__(self, *unused: object) -> None:
        """Ends the processes."""
        for side in (self.ours, *self.theirs):
            side.process.kill()
            side.process.wait()

    def versions(self) -> dict[str, dict[str, str]]:
        """Of both libraries, with the flags that decide how exact products are."""
        found = {}
        for name, code in PROBE.items():
            path = os.pathsep.join([str(HERE), self.env.get("PYTHONPATH", "")])
            command = [self.python[name], "-c", code]
            done = subprocess.run(
                command, capture_output=True, text=True, env={**self.env, "PYTHONPATH": path}
            )
            found[name] = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {}
        return found

    def _side(self, key: str) -> Side:
        run = gpu_cases.parsed(key)
        if not run.peer:
            return self.ours
        spread = sum(map(ord, f"{run.kind}{run.case}{run.form}"))
        return self.theirs[spread % len(self.theirs)]

    def prepare(self, keys: list[str], until: float, alone: bool, told: dict[str, Any]) -> None:
        """Gets cases ready, all processes at once, or one after the other where ``alone``."""
        keys = [key for key in keys if key not in self.ready]
        sides: dict[Side, list[str]] = {}
        for key in keys:
            sides.setdefault(self._side(key), []).append(key)
        order = sorted(sides.items(), key=lambda each: each[0] is not self.ours)
        for group in [[each] for each in order] if alone else [order]:
            for side, names in group:
                side.ask(prepare=names, alone=alone)
            for side, names in group:
                for _ in names:
                    found = side.answer(until)
                    name = found.pop("name")
                    told[name] = found
                    if "error" in found:
                        print(f"{name}: {found['error']}", flush=True)
                    else:
                        self.ready[name] = side

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
