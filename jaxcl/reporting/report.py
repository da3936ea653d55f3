"""A run as a person sees it: a progress bar, plain lines where there is no terminal, tables."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from statistics import fmean
from typing import Any, TypeVar

from rich import filesize
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from jaxcl.growth.parameters import task_index, task_name
from jaxcl.training.events import Diverged, EpochEnded, Event, StepsDone, TaskBegan

Name = TypeVar("Name")
SHOWN = 20  # tasks whose accuracies have room side by side


def watch(
    rounds: Iterable[Mapping[Name, Event]],
    names: Sequence[str],
    console: Console,
    *,
    explain: bool = False,
) -> Iterator[Mapping[Name, Event]]:
    """Passes events on and shows them: a bar on a terminal, a line an epoch elsewhere.

    Args:
      rounds: events, one of each network that is trained at a time.
      names: of its tasks.
      console: where to show them.
      explain: show what was measured as a task came, and decided, as a table.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=console, transient=True)
    with bar if console.is_terminal else nullcontext():
        began = None
        row = None
        for whole in rounds:
            happened = [event for event in whole.values() if not isinstance(event, Diverged)]
            who = seeds_text([event.seed for event in happened])
            match _mean(happened):
                case TaskBegan() as event:
                    began = event
                    _show_routes(happened, names, console)
                    for each in happened if explain else ():
                        if isinstance(each, TaskBegan) and each.position:
                            console.print(_decisions(each, names))
                    if row is not None:
                        bar.remove_task(row)
                    label = f"{who} · {names[event.position]}"
                    total = sum(event.steps)
                    row = bar.add_task(label, total=total, note="compiling")
                case StepsDone() as event if began is not None and row is not None:
                    done = sum(began.steps[: event.epoch]) + event.step
                    epoch = f"epoch {event.epoch + 1}/{len(began.steps)}"
                    note = f"steps  {epoch}  loss {event.loss:.3f}  {event.rate:.1f} steps/s"
                    bar.update(row, completed=done, note=note)
                case EpochEnded() as event if began is not None:
                    console.print(f"{who} · {_epoch(event, began, names)}")
            yield whole
        if row is not None:
            bar.remove_task(row)


def seeds_text(seeds: Sequence[int]) -> str:
    """Which seeds, or how many; of several settings, how many networks."""
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
    table = Table(title=f"seed {event.seed}: what {names[event.position]} shares")
    for column in ("layer", "branch of", "similarity", "decided"):
        table.add_column(column, justify="right" if column == "similarity" else "left")
    for (layer, found), chosen in zip(event.similarity.items(), event.route, strict=True):
        own = chosen not in found  # a branch that was measured was there before
        for place, (branch, value) in enumerate(found.items()):
            decided = "shared" if branch == chosen else ""
            decided = "a new branch" if own and place == len(found) - 1 else decided
            table.add_row(layer, names[task_index(branch)], f"{value:.4f}", decided)
        if not found:
            new = chosen == task_name(event.position)
            table.add_row(layer, names[task_index(chosen)], "", "a new branch" if new else "shared")
    return table


def _route(event: TaskBegan, names: Sequence[str]) -> str:
    """What a task shares and what was split for it."""
    own = task_name(event.position)
    parts = []
    for (layer, found), branch in zip(event.similarity.items(), event.route, strict=True):
        measured = ", ".join(f"{names[task_index(b)]} {v:.2f}" for b, v in found.items())
        new = event.position == 0 or branch == own
        what = "new" if new else f"shared with {names[task_index(branch)]}"
        parts.append(f"{layer} {what}" + (f" (similarity: {measured})" if measured else ""))
    return names[event.position] + (f": {'; '.join(parts)}" if parts else "")


def _epoch(event: EpochEnded, began: TaskBegan, names: Sequence[str]) -> str:
    where = f"{names[event.position]} epoch {event.epoch + 1}/{len(began.steps)}"
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
    return f"{where}{phase}  loss {loss:.3f}  accuracy % {scores}  {event.seconds:.1f} s"


def _generator(metrics: dict[str, float]) -> str:
    """How far the critic tells images apart and, at the end, how good they are."""
    text = f"Wasserstein distance {metrics['wasserstein']:.3f}"
    if "quality.kl" in metrics:
        text += f"  KL of classes {metrics['quality.kl']:.3f}"
        text += f"  Fréchet distance {metrics['quality.frechet']:.2f}"
    return text


def mean_text(value: dict[str, float | None], digits: int = 1) -> str:
    """A mean and its standard error, as far as there are any."""
    if value["mean"] is None:
        return "-"
    error = f" ± {value['sem']:.{digits}f}" if value["sem"] is not None else ""
    return f"{value['mean']:.{digits}f}{error}"


def markdown_row(cells: Sequence[str]) -> str:
    """A row of a table in Markdown."""
    return f"| {' | '.join(cells)} |"


def accuracy_table(summary: dict[str, Any]) -> Table:
    """Tasks against accuracy after each task, means over seeds."""
    from jaxcl.reporting.metrics import mean_sem

    tasks, seeds = summary["tasks"], summary["accuracy"]
    n = len(seeds)
    over = f" with {summary['replay']} replay" if summary.get("replay") else ""
    measured = "held-out" if summary.get("validation") else "test"
    title = (
        f"{summary['method']}{over} on scenario {summary['scenario']}"
        f" ({summary['setting']}): {measured} accuracy (%)"
    )
    table = Table(title=title, caption="mean ± standard error over the seeds" if n > 1 else None)
    table.add_column("task")
    # Of many tasks: the first and the last ones, as they were learned and at the end.
    many, last = len(tasks) > SHOWN, len(tasks) - 1
    for name in ("as learned", "at the end") if many else (f"after {task}" for task in tasks):
        table.add_column(name, justify="right")
    for column, task in enumerate(tasks):
        if many and SHOWN // 2 <= column <= last - SHOWN // 2:
            if column == SHOWN // 2:
                table.add_row(f"({len(tasks) - 2 * (SHOWN // 2)} more)", "", "")
            continue
        after = (column, last) if many else range(len(tasks))
        cells = [mean_sem([seed[row][column] for seed in seeds]) for row in after]
        texts = [mean_text(cell) if cell["mean"] is not None else "" for cell in cells]
        table.add_row(task, *texts)
    return table


def facts_table(summary: dict[str, Any]) -> Table:
    """Average accuracy, forgetting, transfer, weights, routes and time."""
    table = Table(show_header=False)
    table.add_column("what")
    table.add_column("value", overflow="fold")
    table.add_row("average accuracy", f"{mean_text(summary['average_accuracy'])} %")
    table.add_row("learning accuracy", f"{mean_text(summary['learning_accuracy'])} %")
    for name in ("forgetting", "backward_transfer", "forward_transfer"):
        table.add_row(name.replace("_", " "), f"{mean_text(summary[name])} points")
    for name, of in (("weights", _weights), ("memory", _memory), ("routes", _routes)):
        texts = [of(summary, place) for place in range(len(summary["seeds"]))]
        if len(set(texts)) == 1:
            rows = {name: texts[0]}
        else:
            rows = {f"seed {s}: {name}": t for s, t in zip(summary["seeds"], texts, strict=True)}
        for label, text in rows.items():
            if text:
                table.add_row(label, text)
    times = summary["seconds"], summary["compile_seconds"]
    table.add_row("time", "{:.0f} s, {:.1f} s of it compiling".format(*times))
    return table


def _weights(summary: dict[str, Any], place: int) -> str:
    weights = summary["weights"][place]
    text = f"{weights['total']:,} in all; {weights['heads']:,} in heads"
    text += f"; {weights['added']:,} added in branches" if weights["added"] else ""
    return text + (f"; generator: {weights['generator']:,}" if "generator" in weights else "")


def _memory(summary: dict[str, Any], place: int) -> str:
    size = max(summary["state_bytes"][place].values())
    return f"{filesize.decimal(size)} in the state of the losses"


def _routes(summary: dict[str, Any], place: int) -> str:
    return "\n".join(
        f"{task}: " + " ".join(f"{layer}={branch}" for layer, branch in route.items())
        for task, route in summary["routes"][place].items()
        if route
    )
