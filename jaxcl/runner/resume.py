"""What earlier processes did of a run, as its folder tells it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
from rich.console import Console

from jaxcl.checkpointing import checkpoint, run_folder, saved_settings
from jaxcl.checkpointing.config_file import to_toml
from jaxcl.core import processes
from jaxcl.core.errors import UsageError
from jaxcl.growth.sameness import difference
from jaxcl.learner import snapshot
from jaxcl.learner.settings.protocols import OWN
from jaxcl.learner.state import Setup
from jaxcl.networks.base import Variables
from jaxcl.reporting.console import say
from jaxcl.reporting.live.lines import seeds_text
from jaxcl.training.events import EpochEnded, SeedEnded, events_of
from jaxcl.training.learner_state import Learner

ANEW = "begin anew: --overwrite, or remove its folder"


class Progress(NamedTuple):
    """What an earlier process did.

    Attributes:
      learners: where to go on, of all seeds that ran together; none to begin.
      epochs: that were done.
      results: of the seeds that were done.
      number: of the checkpoint that the learners are from, 0 for none.
      spent: seconds that it took, how many of them went into compiling, and of how many programs.
    """

    learners: Sequence[Learner]
    epochs: list[EpochEnded]
    results: list[SeedEnded]
    number: int
    spent: tuple[float, ...]


NO_PROGRESS = Progress((), [], [], 0, (0.0, 0.0, 0.0))


class Found(NamedTuple):
    """What lies in a folder, before it is a learner again.

    Attributes:
      checkpoint: that can be used.
      epochs: that were done.
      results: of the seeds that were done.
    """

    checkpoint: checkpoint.Checkpoint
    epochs: list[EpochEnded]
    results: list[SeedEnded]


def find_progress(setup: Setup, out: Path, console: Console, most: int | None = None) -> Progress:
    """Reads what the folder of a run says that it did, as far as it is whole.

    The first process looks; the others get arrays and all else from it.

    Args:
      setup: of the run.
      out: its folder.
      console: where it is said what is used and what is not.
      most: the last checkpoint that may be used, if later ones may not.

    Raises:
      UsageError: there are checkpoints but none can be used, or they were written
        with other settings; nothing is removed.
    """
    found: Found | None = None

    def look() -> dict[str, Any] | None:
        nonlocal found
        found = _look(setup, out, console, most)
        return found.checkpoint.meta if found else None

    meta = processes.on_primary(look)
    if meta is None:
        return NO_PROGRESS
    arrays = processes.arrays(found.checkpoint.arrays if found else None)
    learners = snapshot.restore_all(setup, snapshot.Snapshot(arrays, meta))
    first, seeds = learners[0].at, seeds_text([learner.at.seed for learner in learners])
    task = setup.tasks.names[first.task_index]
    where = f"{task}, {first.epoch} epochs and {first.step} steps"
    spent = (*meta["spent"], 0.0)[:3]  # an older checkpoint has not counted programs
    if found is None:
        return Progress(learners, [], [], 0, spent)
    number = found.checkpoint.number
    say(console, f"resumed from checkpoint {number}: {seeds}, {where} done")
    return Progress(learners, found.epochs, found.results, number, spent)


def _look(setup: Setup, out: Path, console: Console, most: int | None) -> Found | None:
    """What lies in the folder of a run; None if there is nothing to go on from.

    Half-written checkpoints are removed, damaged ones are passed over and named.
    """
    folder, reasons = out / run_folder.CHECKPOINTS, []

    def usable(meta: dict[str, Any]) -> str | None:
        mark = run_folder.metrics_mark(out, meta["metrics_bytes"])
        if mark["metrics_bytes"] < meta["metrics_bytes"]:
            return f"{run_folder.METRICS} lost lines since"
        same = mark["metrics_sha256"] == meta["metrics_sha256"]
        return None if same else f"{run_folder.METRICS} was changed"

    def passed_over(text: str) -> None:
        reasons.append(text)
        say(console, text)

    found = checkpoint.newest(folder, usable, passed_over, most)
    if found is None and checkpoint.numbers(folder):
        why = reasons[0] if reasons else "all are newer than those of the runs beside it"
        raise UsageError(f"resume: no checkpoint in {folder} can be used ({why}); {ANEW}")
    if found is None:
        checkpoint.clean(folder, set())
        run_folder.cut_metrics(out, 0)
        say(console, "no checkpoint yet: the run begins anew")
        return None
    _check_same_run(found.meta, found.number, setup, out)
    _check_same_network("resume", snapshot.variables_of(found.arrays), setup, out)
    if found.meta["jax"] != jax.__version__:
        say(console, f"saved with JAX {found.meta['jax']}, now {jax.__version__}: bits may differ")
    try:
        epochs, results = events_of(run_folder.cut_metrics(out, found.meta["metrics_bytes"]))
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"resume: {out / run_folder.METRICS} was changed ({error}); {ANEW}"
        ) from error
    checkpoint.clean(folder, {found.number})
    return Found(found, epochs, results)


def _check_same_run(meta: dict[str, Any], number: int, setup: Setup, out: Path) -> None:
    """Raises a UsageError if settings or images are not those that a checkpoint was made with."""
    before, now = (saved_settings.without_place(x) for x in (meta["config"], to_toml(setup.config)))
    if before != now:
        raise UsageError(
            f"resume: {out / run_folder.CONFIG} was changed since checkpoint {number} was"
            f" written; restore it, or {ANEW}"
        )
    if meta["data"] != setup.tasks.checksum:
        raise _other_images("resume", setup, out)


def _other_images(what: str, setup: Setup, out: Path) -> UsageError:
    where = f"the images in {setup.config.data.data_dir or 'the data folder'}"
    where = "the tasks" if setup.config.scenario == OWN else where
    return UsageError(
        f"{what}: {where} are not those that the run in {out} began with; restore them, or {ANEW}"
    )


def check_finished(
    setup: Setup, out: Path, summary: Mapping[str, Any], variables: Sequence[Variables]
) -> None:
    """Raises a UsageError if a finished run learned other tasks, or with another network.

    Args:
      setup: of the run that is asked for.
      out: folder of the finished one.
      summary: of the finished one.
      variables: of each seed as it ended.
    """
    before = summary["tasks"], summary["inputs"].get("checksum", setup.tasks.checksum)
    if before != (setup.tasks.names, setup.tasks.checksum):
        raise _other_images("out", setup, out)
    _check_same_network("out", variables, setup, out)


def _check_same_network(what: str, variables: Sequence[Variables], setup: Setup, out: Path) -> None:
    """Raises a UsageError if a network of a program is another than that of a run."""
    for each in variables:
        if (differs := difference(setup.net, each)) is not None:
            raise UsageError(
                f"{what}: the network is not the one that the run in {out} began with"
                f" ({differs}); give that one again, or {ANEW}"
            )
        if setup.setting.hidden and len(each.params["heads"]) > 1:
            raise UsageError(
                f"resume: the run in {out} was begun by a version that had a head for each task;"
                f" {ANEW}"
            )
