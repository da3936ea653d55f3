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


def test_values_on_lines_of_their_own_are_all_read(tmp_path):
    array, lines = LAUNCH / "slurm_array.sbatch", {"SEEDS": "0\n1\n2", "DRY_RUN": "1"}
    lines |= {"METHODS": "si\newc", "SCENARIOS": "a\nb", "SBATCH_OPTIONS": "--x\n--y"}
    said = call(tmp_path / "empty", "bash", array, **lines).splitlines()
    assert said[0].startswith("sbatch --parsable --array=0-11%256 --x --y ")
    folders = {line.split("--out runs/slurm/")[1].split()[0] for line in said[1:]}
    assert folders == {f"{s}/{m}/seed{i}" for s in "ab" for m in ("si", "ewc") for i in range(3)}
    options = dict.fromkeys(("RUN_OPTIONS", "XPK_OPTIONS"), "--x\n--y") | {"DRY_RUN": "1"}
    options |= dict.fromkeys(("CLUSTER", "PROJECT", "ZONE", "IMAGE", "STORAGE"), "x")
    for file in ("slurm.sbatch", "xpk.sh"):
        assert " --x --y" in call(tmp_path / "empty", "bash", LAUNCH / file, **options)


@pytest.mark.parametrize("name", ["SCENARIOS", "METHODS", "SEEDS"])
def test_what_is_given_twice_is_refused_as_its_runs_would_share_a_folder(name, tmp_path):
    array = LAUNCH / "slurm_array.sbatch"
    said = call(tmp_path / "empty", "bash", array, code=2, DRY_RUN="1", **{name: "1 10 1"})
    assert said == f"error: {name}: 1 is given twice; give it once\n"


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


# Stands in for gcloud: the slice and the bucket are folders, and "calls" has a line for each call.
# FAIL has those that fail, each as often as it is there.
GCLOUD = """
for last; do source=${before:-}; before=$last; done
case "$*" in
compute*" ssh "*jaxcl.tar.gz*) call=setup ;;
compute*" ssh "*) call=run ;;
compute*" scp "*) call=scp ;;
compute*) call=$4 ;;
*--delete-unmatched*) call=rsync-delete ;;
*) call=$2 ;;
esac
echo "$call" >>"$TOP/calls"
touch "$TOP/failed"
failed=$(grep -cx "$call" "$TOP/failed" || true)
if [ "$failed" -lt "$(tr ' ' '\\n' <<<"$FAIL" | grep -cx "$call")" ]; then
    echo "$call" >>"$TOP/failed"
    exit 1
fi
case $call in
describe) echo "${STATE-ACTIVE}" ;;
run) cd "$TOP/slice" && exec bash -c "${last#--command=}" ;;
ls) ls -d "$TOP"/bucket/*/ 2>/dev/null || true ;;
rsync*)
    # The run replaces its checkpoint as the copy begins.
    [ ! -e runs/n/old ] || mv runs/n/old runs/n/new
    [ $call = rsync ] || rm -rf "$last"
    mkdir -p "$last"
    cp -r "$source/." "$last"
    case "$*" in *--exclude=*lock*) rm -f "$last/.lock" ;; esac
    ;;
esac
"""
PYTHON = """
mkdir -p runs/n
echo 1 >>runs/n/metrics.jsonl
touch runs/n/.lock runs/n/old
n=$(wc -l <runs/n/metrics.jsonl)
set -- $CODES
exit "${!n}"
"""
CP = """
if [ "$1" = -al ] && [ ! -e "$TOP/vanished" ]; then
    touch "$TOP/vanished"
    exit 1
fi
exec $CP "$@"
"""


def on_slice(folder: Path, *command: str, codes: str = "0", **settings: str):
    """Runs launch/tpu_queued.sh; returns the process and the calls of gcloud."""
    if sys.platform != "linux":
        pytest.skip("a slice has the cp of Linux")
    between_copies = f"[ $1 != 60 ] || {shutil.which('sleep')} 5"
    texts = {"gcloud": GCLOUD, "cp": CP, "git": "", "sleep": between_copies}
    for name, text in texts.items():
        program(folder / "bin" / name, text)
    program(folder / "slice" / "jaxcl-venv" / "bin" / "python", PYTHON)
    env = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "TOP": str(folder), "NAME": "n"}
    env |= {"PROJECT": "p", "ZONE": "z", "BUCKET": str(folder / "bucket"), "FAIL": ""}
    env |= {"CODES": codes, "CP": str(shutil.which("cp"))} | settings
    result = subprocess.run(
        ["bash", str(LAUNCH / "tpu_queued.sh"), *command],
        env=os.environ | env,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return result, (folder / "calls").read_text().split()


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/usr/bin/env bash\n{text}\n")
    path.chmod(0o755)


def test_the_bucket_gets_a_snapshot_of_the_run_and_loses_nothing_before_it_is_there(tmp_path):
    result, calls = on_slice(tmp_path, "run")
    assert result.returncode == 0, result.stderr
    assert calls == ["run", "ls", "rsync", "rsync-delete"]
    assert {path.name for path in (tmp_path / "bucket/n").iterdir()} == {"old", "metrics.jsonl"}
    assert [path.name for path in (tmp_path / "slice/runs").iterdir()] == ["n"]


def test_a_last_copy_that_fails_is_tried_again(tmp_path):
    result, calls = on_slice(tmp_path, "run", FAIL="rsync rsync-delete")
    assert result.returncode == 0, result.stderr
    assert calls == ["run", "ls", *["rsync", "rsync", "rsync-delete", "rsync", "rsync-delete"]]


@pytest.mark.parametrize("code", ["0", "75"])
def test_a_slice_with_the_only_results_is_kept(code, tmp_path):
    result, calls = on_slice(tmp_path, "all", codes=code, FAIL=" rsync" * 9)
    assert result.returncode == 1
    assert "error: n: no copy to" in result.stderr
    assert "the results are on the slice, in runs/n\n" in result.stderr
    assert calls.count("run") == 1
    assert "delete" not in calls
    assert "rsync-delete" not in calls


def test_a_slice_that_was_not_granted_is_asked_for_again(tmp_path):
    settings = {"FAIL": "create create delete delete", "MOST_TRIES": "2"}
    result, calls = on_slice(tmp_path, "all", STATE="", **settings)
    assert result.returncode == 1
    assert calls == ["create", "describe", "delete"] * 2
    assert "error: n: not done after MOST_TRIES=2 tries" in result.stderr


def test_a_run_that_was_interrupted_goes_on_where_it_is(tmp_path):
    result, calls = on_slice(tmp_path, "all", codes="75 75 0")
    assert result.returncode == 0, result.stderr
    assert [call for call in calls if call in ("create", "setup", "run", "delete")] == [
        "create", "setup", "run", "run", "run", "delete"
    ]  # fmt: skip
    assert (tmp_path / "bucket/n/metrics.jsonl").read_text() == "1\n" * 3


def test_interruptions_count_as_tries(tmp_path):
    result, calls = on_slice(tmp_path, "all", codes="75 75 0", MOST_TRIES="2")
    assert result.returncode == 1
    assert (calls.count("run"), calls.count("delete")) == (2, 1)


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


def test_a_home_folder_of_submitits_runs_is_found(tmp_path):
    submit = sys.executable, LAUNCH / "submitit_runs.py", "--dry-run", "--runs"
    said = call(tmp_path / "empty", *submit, "~/r", HOME="/home/me")
    assert "--out /home/me/r/builtin/ewc/seed0 " in said
    assert "runs: ~no-such-name/r: no such home" in call(
        tmp_path / "empty", *submit, "~no-such-name/r", code=2
    )


SUBMITIT = """
class AutoExecutor:
    def __init__(self, *args, **options): pass
    def update_parameters(self, **options): pass
    def submit(self, run): return Job(run)

class Job:
    def __init__(self, run): self.run = run
    def result(self):
        print(self.run.args[5])
        if self.run.args[5] != "1":
            raise ValueError("mine")
"""


def test_a_run_that_fails_on_this_machine_does_not_stop_the_others(tmp_path):
    (tmp_path / "submitit.py").write_text(SUBMITIT)
    command = [sys.executable, str(LAUNCH / "submitit_runs.py"), "--cluster", "local"]
    command += ["--methods", "ewc", "--seeds", "0..2"]
    paths = os.pathsep.join([str(tmp_path), str(LAUNCH.parent)])
    result = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": paths},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (result.returncode, result.stdout.split()) == (1, ["0", "1", "2"])
    failed = "builtin/ewc/seed0, builtin/ewc/seed2"
    assert result.stderr == f"mine\nmine\nerror: 2 of 3 runs failed: {failed}; see above\n"


def test_the_file_for_skypilot_goes_on_after_preemption_and_exit_code_75():
    task = yaml.safe_load((LAUNCH / "sky.yaml").read_text())
    assert set(task) == {
        "name", "workdir", "envs", "resources", "file_mounts", "setup", "run"
    }  # fmt: skip
    assert task["resources"]["use_spot"] is True
    assert task["resources"]["job_recovery"]["recover_on_exit_codes"] == [75]
    assert task["file_mounts"]["/runs"]["mode"].startswith("MOUNT")
    assert '--out "/runs/$RUN" --resume="/runs/$RUN"' in task["run"]
