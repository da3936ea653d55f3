"""From the events of a run to its files: the one place that saves and resumes."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
from rich.console import Console

from jaxcl import checkpoint, output, plots, report, snapshot
from jaxcl.config import to_toml
from jaxcl.errors import OutputError, UsageError
from jaxcl.events import EpochEnded, SeedEnded, StepsDone
from jaxcl.interrupt import Interrupted, catching
from jaxcl.learner import GENERATOR, Learner, Setup, chance, schedule
from jaxcl.run import rounds
from jaxcl.scholar import pictures
from jaxcl.summary import curves, summarise
from jaxcl.types import Params


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


class Past(NamedTuple):
    """What an earlier process did.

    Attributes:
      learners: where to go on, of all seeds that ran together; none to begin.
      epochs: that were done.
      results: of the seeds that were done.
      number: of the checkpoint that the learners are from, 0 for none.
      spent: seconds that it took, and how many of them went into compiling.
    """

    learners: Sequence[Learner]
    epochs: list[EpochEnded]
    results: list[SeedEnded]
    number: int
    spent: tuple[float, ...]


PICTURES = 64  # in one look at the generator
Clock = Callable[[], tuple[float, float]]
NOTHING = Past((), [], [], 0, (0.0, 0.0))


def find_past(setup: Setup, out: Path, console: Console) -> Past:
    """What the folder of a run says it did, as far as it is whole.

    Half-written checkpoints are removed, damaged ones are passed over and named.

    Raises:
      UsageError: there are checkpoints but none can be used, or they were written
        with other settings; nothing is removed.
    """
    folder, size = out / output.CHECKPOINTS, output.metrics_size(out)

    def usable(meta: dict[str, Any]) -> str | None:
        return "metrics.jsonl lost lines since" if meta["metrics_bytes"] > size else None

    found = checkpoint.newest(folder, usable, lambda text: _say(console, text))
    if found is None and checkpoint.numbers(folder):
        raise UsageError(
            f"resume: no checkpoint in {folder} can be used; begin anew with --overwrite"
        )
    if found is None:
        checkpoint.clean(folder, set())
        output.cut_metrics(out, 0)
        _say(console, "no checkpoint yet: the run begins anew")
        return NOTHING
    if found.meta["config"] != to_toml(setup.config):
        raise UsageError(
            f"resume: {out / output.CONFIG} was changed since checkpoint {found.number} was"
            " written; restore it, or begin anew with --overwrite"
        )
    if found.meta["data"] != setup.data:
        raise UsageError(
            f"resume: the images in {setup.config.data_dir or 'the data folder'} are not those that"
            f" the run in {out} began with; restore them, or begin anew with --overwrite"
        )
    if found.meta["jax"] != jax.__version__:
        _say(console, f"saved with JAX {found.meta['jax']}, now {jax.__version__}: bits may differ")
    try:
        epochs, results = _events(output.cut_metrics(out, found.meta["metrics_bytes"]))
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"resume: {out / output.METRICS} was changed ({error}); begin anew with --overwrite"
        ) from error
    learners = snapshot.restore_all(setup, snapshot.Snapshot(found.arrays, found.meta))
    checkpoint.clean(folder, {found.number})
    first, seeds = learners[0], report.seeds_text([learner.seed for learner in learners])
    where = f"{setup.names[first.position]}, {first.epoch} epochs and {first.done} steps"
    _say(console, f"resumed from checkpoint {found.number}: {seeds}, {where} done")
    return Past(learners, epochs, results, found.number, tuple(found.meta["spent"]))


def _events(lines: str) -> tuple[list[EpochEnded], list[SeedEnded]]:
    """The events that the lines of ``metrics.jsonl`` tell of."""
    epochs, results = [], []
    for line in map(json.loads, lines.splitlines()):
        fields = {name: value for name, value in line.items() if name not in ("event", "task")}
        if line["event"] == "epoch":
            epochs.append(EpochEnded(learner=None, **fields))
        else:
            results.append(SeedEnded(**fields))
    return epochs, results


def _say(console: Console, text: str) -> None:
    console.print(text, style="dim", highlight=False)


def record(
    setup: Setup,
    out: Path,
    console: Console,
    saving: Saving,
    past: Past,
    clock: Clock,
) -> dict[str, Any]:
    """Shows a run, saves it, writes its files as it goes on, and returns its summary.

    Args:
      setup: of the run.
      out: its folder.
      console: where progress is shown.
      saving: when to save.
      past: what was done before.
      clock: seconds since the command started, and how many of them it compiled.

    Raises:
      Interrupted: a signal came; everything is saved.
    """
    epochs, results = list(past.epochs), list(past.results)

    def spent() -> list[float]:
        return [before + now for before, now in zip(past.spent, clock(), strict=True)]

    save, wait = checkpoint.saver(
        out / output.CHECKPOINTS, past.number, saving.keep, lambda text: _say(console, text)
    )
    saved = time.perf_counter()
    events = report.watch(rounds(setup, past.learners), setup.names, console)
    with catching(lambda text: _say(console, text)) as stopping:
        for happened in events:
            for event in happened:
                if isinstance(event, EpochEnded):
                    epochs.append(event._replace(learner=None))
                    _write_epoch(setup, out, event)
                elif isinstance(event, SeedEnded):
                    results.append(event._replace(params=None))
                    wait()  # Orbax does not write two things at once
                    _save_params(out / output.PARAMS / f"seed{event.seed}", event.params)
                    output.append(out, _line("seed", event, setup.names))
            at_rest = [e for e in happened if isinstance(e, StepsDone | EpochEnded)]
            if not at_rest:
                continue
            if (stop := stopping()) or _due(saving, at_rest[0], time.perf_counter() - saved):
                taken = snapshot.take_all([event.learner for event in at_rest])
                saved = time.perf_counter()
                meta = {"metrics_bytes": output.metrics_size(out), "spent": spent()}
                meta |= {"config": to_toml(setup.config), "data": setup.data}
                save(taken.arrays, {**meta, **taken.meta, "jax": jax.__version__})
            if stop:
                if not wait():
                    raise OutputError("interrupted, and the last checkpoint was not written")
                raise Interrupted
    wait()
    summary = _finish(setup, out, epochs, results, spent())
    checkpoint.clean(out / output.CHECKPOINTS, set())
    return summary


def _save_params(path: Path, params: Params) -> None:
    try:
        checkpoint.save_params(path, params)
    except Exception as error:  # Orbax raises what its storage raises
        reason = str(error).strip().split("\n")[0][:200] or type(error).__name__
        raise OutputError(f"{path} cannot be written ({reason}); --resume tries again") from error


def _write_epoch(setup: Setup, out: Path, event: EpochEnded) -> None:
    """A line, and of a generator a picture of what it makes, named by its iterations."""
    output.append(out, _line("epoch", event, setup.names))
    if event.phase != GENERATOR:
        return
    epochs = schedule(setup, event.position)[: event.epoch + 1]
    done = sum(epoch.steps for epoch in epochs)
    name = f"seed{event.seed}-{setup.names[event.position]}-{done:06d}.png"
    folder = out / output.SAMPLES
    folder.mkdir(exist_ok=True)
    picture = plots.image_grid(pictures(setup, event.learner, PICTURES))
    output.write_bytes(folder / name, picture)


def _line(kind: str, event: EpochEnded | SeedEnded, names: Sequence[str]) -> dict[str, Any]:
    fields = {k: v for k, v in event._asdict().items() if k != "learner"}
    if isinstance(event, SeedEnded):
        return {"event": kind, **fields, "params": None}
    return {"event": kind, "task": names[event.position], **fields}


def _due(saving: Saving, event: StepsDone | EpochEnded, seconds: float) -> bool:
    if saving.seconds is not None:
        return seconds >= saving.seconds
    ended = isinstance(event, EpochEnded)
    return ended and saving.epochs is not None and event.learner.epoch % saving.epochs == 0


def _finish(
    setup: Setup,
    out: Path,
    epochs: Sequence[EpochEnded],
    results: Sequence[SeedEnded],
    spent: Sequence[float],
) -> dict[str, Any]:
    config = setup.config
    summary = summarise(config, setup.names, chance(setup), results, *spent)
    seeds = "1 seed" if len(results) == 1 else f"{len(results)} seeds"
    what = config.method if config.replay is None else f"{config.method}, {config.replay} replay"
    title = f"{what}, scenario {config.scenario}, {seeds}"
    picture = plots.accuracy_curves(*curves(epochs, setup.names), title)
    output.write_bytes(out / output.PLOT, picture)
    output.write_bytes(out / output.SUMMARY, json.dumps(summary, indent=1).encode())
    return summary


def show(summary: dict[str, Any], out: Path, console: Console) -> None:
    """Prints a run's tables and where its files are."""
    console.print(report.accuracy_table(summary))
    console.print(report.facts_table(summary))
    console.print(f"written to {out}", highlight=False)
