"""Submit scenarios x methods x seeds with submitit: ``python launch/submitit_runs.py --help``."""

import dataclasses
import itertools
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from jaxcl.core.errors import UsageError
from jaxcl.core.paths import expanded
from jaxcl.experiments.command_line import cli
from jaxcl.experiments.command_line.words import run_tyro
from jaxcl.reporting.console import fail

INTERRUPTED = 75
PATIENCE = 60  # seconds in which SLURM ends or requeues a job whose run has stopped


@dataclasses.dataclass(frozen=True)
class Command:
    """Submit a run for every scenario, method and seed; what follows -- goes to each."""

    scenarios: tuple[str, ...] = ("builtin",)
    """Scenarios."""
    methods: tuple[str, ...] = ("finetune", "ewc")
    """Methods."""
    seeds: tuple[int, ...] = (0,)
    """Seeds; 0..3 are four."""
    runs: Path = Path("runs/submitit")
    """Folder of the runs, and of submitit's logs."""
    cluster: Literal["slurm", "local", "debug"] = "slurm"
    """local and debug run one after the other on this machine; debug in this process."""
    minutes: int = 60
    """Time limit of a job; a run that needs longer goes on in the next."""
    tasks: int = 1
    """Processes a run has, which share it (--mesh)."""
    partition: str | None = None
    """Of SLURM."""
    restarts: int = 100
    """How often a job of SLURM may reach its time limit; local: three times."""
    dry_run: bool = False
    """Print what would be submitted, then stop."""
    options: Annotated[tuple[str, ...], tyro.conf.Suppress] = ()


class Run:
    """A run in a process of its own, which is asked to save when the job has to go."""

    def __init__(self, args: Sequence[str]):
        """Keeps the command's arguments."""
        self.args = tuple(args)
        self.process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> None:
        """Runs, or goes on."""
        # SLURM sends submitit's signal to all processes of a step, and it would end this one.
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jaxcl.experiments.scenario", *self.args],
            preexec_fn=lambda: signal.signal(signal.SIGUSR2, signal.SIG_IGN),
        )
        while (code := self.process.poll()) is None:
            time.sleep(0.2)
        if code == INTERRUPTED:  # by a signal that submitit passes over
            time.sleep(PATIENCE)
        if code != 0:
            raise RuntimeError(f"{shlex.join(self.args)}: exit code {code}; see above")

    def checkpoint(self) -> Any:
        """Called by submitit, within a signal's handler, before it puts the job back."""
        from submitit.helpers import DelayedSubmission  # pyright: ignore[reportMissingImports]

        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            # Not wait(), which may be at work in the lines that the signal interrupted.
            os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
        return DelayedSubmission(Run(self.args))


def planned(command: Command) -> list[tuple[str, ...]]:
    """The arguments of each run."""
    found = []
    for scenario, method, seed in itertools.product(
        command.scenarios, command.methods, command.seeds
    ):
        out = command.runs.absolute() / scenario / method / f"seed{seed}"
        given = ("--scenario", scenario, "--method", method, "--seeds", str(seed))
        found.append((*given, *command.options, "--out", str(out), f"--resume={out}"))
    return found


def main(command: Command) -> None:
    """Submits the runs, and waits for those on this machine."""
    runs = planned(command)
    if command.dry_run:
        for args in runs:
            print(f"{command.cluster}: {shlex.join(['python', '-m', PROGRAM, *args])}")
        return
    import submitit  # pyright: ignore[reportMissingImports]

    executor = submitit.AutoExecutor(
        command.runs / "submitit", cluster=command.cluster, slurm_max_num_timeout=command.restarts
    )
    executor.update_parameters(
        name="jaxcl",
        timeout_min=command.minutes,
        tasks_per_node=command.tasks,
        slurm_signal_delay_s=120,
        **({"slurm_partition": command.partition} if command.partition else {}),
    )
    if command.cluster == "slurm":
        with executor.batch():
            jobs = [executor.submit(Run(args)) for args in runs]
        for job, args in zip(jobs, runs, strict=True):
            print(f"{job.job_id}: {shlex.join(args)}")
        return
    failed = [args for args in runs if not went_well(executor.submit(Run(args)))]
    if failed:
        names = ", ".join(f"{args[1]}/{args[3]}/seed{args[5]}" for args in failed)
        sys.exit(fail(f"{len(failed)} of {len(runs)} runs failed: {names}; see above", 1))


def went_well(job: Any) -> bool:
    """Waits for a job on this machine; one that failed is reported, and the others go on."""
    try:
        job.result()
    except Exception as error:  # submitit's own, or in this process whatever a run raises
        print(error, file=sys.stderr)
        return False
    return True


def read(argv: Sequence[str]) -> Command:
    """Reads the arguments of this command, and those of the runs, which follow ``--``."""
    own = list(itertools.takewhile(lambda arg: arg != "--", argv))
    known = [field.name for field in dataclasses.fields(Command)]
    command = run_tyro(Command, PROG, Command.__doc__ or "", own, known)
    for name in ("scenarios", "methods", "seeds"):
        if not getattr(command, name):
            raise UsageError(f"{name}: none given; give at least one")
    options = tuple(argv[len(own) + 1 :])
    for option in options:
        if option.split("=")[0] in OWN:
            raise UsageError(f"{option}: each run has its own; give {', '.join(SETS)} before --")
    return dataclasses.replace(command, options=options, runs=expanded("runs", command.runs))


OWN = ("--scenario", "--method", "--seeds", "--out", "--resume")  # options of a run
SETS = ("--scenarios", "--methods", "--seeds", "--runs")
PROG, PROGRAM = "python launch/submitit_runs.py", "jaxcl.experiments.scenario"

if __name__ == "__main__":
    cli.main(read, main)
