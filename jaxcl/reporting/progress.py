"""A run as it goes on: a progress bar on a terminal, plain lines elsewhere."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from jaxcl.growth.parameters import task_index, task_name
from jaxcl.reporting.labels import SHOWN
from jaxcl.training.events import Diverged, EpochEnded, Event, StepsDone, TaskBegan

Show = Callable[[Mapping[Any, Event]], None]
"""Shows what happens at once: one event of each network that is trained."""


@contextmanager
def watching(names: Sequence[str], console: Console, *, explain: bool = False) -> Iterator[Show]:
    """Shows a run while the block lasts.

    Args:
      names: of its tasks.
      console: where to show it.
      explain: show what was measured as a task came, and decided, as a table.

    Yields:
      What is called with the events as they happen.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=console, transient=True)
    shown = _Shown(names, console, bar, explain)
    with bar if console.is_terminal else nullcontext():
        yield shown.show
        shown.clear()


class _Shown:
    """What is on the screen."""

    def __init__(self, names: Sequence[str], console: Console, bar: Progress, explain: bool):
        self.names, self.console, self.bar, self.explain = names, console, bar, explain
        self.began: TaskBegan | None = None
        self.row: TaskID | None = None

    def show(self, whole: Mapping[Any, Event]) -> None:
        happened = [event for event in whole.values() if not isinstance(event, Diverged)]
        who = seeds_text([event.seed for event in happened])
        match _mean(happened):
            case TaskBegan() as event:
                self._begin(event, happened, who)
            case StepsDone() as event if self.began is not None and self.row is not None:
                done = sum(self.began.steps[: event.epoch]) + event.step
                epoch = f"epoch {event.epoch + 1}/{len(self.began.steps)}"
                note = f"steps  {epoch}  loss {event.loss:.3f}  {event.rate:.1f} steps/s"
                self.bar.update(self.row, completed=done, note=note)
            case EpochEnded() as event if self.began is not None:
                self.console.print(f"{who} · {_epoch(event, self.began, self.names)}")

    def _begin(self, event: TaskBegan, happened: Sequence[Event], who: str) -> None:
        self.began = event
        _show_routes(happened, self.names, self.console)
        for each in happened if self.explain else ():
            if isinstance(each, TaskBegan) and each.task_index:
                self.console.print(_decisions(each, self.names))
        self.clear()
        label = f"{who} · {self.names[event.task_index]}"
        self.row = self.bar.add_task(label, total=sum(event.steps), note="compiling")

    def clear(self) -> None:
        if self.row is not None:
            self.bar.remove_task(self.row)


def seeds_text(seeds: Sequence[int]) -> str:
    """Returns which seeds, or how many; of several settings, how many networks."""
    if len(set(seeds)) < len(seeds):
        return f"{len(seeds)} networks"
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds"


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
    lines: dict[str, list[int]] = {}
    for event in happened:
        if isinstance(event, TaskBegan):
            lines.setdefault(_route(event, names), []).append(event.seed)
    for line, seeds in lines.items():
        console.print(f"{seeds_text(seeds)} · {line}")


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


def _route(event: TaskBegan, names: Sequence[str]) -> str:
    """What a task shares and what was split for it."""
    own = task_name(event.task_index)
    whats, parts = [], []
    for (layer, found), branch in zip(event.similarity.items(), event.route, strict=True):
        measured = ", ".join(f"{names[task_index(b)]} {v:.2f}" for b, v in found.items())
        new = event.task_index == 0 or branch == own
        what = "new" if new else f"shared with {names[task_index(branch)]}"
        whats.append(what + (f" (similarity: {measured})" if measured else ""))
        parts.append(f"{layer} {whats[-1]}")
    if len(parts) > 2 and len(set(whats)) == 1:  # a deep network of which one thing is to be said
        parts = [f"all {len(parts)} layers {whats[0]}"]
    return names[event.task_index] + (f": {'; '.join(parts)}" if parts else "")


def _epoch(event: EpochEnded, began: TaskBegan, names: Sequence[str]) -> str:
    where = f"{names[event.task_index]} epoch {event.epoch + 1}/{len(began.steps)}"
    if event.phase == "generator":
        return f"{where} (generator)  {_generator(event.metrics)}  {event.seconds:.1f} s"
    if len(event.accuracy) > SHOWN:
        *_, newest = event.accuracy
        mean = fmean(event.accuracy.values())
        scores = (
            f"mean of {len(event.accuracy)} tasks {mean:.1f}  {newest} {event.accuracy[newest]:.1f}"
        )
    else:
        scores = "  ".join(f"{task} {value:.1f}" for task, value in event.accuracy.items())
    phase = " (warm-up)" if event.phase == "warmup" else ""
    loss = event.metrics["loss"]
    tested = f"  accuracy % {scores}" if event.accuracy else ""
    return f"{where}{phase}  loss {loss:.3f}{tested}  {event.seconds:.1f} s"


def _generator(metrics: dict[str, float]) -> str:
    """How far the critic tells images apart and, at the end, how good they are."""
    text = f"Wasserstein distance {metrics['wasserstein']:.3f}"
    if "quality.kl" in metrics:
        text += f"  KL of classes {metrics['quality.kl']:.3f}"
        text += f"  Fréchet distance {metrics['quality.frechet']:.2f}"
        text += f" (real images {metrics['quality.floor']:.2f})"
    return text
