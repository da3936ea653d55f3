"""From the events of runs to their files: the one place that saves."""

import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from jaxcl.core import processes
from jaxcl.core.errors import NonFiniteLoss, OutputError
from jaxcl.learner.seed_loop import Happened, rounds
from jaxcl.learner.state import Setup, schedule
from jaxcl.reporting import report
from jaxcl.reporting.console import say
from jaxcl.reporting.live.course import Course
from jaxcl.reporting.live.progress import watching
from jaxcl.reporting.matrix import show_accuracy
from jaxcl.runner.interrupt import Interrupted, catching
from jaxcl.runner.recorder import Recorder, Recording, recorder, silent
from jaxcl.training.events import Diverged, EpochEnded, StepsDone
from jaxcl.training.learner_state import Learner


class Saving(NamedTuple):
    """When to save.

    Attributes:
      epochs: after so many epochs, or None.
      seconds: after so many seconds, or None.
      keep: how many checkpoints to keep.
    """

    epochs: int | None
    seconds: float | None
    keep: int


Clock = Callable[[], tuple[float, float, float]]


def record(
    runs: Sequence[Recording],
    console: Console,
    saving: Saving,
    clock: Clock,
    *,
    explain: bool = False,
    own_process: bool = False,
) -> list[dict[str, Any] | NonFiniteLoss]:
    """Shows runs, saves them, writes their files as they go on, and returns their summaries.

    Args:
      runs: one, or several at the same moment that differ in numbers alone.
      console: where progress is shown.
      saving: when to save.
      clock: seconds since the command started, how many of them it compiled, and how many
        programs; each of several runs has its part of the seconds.
      explain: show what was measured as a task came.
      own_process: whether a second signal may end the process at once.

    Returns:
      A summary of each run, or why there is none: it diverged.

    Raises:
      Interrupted: a signal came; everything is saved, and what was at its end is finished.
    """

    def spent() -> list[float]:
        seconds, compiling, programs = clock()
        return [seconds / len(runs), compiling / len(runs), programs]

    failed: dict[int, NonFiniteLoss] = {}
    saved = time.perf_counter()
    # Left last, however training ends: a checkpoint that is being written is whole then.
    with (
        ThreadPoolExecutor(1, thread_name_prefix="checkpoint") as writer,
        catching(lambda text: say(console, text), own_process=own_process) as stopping,
    ):
        made = partial(recorder, console=console, keep=saving.keep, writer=writer)
        recorders = [made(r) if processes.is_primary() else silent(r.setup) for r in runs]
        with watching(_course(runs[0].setup), console, explain=explain) as show_events:
            for happened in rounds([r.setup for r in runs], [r.progress.learners for r in runs]):
                show_events(happened)
                _take(happened, recorders, failed)
                if len(failed) == len(runs):
                    break
                at_rest = _at_rest(happened, failed.keys())
                inherits = _inherits(runs, happened)
                seconds = time.perf_counter() - saved
                due = inherits or _due(runs[0].setup, saving, happened, seconds)
                if at_rest and _save(at_rest, recorders, stopping(), due, spent):
                    saved = time.perf_counter()
                if inherits:
                    processes.on_primary(lambda: [each.pass_on() for each in recorders])
        done = _finished(recorders, failed, spent)
        if processes.any_of([stopping()])[0]:  # it was too late to save, and others may follow
            raise Interrupted
    return [failed.get(i) or summary for i, summary in enumerate(done)]


def _finished(
    recorders: Sequence[Recorder], failed: Collection[int], spent: Callable[[], list[float]]
) -> list[dict[str, Any]]:
    """The summary of each run; nothing of one that diverged."""
    # In one, so that no process leaves while the first one writes.
    return processes.on_primary(
        lambda: [{} if i in failed else r.finish(spent()) for i, r in enumerate(recorders)]
    )


def _course(setup: Setup) -> Course:
    """What is to be done, from the first task of the first seed on."""
    names, config = setup.tasks.names, setup.config
    steps = [sum(epoch.steps for epoch in schedule(setup, i)) for i in range(len(names))]
    assert config.together is not None
    return Course(names, steps, config.seeds, config.together)


def _take(
    happened: Happened, recorders: Sequence[Recorder], failed: dict[int, NonFiniteLoss]
) -> None:
    """Notes what happened to each run; one that diverged has no part any more."""
    for (place, _), event in happened.items():
        if isinstance(event, Diverged):
            failed.setdefault(place, event.error)
        elif place not in failed:
            recorders[place].take(event)


def _save(
    at_rest: dict[int, list[Learner]],
    recorders: Sequence[Recorder],
    stopping: bool,
    due: bool,
    spent: Callable[[], list[float]],
) -> bool:
    """Saves if it is time, or if any process is to stop; returns whether it did.

    Raises:
      Interrupted: a process is to stop, and everything is on disk.
    """
    stop, due = processes.any_of([stopping, due])
    if not (stop or due):
        return False
    for place, learners in at_rest.items():
        recorders[place].save(learners, spent())
    if stop:
        processes.on_primary(lambda: _saved(recorders))
        raise Interrupted
    return True


def _saved(recorders: Sequence[Recorder]) -> None:
    on_disk = [each.wait() for each in recorders]
    if not all(on_disk):
        raise OutputError("interrupted, and the last checkpoint was not written")


def _at_rest(happened: Happened, failed: Collection[int]) -> dict[int, list[Learner]]:
    """The learners of each run, where they can be saved now."""
    found: dict[int, list[Learner]] = {}
    for (place, _), event in happened.items():
        if isinstance(event, StepsDone | EpochEnded) and place not in failed:
            assert event.learner is not None
            found.setdefault(place, []).append(event.learner)
    return found


def _due(setup: Setup, saving: Saving, happened: Happened, seconds: float) -> bool:
    """Whether it is time to save: after so many seconds, or as so many epochs of a seed ended."""
    if saving.seconds is not None:
        return seconds >= saving.seconds
    ended = next((event for event in happened.values() if isinstance(event, EpochEnded)), None)
    if ended is None or saving.epochs is None:
        return False
    before = sum(len(schedule(setup, task)) for task in range(ended.task_index))
    return (before + ended.epoch + 1) % saving.epochs == 0


def _inherits(runs: Sequence[Recording], happened: Happened) -> bool:
    """Whether the first task was just learned, and other runs go on from there."""
    event = next(iter(happened.values()))
    if not isinstance(event, EpochEnded) or event.task_index > 0:
        return False
    last = event.epoch + 1 == len(schedule(runs[0].setup, 0))
    return last and any(each.heirs for each in runs)


def show(summary: dict[str, Any], out: Path, console: Console) -> None:
    """Prints a run's tables and where its files are."""
    show_accuracy(summary, console)
    console.print(report.facts_table(summary))
    console.print(f"written to {out}", highlight=False)
