"""A real SLURM of one node on this machine: what launch/ submits runs, stops and goes on."""

import contextlib
import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import chex
import pytest

from jaxcl.checkpointing import storage

HERE = Path(__file__).parent
LAUNCH = HERE.parents[1] / "launch"
NEEDED = ("munged", "slurmctld", "slurmd", "sbatch")
RUN = ["--scenario", "split-digits", "--tasks", "2", "--method", "ewc"]
RUN += ["--optimizer", "sgd", "--lr", "0.01", "--strength", "10", "--iterations"]
LONG = [*RUN, "1000", "--checkpoint-every", "1s"]
pytestmark = pytest.mark.slow


def call(*command: str | Path, env: dict[str, str], timeout: float = 60) -> str:
    result = subprocess.run(
        [str(part) for part in command], env=env, capture_output=True, text=True, timeout=timeout
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout.strip()


@contextlib.contextmanager
def alone(lock: Path):
    """Held by one worker of the tests at a time: two clusters would share their ports."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="module")
def env(tmp_path_factory):
    """The environment in which SLURM's commands find a cluster that is up."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("SLURM: its daemons are started as root on Linux")
    try:
        socket.gethostbyname(socket.gethostname())
    except OSError:
        pytest.skip("SLURM: the name of this machine cannot be resolved")
    folder = tmp_path_factory.mktemp("slurm")
    with alone(tmp_path_factory.getbasetemp().parent / "slurm.lock"):
        install()
        yield from cluster(folder)


def install() -> None:
    """Unless it is there."""
    if not all(map(shutil.which, NEEDED)):
        if os.environ.get("JAXCL_TEST_SLURM") != "1":
            pytest.skip("SLURM: not installed; JAXCL_TEST_SLURM=1 installs it with apt")
        if not shutil.which("apt-get"):
            pytest.skip("SLURM: not installed, and there is no apt-get to install it")
        done = subprocess.run(
            [HERE / "cluster.sh", "install"], capture_output=True, text=True, timeout=600
        )
        if done.returncode != 0:
            pytest.skip(f"SLURM: it cannot be installed ({done.stderr.strip()[-200:]})")


def cluster(folder: Path):
    """Starts it, yields the environment of its commands, and stops it."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM", "SBATCH", "SRUN"))}
    try:
        # Into a file: the daemons keep the script's standard output open.
        with (folder / "start.log").open("w") as log:
            start = [HERE / "cluster.sh", "start", folder]
            code = subprocess.run(start, stdout=log, stderr=log, timeout=120).returncode
        assert code == 0, (folder / "start.log").read_text()
        yield env | {"SLURM_CONF": str(folder / "slurm.conf"), "PYTHON": sys.executable}
    finally:
        subprocess.run([HERE / "cluster.sh", "stop", folder], timeout=120, check=True)


def state(job: str, env: dict[str, str]) -> list[str]:
    """Of a job, or of each element of an array."""
    said = call("squeue", "--noheader", "--states=all", f"--job={job}", "--format=%T", env=env)
    return said.split()


def finished(job: str, env: dict[str, str], log: Path, seconds: float = 300) -> list[str]:
    """Waits for a job; returns how its elements ended."""
    until = time.monotonic() + seconds
    over = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"}
    while not (found := state(job, env)) or not set(found) <= over:
        texts = [path.read_text() for path in log.parent.glob(log.name.replace("%a", "*"))]
        assert time.monotonic() < until, f"{job}: {found}\n" + "\n".join(texts)
        time.sleep(0.5)
    return found


def submitted(log: Path, out: Path, env: dict[str, str], *args: str) -> str:
    """Submits launch/slurm.sbatch; sbatch's own options come before a --."""
    own, given = list(args[: args.index("--")]), args[args.index("--") + 1 :]
    options = ["sbatch", "--parsable", f"--output={log}", f"--chdir={log.parent}", *own]
    return call(*options, LAUNCH / "slurm.sbatch", *given, env=env | {"OUT": str(out)})


def has_checkpoint(folder: Path, log: Path, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not list((folder / "checkpoints").glob("*.json")):
        assert time.monotonic() < until, log.read_text() if log.exists() else "did not start"
        time.sleep(0.1)


def test_an_array_runs_every_scenario_method_and_seed(env, tmp_path):
    log = tmp_path / "log-%a"
    env = env | {"SCENARIOS": "builtin", "METHODS": "finetune ewc", "SEEDS": "0 1"}
    env |= {"RUNS": str(tmp_path / "runs"), "SBATCH_OPTIONS": f"--output={log}", "AT_ONCE": "2"}
    options = ("--limit", "100", "--epochs", "1", "--net", "mlp", "--hidden", "8")
    job = call("bash", LAUNCH / "slurm_array.sbatch", *options, env=env)
    assert finished(job, env, log, 600) == ["COMPLETED"] * 4
    for method in ("finetune", "ewc"):
        for seed in (0, 1):
            folder = tmp_path / "runs" / "builtin" / method / f"seed{seed}"
            summary = json.loads((folder / "summary.json").read_text())
            assert (summary["method"], summary["seeds"]) == (method, [seed])


def test_two_tasks_make_what_one_process_makes(env, tmp_path):
    log, out = tmp_path / "log", tmp_path / "run"
    job = submitted(log, out, env, "--ntasks=2", "--", *RUN, "40", "--mesh", "data=2")
    assert finished(job, env, log) == ["COMPLETED"], log.read_text()
    assert log.read_text().count("written to") == 1
    alone = tmp_path / "alone"
    command = [sys.executable, "-m", "jaxcl.experiments.scenario", *RUN, "40"]
    call(*command, "--out", alone, env=env, timeout=240)
    found, expected = (storage.load_params(f / "params" / "seed0") for f in (out, alone))
    chex.assert_trees_all_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("how", "tasks"), [(("scontrol", "requeue"), 2), (("scancel", "--signal=TERM"), 1)]
)
def test_a_run_that_is_stopped_in_the_middle_goes_on(how, tasks, env, tmp_path):
    """By SLURM's own requeue; by the signal before the time limit, which makes the job ask."""
    log, out = tmp_path / "log", tmp_path / "run"
    job = submitted(log, out, env, f"--ntasks={tasks}", "--", *LONG)
    has_checkpoint(out, log)
    call(*how, job, env=env)
    assert finished(job, env, log) == ["COMPLETED"], log.read_text()
    assert "interrupted and saved" in log.read_text()
    assert "resumed from checkpoint" in log.read_text()
    assert (out / "summary.json").exists()


def test_a_cancelled_job_does_not_come_back(env, tmp_path):
    """Its step is saved and ends with 75 too."""
    log, out = tmp_path / "log", tmp_path / "run"
    job = submitted(log, out, env, "--", *LONG)
    has_checkpoint(out, log)
    call("scancel", job, env=env)
    assert finished(job, env, log) == ["CANCELLED"]
    time.sleep(8)  # longer than a requeued job waits
    assert state(job, env) == ["CANCELLED"]
    assert "resumed from checkpoint" not in log.read_text()
