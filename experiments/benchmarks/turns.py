"""Programs that take turns: A B A B, so that a machine whose speed drifts slows all alike."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from cases import Measured

TOLERANCE = 2e-3  # of losses after a few steps: rounding differs, and Adam magnifies it
HERE = Path(__file__).parent

Turns = dict[str, list[dict[str, float]]]
"""By side: what each turn took (``wall`` and ``cpu`` seconds, ``peak_mib``)."""


class Worker:
    """A fresh process with one side of a case."""

    def __init__(self, side: str, name: str, folder: str):  # noqa: D107
        command = [sys.executable, str(HERE / "worker.py"), side, name, folder]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        self.check = self._answer()["check"]

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args} ended; its message is above")
        return json.loads(line)

    def turn(self, units: int) -> dict[str, float]:
        """What so many units took."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{units}\n")
        self.process.stdin.flush()
        return self._answer()

    def end(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.wait()


def take(name: str, case: Measured, rounds: int, said: Callable[[str], None]) -> Turns:
    """A turn of every side to warm up, then turns one after the other.

    Args:
      name: of the case.
      case: what is measured.
      rounds: turns of each side that count.
      said: is told what is being done.

    Raises:
      ValueError: the sides do not find the same numbers from the same weights.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        workers: dict[str, Worker] = {}
        for side in ("jaxcl", *case.peers):
            said(f"{name}: {side} starts")
            workers[side] = Worker(side, name, folder)
            stack.callback(workers[side].end)
            ours, theirs = workers["jaxcl"].check, workers[side].check
            if not np.allclose(ours, theirs, rtol=TOLERANCE):
                raise ValueError(f"{name}: {side} finds {theirs}, jaxcl {ours}")
            workers[side].turn(case.turn)
        turns: Turns = {side: [] for side in workers}
        for number in range(rounds):
            for side, worker in workers.items():
                said(f"{name}: turn {number + 1} of {rounds}, {side}")
                turns[side].append(worker.turn(case.turn))
    return turns
