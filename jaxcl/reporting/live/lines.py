"""What happens in a run as lines of text, which get shorter where room is short."""

from collections.abc import Iterator, Sequence
from statistics import fmean

from jaxcl.growth.parameters import task_index, task_name
from jaxcl.reporting.labels import SHORTEST, lengths, shortened
from jaxcl.training.events import GENERATOR, WARMUP, EpochEnded, TaskBegan

FEW = 5  # tasks whose accuracies can be told by their order


def seeds_text(seeds: Sequence[int]) -> str:
    """Returns which seeds, or how many; of several settings, how many networks."""
    if len(set(seeds)) < len(seeds):
        return f"{len(seeds)} networks"
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds"


def route_lines(event: TaskBegan, names: Sequence[str]) -> Iterator[str]:
    """Yields what a task shares and what was split for it, from the fullest line to the shortest.

    The fullest has all similarities that were measured, the next one the highest of each layer.

    Args:
      event: the task.
      names: of all tasks.
    """
    yield _route(event, names, None)
    yield _route(event, names, 1)
    for length in lengths(names):
        yield _route(event, [shortened(name, length) for name in names], 0)


def _route(event: TaskBegan, names: Sequence[str], most: int | None) -> str:
    """What a task shares and what is new, with so many similarities of each layer; None: all."""
    own = task_name(event.task_index)
    whats, parts = [], []
    for (layer, found), branch in zip(event.similarity.items(), event.route, strict=True):
        new = event.task_index == 0 or branch == own
        what = "new" if new else f"shared with {names[task_index(branch)]}"
        if found and most is None:
            values = ", ".join(f"{names[task_index(b)]} {v:.2f}" for b, v in found.items())
            what += f" (similarity: {values})"
        elif found and most:
            nearest = max(found, key=lambda b: found[b])
            name = "" if nearest == branch else f"{names[task_index(nearest)]} "
            what += f" ({name}{found[nearest]:.2f})"
        whats.append(what)
        parts.append(f"{layer} {what}")
    branched = own in event.route or any(event.similarity.values())
    if event.task_index and not branched:  # as with every method that never makes a branch
        parts = []
    # Of a deep network, or where room is short, one thing is said once.
    if len(parts) > (1 if most == 0 else 2) and len(set(whats)) == 1:
        parts = [f"all {len(parts)} layers {whats[0]}"]
    return names[event.task_index] + (f": {'; '.join(parts)}" if parts else "")


def epoch_lines(who: str, event: EpochEnded, began: TaskBegan, name: str) -> Iterator[str]:
    """Yields what came of an epoch, from the fullest line to the shortest.

    The fullest has the accuracy of every task so far, the next one without names if they are few,
    the others that of the newest task and the mean over all.

    Args:
      who: which seeds.
      event: the epoch.
      began: its task.
      name: of its task.
    """
    phase = {GENERATOR: " (generator)", WARMUP: " (warm-up)"}.get(event.phase, "")
    where = f"epoch {event.epoch + 1:>{len(str(len(began.steps)))}}/{len(began.steps)}{phase}"
    seconds = f"  {event.seconds:.1f} s"
    fullest, *shorter = [_generator(event.metrics)] if event.phase == GENERATOR else _scores(event)
    yield f"{who} · {name} {where}  {fullest}{seconds}"
    shorter = shorter or [fullest]
    for text in shorter:
        for length in lengths([name]):
            yield f"{who} · {shortened(name, length)} {where}  {text}{seconds}"
    yield f"{who} · {shortened(name, SHORTEST)} {where}  {shorter[-1]}"


def _scores(event: EpochEnded) -> list[str]:
    """Loss and accuracy: of all tasks by name, of a few in order, or the newest and the mean."""
    if not event.accuracy:  # there was no test
        return [f"loss {event.metrics['loss']:.3f}"]
    every = "  ".join(f"{task} {value:.1f}" for task, value in event.accuracy.items())
    start = f"loss {event.metrics['loss']:.3f}  accuracy %"
    *before, newest = event.accuracy.values()
    short = f"{start} {newest:.1f}"
    if not before:
        return [f"{start} {every}", short]
    mean, many = fmean(event.accuracy.values()), len(event.accuracy)
    means = [f"{short}, mean of {many} tasks {mean:.1f}", f"{short}, mean {mean:.1f}"]
    in_order = f"{start} {' '.join(f'{value:.1f}' for value in event.accuracy.values())}"
    return [f"{start} {every}", *([in_order] if many <= FEW else []), *means]


def _generator(metrics: dict[str, float]) -> str:
    """How far the critic tells images apart and, at the end, how good they are."""
    text = f"Wasserstein distance {metrics['wasserstein']:.3f}"
    if "quality.kl" in metrics:
        text += f"  KL of classes {metrics['quality.kl']:.3f}"
        text += f"  Fréchet distance {metrics['quality.frechet']:.2f}"
        text += f" (real images {metrics['quality.floor']:.2f})"
    return text
