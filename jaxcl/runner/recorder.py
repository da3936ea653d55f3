"""What keeps a run on disk: lines and pictures as it goes on, checkpoints, its summary."""

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
from rich.console import Console

from jaxcl.checkpointing import checkpoint, lock, run_folder, storage, unfinished
from jaxcl.checkpointing.config_file import to_toml
from jaxcl.checkpointing.saver import saver
from jaxcl.core.errors import OutputError
from jaxcl.core.types import Params, PyTree
from jaxcl.learner import snapshot
from jaxcl.learner.scholar import pictures
from jaxcl.learner.settings.config import Config
from jaxcl.learner.state import Setup, chance, schedule
from jaxcl.reporting.console import say
from jaxcl.reporting.image_grid import image_grid
from jaxcl.reporting.report import measured, tested, what_text
from jaxcl.reporting.summary import curves, summarise
from jaxcl.runner.resume import Progress
from jaxcl.training.events import GENERATOR, EpochEnded, Event, Learned, SeedEnded, as_line
from jaxcl.training.learner_state import Learner

PICTURES = 64  # in one look at the generator


class Recording(NamedTuple):
    """A run that is recorded, alone or beside others.

    Attributes:
      setup: of the run.
      out: its folder.
      progress: what was done before.
      tell: is told of each event that was written down, without its arrays.
      heirs: folders and settings of runs that begin where this one has learned its first task.
    """

    setup: Setup
    out: Path
    progress: Progress
    tell: Callable[[EpochEnded | SeedEnded], None] | None = None
    heirs: Sequence[tuple[Path, Config]] = ()


class Recorder(NamedTuple):
    """What keeps a run on disk.

    Attributes:
      take: notes an event.
      save: ``(learners, spent)``: writes a checkpoint in the background.
      wait: until it is on disk; returns whether it is.
      pass_on: begins the run's heirs at the checkpoint that was written last.
      finish: ``(spent) -> summary``, after the last event.
    """

    take: Callable[[Event], None]
    save: Callable[[Sequence[Learner], Sequence[float]], None]
    wait: Callable[[], bool]
    pass_on: Callable[[], None]
    finish: Callable[[Sequence[float]], dict[str, Any]]


def recorder(run: Recording, console: Console, keep: int, writer: Executor) -> Recorder:
    """Makes a :class:`Recorder` of a run.

    Args:
      run: what to keep.
      console: told about a checkpoint that could not be written.
      keep: checkpoints to keep.
      writer: the one thread that writes arrays, for all runs.
    """
    setup, out, progress, tell, _ = run
    epochs, results = list(progress.epochs), list(progress.results)
    folder = out / run_folder.CHECKPOINTS
    write, wait = saver(folder, progress.number, keep, lambda text: say(console, text), writer)

    def total(spent: Sequence[float]) -> list[float]:
        return [before + now for before, now in zip(progress.spent, spent, strict=True)]

    def take(event: Event) -> None:
        if isinstance(event, EpochEnded):
            epochs.append(kept := event._replace(learner=None))
            _write_epoch(setup, out, event)
        elif isinstance(event, SeedEnded):
            results.append(kept := event._replace(learned=None))
            for kind, tree in _trees(event.learned):
                writer.submit(_save_params, out / kind / f"seed{event.seed}", tree).result()
            run_folder.append(out, as_line(event, setup.tasks.names))
        else:
            return
        if tell is not None:
            tell(kept)

    def save(learners: Sequence[Learner], spent: Sequence[float]) -> None:
        snapshot.check_restorable(setup, learners[0])
        taken = snapshot.take_all(learners)
        meta = {**run_folder.metrics_mark(out), "spent": total(spent)}
        meta |= {"config": to_toml(setup.config), "data": setup.tasks.checksum}
        write(taken.arrays, {**meta, **taken.meta, "jax": jax.__version__})

    def finish(spent: Sequence[float]) -> dict[str, Any]:
        wait()
        summary = _finish(setup, out, epochs, results, total(spent))
        checkpoint.clean(folder, set())
        unfinished.forget(out)
        return summary

    pass_on = partial(_begin_heirs, run, console, writer, wait)
    return Recorder(take, save, wait, pass_on, finish)


def silent(setup: Setup) -> Recorder:
    """Makes the recorder of a process that is not the first: it writes no file."""

    def take(event: Event) -> None:
        if isinstance(event, EpochEnded) and event.phase == GENERATOR:
            assert event.learner is not None
            pictures(setup, event.learner, PICTURES)

    def save(learners: Sequence[Learner], spent: Sequence[float]) -> None:
        del spent
        snapshot.take_all(learners)  # parts of arrays may lie on this process's devices

    return Recorder(take, save, lambda: True, lambda: None, lambda spent: {})


def _begin_heirs(
    run: Recording, console: Console, writer: Executor, written: Callable[[], bool]
) -> None:
    """Begins runs where another one is, if that is on disk and they have not begun."""
    free = [each for each in run.heirs if not run_folder.holds_run(each[0])]
    for heir, config in free if written() else ():
        try:
            writer.submit(_begin_there, run.out, heir, config).result()
        except Exception as error:  # it begins by itself then
            say(console, f"{heir} does not go on from here ({_first_line(error)})")
        else:
            say(console, f"{heir} has the same first task and goes on from here")


def _begin_there(out: Path, heir: Path, config: Config) -> None:
    """Begins a run at the newest checkpoint of another one.

    Raises:
      UsageError: it has begun already, or another process holds its folder.
    """
    folder = out / run_folder.CHECKPOINTS
    _, arrays, meta = checkpoint.read(folder, checkpoint.numbers(folder)[-1])
    lines = (out / run_folder.METRICS).read_bytes()[: meta["metrics_bytes"]]
    with lock.locked(heir):
        run_folder.check_free(heir, overwrite=False)
        run_folder.create(heir, config)
        run_folder.write_bytes(heir / run_folder.METRICS, lines)
        meta = {**meta, "config": to_toml(config)}
        checkpoint.write(heir / run_folder.CHECKPOINTS, 1, arrays, meta)


def _trees(learned: Learned | None) -> Iterator[tuple[str, PyTree]]:
    """The arrays that a seed leaves, each under the name of the folder that keeps them."""
    if learned is None:
        return
    (params, stats), generator, predictor = learned
    trees = (params, stats, generator, predictor)
    kinds = (run_folder.PARAMS, run_folder.STATS, run_folder.GENERATOR, run_folder.PREDICTOR)
    yield from (
        (kind, tree) for kind, tree in zip(kinds, trees, strict=True) if jax.tree.leaves(tree)
    )


def _save_params(path: Path, params: Params) -> None:
    try:
        storage.save_params(path, params)
    except Exception as error:  # Orbax raises what its storage raises
        reason = _first_line(error)
        raise OutputError(f"{path} cannot be written ({reason}); --resume tries again") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200] or type(error).__name__


def _write_epoch(setup: Setup, out: Path, event: EpochEnded) -> None:
    """A line, and of a generator a picture of what it makes, named by its iterations."""
    run_folder.append(out, as_line(event, setup.tasks.names))
    if event.phase != GENERATOR:
        return
    epochs = schedule(setup, event.task_index)[: event.epoch + 1]
    done = sum(epoch.steps for epoch in epochs)
    task = setup.tasks.names[event.task_index].replace("/", "-")
    name = f"seed{event.seed}-{task}-{done:06d}.png"
    folder = out / run_folder.SAMPLES
    folder.mkdir(exist_ok=True)
    assert event.learner is not None
    picture = image_grid(pictures(setup, event.learner, PICTURES))
    run_folder.write_bytes(folder / name, picture)


def _finish(
    setup: Setup,
    out: Path,
    epochs: Sequence[EpochEnded],
    results: Sequence[SeedEnded],
    spent: Sequence[float],
) -> dict[str, Any]:
    # Here, so that training does not wait for Matplotlib.
    from jaxcl.reporting.pictures.curves import learning_curves
    from jaxcl.reporting.pictures.style import rendered

    config = setup.config
    seconds, compiling, programs = spent
    summary = summarise(
        config, setup.tasks.names, chance(setup), results, seconds, compiling, int(programs)
    )
    inputs, summary["classes"] = setup.tasks.inputs, setup.tasks.classes
    summary["class_names"] = [list(names) for names in setup.tasks.class_names]
    summary["inputs"] = {
        "kind": setup.tasks.kind, "mean": inputs.mean, "deviation": inputs.deviation,
        "checksum": setup.tasks.checksum,
    }  # fmt: skip
    summary |= run_folder.metrics_mark(out)
    drawn, texts = curves(epochs, setup.tasks.names), (what_text(summary), tested(summary))
    figure = learning_curves(*drawn, *texts, measured(summary))
    run_folder.write_bytes(out / run_folder.PLOT, rendered(figure, "png"))
    run_folder.write_bytes(out / run_folder.SUMMARY, json.dumps(summary, indent=1).encode())
    return summary
