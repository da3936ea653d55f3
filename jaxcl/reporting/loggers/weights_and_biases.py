"""Events for Weights & Biases."""

import importlib
import json
import os
import shutil
import tomllib

from jaxcl.checkpointing.run_folder import write_bytes
from jaxcl.reporting.loggers.base import EpochCount, Logged, Logger, of_epoch, of_seed
from jaxcl.training.events import EpochEnded, SeedEnded

STATE = "jaxcl.json"


class WandbLogger(Logger):
    """Sends events to Weights & Biases, under ``seed0/metrics/loss`` and the like.

    Nothing leaves the machine unless ``WANDB_MODE`` is ``online``; ``wandb sync`` uploads it later.
    What was sent cannot be taken back: a file keeps which run it was and how many events of each
    seed it has, so that a run that goes on sends each event once. (It repeats to the bit what it
    had sent after its last checkpoint.)
    """

    needs = ("wandb", "jaxcl[wandb]")

    def __init__(self, run: Logged):
        """Begins a run there, or goes on with it."""
        wandb = importlib.import_module("wandb")  # which many have not

        super().__init__(run)
        self._state, self._sent, known = run.folder / STATE, {}, None
        if not run.resumed:
            shutil.rmtree(run.folder, ignore_errors=True)
        elif self._state.exists():
            known = json.loads(self._state.read_text())
            self._sent = dict(known["sent"])
        run.folder.mkdir(parents=True, exist_ok=True)
        self._to = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "jaxcl"),
            name=run.title,
            id=known["id"] if known else None,
            resume="allow",
            mode=os.environ.get("WANDB_MODE", "offline"),
            dir=str(run.folder.parent),  # in which it has its folder, of this name
            config=tomllib.loads(run.config),
            reinit="create_new",  # runs may go on side by side
        )
        self._epochs, self._seen = EpochCount(), dict[str, int]()

    def take(self, event: EpochEnded | SeedEnded) -> None:
        """Sends an event that was not sent yet."""
        seed = f"seed{event.seed}"
        first = seed not in self._seen
        self._seen[seed] = self._seen.get(seed, 0) + 1
        if isinstance(event, EpochEnded):
            values = of_epoch(event) | {"epoch": self._epochs.next(event.seed)}
        else:
            values = of_seed(event) | {"epoch": self._epochs.done(event.seed)}
        if first:  # curves are drawn against the seed's own epochs
            self._to.define_metric(f"{seed}/epoch")
            self._to.define_metric(f"{seed}/*", step_metric=f"{seed}/epoch")
        if self._seen[seed] <= self._sent.get(seed, 0):
            return
        step = sum(self._sent.values())
        self._to.log({f"{seed}/{name}": value for name, value in values.items()}, step=step)
        self._sent[seed] = self._seen[seed]
        kept = {"id": self._to.id, "sent": self._sent}
        write_bytes(self._state, json.dumps(kept).encode())

    def close(self) -> None:
        """Waits until everything is written, or sent."""
        self._to.finish()
