"""What the files of launch/ would run; nothing is submitted."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

LAUNCH = Path(__file__).parents[1] / "launch"
TESTS = Path(__file__).parent
SHELL = [*LAUNCH.glob("*.sh"), *LAUNCH.glob("*.sbatch"), *TESTS.glob("slurm/*.sh")]
RUN = "jaxcl.experiments.scenario"


def call(folder: Path, *command: object, code: int = 0, **settings: str) -> str:
    """What a command prints in an empty folder, where it must leave nothing."""
    folder.mkdir(exist_ok=True)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM", "SBATCH"))}
    result = subprocess.run(
        [str(part) for part in command],
        env=env | settings,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == code, result.stdout + result.stderr
    assert not list(folder.iterdir())
    return result.stderr if code else result.stdout


@pytest.mark.parametrize("path", SHELL, ids=lambda path: path.name)
def test_shell_files_can_be_parsed_and_stop_at_the_first_error(path, tmp_path):
    call(tmp_path / "empty", "bash", "-n", path)
    assert "\nset -euo pipefail\n" in path.read_text()


def test_a_dry_run_of_the_array_lists_every_scenario_method_and_seed(tmp_path):
    said = call(
        tmp_path / "empty", "bash", LAUNCH / "slurm_array.sbatch", "--limit", "7",
        DRY_RUN="1", SCENARIOS="a b", METHODS="c d", SEEDS="0 1..3", RUNS="r",
    ).splitlines()  # fmt: skip
    assert said[0].startswith("sbatch --parsable --array=0-7")
    folders = [line.split("--out ")[1].split()[0] for line in said[1:]]
    seeds = ("seed0", "seed1..3")
    assert folders == [f"r/{s}/{m}/{seed}" for s in "ab" for m in "cd" for seed in seeds]
    assert all(f"{RUN} --scenario {line.split('r/')[1][0]} " in line for line in said[1:])
    assert all(" --limit 7 " in line for line in said[1:])


def test_an_element_that_stands_for_no_run_is_refused(tmp_path):
    array = LAUNCH / "slurm_array.sbatch"
    said = call(tmp_path / "empty", "bash", array, code=2, SLURM_ARRAY_TASK_ID="2")
    assert "give --array=0-1" in said
    said = call(tmp_path / "empty", "bash", array, code=2, METHODS=" ")
    assert "METHODS" in said


@pytest.mark.parametrize("option", ["--seeds", "--method=si", "--out", "--scenario", "--resume=r"])
def test_options_that_each_run_has_are_refused_from_all(option, tmp_path):
    array, submit = LAUNCH / "slurm_array.sbatch", LAUNCH / "submitit_runs.py"
    said = call(tmp_path / "empty", "bash", array, option, "3", code=2, DRY_RUN="1")
    assert (
        said
        == f"error: {option}: each element has its own; set SCENARIOS, METHODS, SEEDS or RUNS\n"
    )
    command = sys.executable, submit, "--dry-run", "--", option, "3"
    assert f"error: {option}: each run has its own; give" in call(
        tmp_path / "none", *command, code=2
    )


def test_nothing_to_run_is_refused(tmp_path):
    array, submit = LAUNCH / "slurm_array.sbatch", LAUNCH / "submitit_runs.py"
    for name in ("SCENARIOS", "METHODS", "SEEDS"):
        said = call(tmp_path / "empty", "bash", array, code=2, DRY_RUN="1", **{name: ""})
        assert "one is empty" in said
    command = sys.executable, submit, "--dry-run", "--methods", "--seeds", "0"
    said = call(tmp_path / "none", *command, code=2)
    assert said == "error: methods: none given; give at least one\n"


def test_arguments_reach_the_run_as_they_were_given(tmp_path):
    args = ["--mesh", "data=2", "--name", "a b", "$HOME"]
    said = call(tmp_path / "empty", "bash", LAUNCH / "slurm.sbatch", *args, DRY_RUN="1", OUT="x y")
    told = call(tmp_path / "empty", "bash", "-c", f"printf '%s\\n' {said}").splitlines()
    assert told == ["srun", "python", "-m", RUN, *args, "--out", "x y", "--resume=x y"]


@pytest.mark.skipif(not shutil.which("git"), reason="a checkout is needed")
def test_dry_runs_for_tpus_print_the_commands_and_run_none(tmp_path):
    settings = {"PROJECT": "p", "ZONE": "z", "BUCKET": "gs://b", "CLUSTER": "c", "IMAGE": "i"}
    settings |= {"STORAGE": "s", "NAME": "n", "DRY_RUN": "1", "TMPDIR": str(tmp_path)}
    queued = LAUNCH / "tpu_queued.sh"
    said = call(tmp_path / "empty", "bash", queued, "all", "--method", "ewc", **settings)
    verbs = ["create", "describe", "archive", "scp", "ssh", "ssh", "delete"]
    lines = said.splitlines()
    assert [next(v for v in verbs if f" {v} " in line) for line in lines] == verbs
    assert "JAX_NUM_PROCESSES=auto" in lines[5]
    assert "--method ewc" in lines[5]
    said = call(tmp_path / "empty", "bash", LAUNCH / "xpk.sh", "--method", "ewc", **settings)
    assert said.startswith("xpk workload create --workload=n ")
    assert "--restart-on-exit-codes=75" in said
    assert list(tmp_path.iterdir()) == [tmp_path / "empty"]


@pytest.mark.parametrize(("file", "name"), [("tpu_queued.sh", "BUCKET"), ("xpk.sh", "IMAGE")])
def test_a_setting_that_is_missing_is_named(file, name, tmp_path):
    settings = dict.fromkeys(("PROJECT", "ZONE", "BUCKET", "CLUSTER", "IMAGE", "STORAGE"), "x")
    settings[name] = ""
    said = call(tmp_path / "empty", "bash", LAUNCH / file, "all", code=2, **settings)
    assert said.count("\n") == 1
    assert f"{name} is not set; give it" in said


def test_a_dry_run_of_submitit_lists_every_scenario_method_and_seed(tmp_path):
    said = call(
        tmp_path / "empty", sys.executable, LAUNCH / "submitit_runs.py", "--dry-run",
        "--scenarios", "a", "b", "--methods", "c", "d", "--seeds", "0..2", "--runs", "r",
        "--", "--limit", "7",
    ).splitlines()  # fmt: skip
    runs = tmp_path / "empty" / "r"
    expected = [
        f"--scenario {s} --method {m} --seeds {i} --limit 7 --out {runs}/{s}/{m}/seed{i} "
        for s in "ab"
        for m in "cd"
        for i in range(3)
    ]
    assert [line.split(f"{RUN} ")[1].split("--resume")[0] for line in said] == expected


def test_the_file_for_skypilot_goes_on_after_preemption_and_exit_code_75():
    task = yaml.safe_load((LAUNCH / "sky.yaml").read_text())
    assert set(task) == {
        "name", "workdir", "envs", "resources", "file_mounts", "setup", "run"
    }  # fmt: skip
    assert task["resources"]["use_spot"] is True
    assert task["resources"]["job_recovery"]["recover_on_exit_codes"] == [75]
    assert task["file_mounts"]["/runs"]["mode"].startswith("MOUNT")
    assert '--out "/runs/$RUN" --resume="/runs/$RUN"' in task["run"]
