"""A run as it goes on: a progress bar on a terminal, plain lines elsewhere."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from jaxcl.growth.parameters import task_index, task_name
from jaxcl.reporting.console import first_that_fits
from jaxcl.reporting.labels import shortened
from jaxcl.reporting.live.course import Course
from jaxcl.reporting.live.lines import epoch_lines, route_lines, seeds_text
from jaxcl.training.events import Diverged, EpochEnded, Event, StepsDone, TaskBegan

Show = Callable[[Mapping[Any, Event]], None]
"""Shows what happens at once: one event of each network that is trained."""

MEMORY = 300  # seconds: the time left is guessed by the speed in the latest ones
ROOMY = 100  # columns that have room for the speed, too
IN_BAR = 16  # characters of a task's name beside the bar


@contextmanager
def watching(course: Course, console: Console, *, explain: bool = False) -> Iterator[Show]:
    """Shows a run while the block lasts.

    Args:
      course: of the run; on a terminal, a bar shows how far it is and the time left of all of it.
      console: where to show it.
      explain: show what was measured as a task came, and decided, as a table.

    Yields:
      What is called with the events as they happen.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None if console.width < ROOMY else 20),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    bar = Progress(*columns, console=console, transient=True, speed_estimate_period=MEMORY)
    with bar if console.is_terminal else nullcontext():
        yield _Shown(course, console, bar, explain).show


class _Shown:
    """What is on the screen."""

    def __init__(self, course: Course, console: Console, bar: Progress, explain: bool):
        self.course, self.console, self.bar, self.explain = course, console, bar, explain
        self.names = course.names
        self.began: TaskBegan | None = None
        self.row: TaskID | None = None

    def show(self, whole: Mapping[Any, Event]) -> None:
        happened = [event for event in whole.values() if not isinstance(event, Diverged)]
        who = seeds_text([event.seed for event in happened])
        match _mean(happened):
            case TaskBegan() as event:
                self._begin(event, happened, who)
            case StepsDone() as event if self.began is not None:
                note = f"epoch {event.epoch + 1}/{len(self.began.steps)}  loss {event.loss:.3f}"
                note += f"  {event.rate:.1f} steps/s" if self.console.width >= ROOMY else ""
                self._move(event, sum(self.began.steps[: event.epoch]) + event.step, note=note)
            case EpochEnded() as event if self.began is not None:
                self._move(event, sum(self.began.steps[: event.epoch + 1]))
                name = self.names[event.task_index]
                lines = epoch_lines(who, event, self.began, name)
                self.console.print(first_that_fits(lines, self.console))

    def _begin(self, event: TaskBegan, happened: Sequence[Event], who: str) -> None:
        self.began = event
        _show_routes(happened, self.names, self.console)
        for each in happened if self.explain else ():
            if isinstance(each, TaskBegan) and each.task_index:
                self.console.print(_decisions(each, self.names))
        label = f"{who} · {shortened(self.names[event.task_index], IN_BAR)}"
        self._move(event, 0, note="compiling", description=label)

    def _move(self, event: TaskBegan | StepsDone | EpochEnded, steps: int, **more: Any) -> None:
        done = self.course.done(event.seed, event.task_index, steps)
        if self.row is None:  # a run that is resumed begins where it was
            self.row = self.bar.add_task(
                "", total=self.course.total, completed=done, visible=False, note=""
            )
        self.bar.update(self.row, completed=done, visible=True, **more)


def _mean(happened: Sequence[Event]) -> Event | None:
    """The event of all that go on, with the means of what differs; None if none does."""
    if not happened:
        return None
    event = happened[0]
    if isinstance(event, StepsDone):
        return event._replace(loss=fmean(e.loss for e in happened if isinstance(e, StepsDone)))
    if isinstance(event, EpochEnded):
        ended = [e for e in happened if isinstance(e, EpochEnded)]
        metrics = {name: fmean(e.metrics[name] for e in ended) for name in event.metrics}
        accuracy = {name: fmean(e.accuracy[name] for e in ended) for name in event.accuracy}
        return event._replace(metrics=metrics, accuracy=accuracy)
    return event


def _show_routes(happened: Sequence[Event], names: Sequence[str], console: Console) -> None:
    """A line for all seeds of which the same is to be said."""
    same: dict[str, list[TaskBegan]] = {}
    for event in happened:
        if isinstance(event, TaskBegan):
            same.setdefault(next(route_lines(event, names)), []).append(event)
    for events in same.values():
        who = seeds_text([event.seed for event in events])
        lines = (f"{who} · {line}" for line in route_lines(events[0], names))
        console.print(first_that_fits(lines, console))


def _decisions(event: TaskBegan, names: Sequence[str]) -> Table:
    """The similarity of each layer with each branch that was looked at, and the outcome."""
    table = Table(title=f"seed {event.seed}: what {names[event.task_index]} shares")
    for column in ("layer", "branch of", "similarity", "decided"):
        table.add_column(column, justify="right" if column == "similarity" else "left")
    for (layer, found), chosen in zip(event.similarity.items(), event.route, strict=True):
        own = chosen not in found  # a branch that was measured was there before
        for place, (branch, value) in enumerate(found.items()):
            decided = "shared" if branch == chosen else ""
            decided = "a new branch" if own and place == len(found) - 1 else decided
            table.add_row(layer, names[task_index(branch)], f"{value:.4f}", decided)
        if not found:
            new = chosen == task_name(event.task_index)
            table.add_row(layer, names[task_index(chosen)], "", "a new branch" if new else "shared")
    return table
