"""From the events of runs to their files: the one place that saves."""

import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from jaxcl.core import processes
from jaxcl.core.errors import NonFiniteLoss, OutputError
from jaxcl.learner.seed_loop import Happened, rounds
from jaxcl.reporting import report
from jaxcl.reporting.console import say
from jaxcl.runner.interrupt import Interrupted, catching
from jaxcl.runner.recorder import Recorder, Run, recorder, silent
from jaxcl.training.events import Diverged, EpochEnded, StepsDone


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


Clock = Callable[[], tuple[float, float]]


def record(
    runs: Sequence[Run], console: Console, saving: Saving, clock: Clock, *, explain: bool = False
) -> list[dict[str, Any] | NonFiniteLoss]:
    """Shows runs, saves them, writes their files as they go on, and returns their summaries.

    Args:
      runs: one, or several at the same moment that differ in numbers alone.
      console: where progress is shown.
      saving: when to save.
      clock: seconds since the command started, and how many of them it compiled; each of
        several runs has its part of them.
      explain: show what was measured as a task came.

    Returns:
      A summary of each run, or why there is none: it diverged.

    Raises:
      Interrupted: a signal came; everything is saved.
    """

    def spent() -> list[float]:
        return [seconds / len(runs) for seconds in clock()]

    writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
    first = processes.primary()
    recorders = [
        recorder(r, console, saving.keep, writer) if first else silent(r.setup) for r in runs
    ]
    failed: dict[int, NonFiniteLoss] = {}
    saved = time.perf_counter()
    happenings = rounds([run.setup for run in runs], [run.past.learners for run in runs])
    names = runs[0].setup.names
    with catching(lambda text: say(console, text)) as stopping:
        for happened in report.watch(happenings, names, console, explain=explain):
            for (place, _), event in happened.items():
                if isinstance(event, Diverged):
                    failed.setdefault(place, event.error)
                elif place not in failed:
                    recorders[place].take(event)
            if len(failed) == len(runs):
                break
            at_rest = _at_rest(happened, failed.keys())
            if not at_rest:
                continue
            event = next(iter(at_rest.values()))[0]
            due = _due(saving, event, time.perf_counter() - saved)
            stop, due = processes.any_of([stopping(), due])
            if stop or due:
                saved = time.perf_counter()
                for place, events in at_rest.items():
                    recorders[place].save([each.learner for each in events], spent())
            if stop:
                processes.first(lambda: _saved(recorders))
                raise Interrupted
    # In one, so that no process leaves while the first one writes.
    done = processes.first(
        lambda: [{} if i in failed else r.finish(spent()) for i, r in enumerate(recorders)]
    )
    return [failed.get(i) or summary for i, summary in enumerate(done)]


def _saved(recorders: Sequence[Recorder]) -> None:
    on_disk = [each.wait() for each in recorders]
    if not all(on_disk):
        raise OutputError("interrupted, and the last checkpoint was not written")


def _at_rest(
    happened: Happened, failed: Collection[int]
) -> dict[int, list[StepsDone | EpochEnded]]:
    """The events of each run whose learners can be saved now."""
    found: dict[int, list[StepsDone | EpochEnded]] = {}
    for (place, _), event in happened.items():
        if isinstance(event, StepsDone | EpochEnded) and place not in failed:
            found.setdefault(place, []).append(event)
    return found


def _due(saving: Saving, event: StepsDone | EpochEnded, seconds: float) -> bool:
    if saving.seconds is not None:
        return seconds >= saving.seconds
    ended = isinstance(event, EpochEnded)
    return ended and saving.epochs is not None and event.learner.epoch % saving.epochs == 0


def show(summary: dict[str, Any], out: Path, console: Console) -> None:
    """Prints a run's tables and where its files are."""
    console.print(report.accuracy_table(summary))
    console.print(report.facts_table(summary))
    console.print(f"written to {out}", highlight=False)
