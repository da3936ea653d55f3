"""The command as a person runs it: exit codes, messages, files."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import chex
import jax
import numpy as np
import pytest
from given import configured

from jaxcl.checkpointing import unfinished
from jaxcl.checkpointing.config_file import from_toml, to_toml
from jaxcl.checkpointing.storage import load_params
from jaxcl.experiments import compare, scenario, sweep
from jaxcl.experiments.command_line.inspect import classes_of
from jaxcl.learner.settings.config import Config
from jaxcl.learner.settings.configuration import configure
from jaxcl.learner.settings.protocols import SCENARIOS
from jaxcl.learner.tasks import load_tasks
from jaxcl.methods import METHODS
from jaxcl.networks.choices import NETWORKS
from jaxcl.runner import recorder
from jaxcl.scenarios.datasets import sources

SELECT = ["--limit", "60", "--epochs", "1", "--batch-size", "20"]  # as it is by default
MLP = ["--net", "mlp", "--hidden", "16"]
QUICK = [*SELECT, *MLP, "--method", "finetune"]
KEYS = {
    "method", "scenario", "seeds", "tasks", "accuracy", "final", "average_accuracy", "forgetting",
    "weights", "routes", "similarity", "seconds", "compile_seconds", "compilations",
    "argv",    "versions", "machine", "git",
}  # fmt: skip


def command(monkeypatch, capsys, *args: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the command, in this process."""
    monkeypatch.setattr(sys, "argv", ["scenario", *map(str, args)])
    try:
        scenario.run()
        code = 0
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return lambda *args: command(monkeypatch, capsys, *args)


@pytest.mark.slow
@pytest.mark.usefixtures("small_cnn")
def test_a_run_writes_its_folder(run, tmp_path):
    code, out, err = run(*SELECT, "--seeds", "0", "1", "--out", "here")
    assert (code, err) == (0, "")
    for part in ("seed 0 · digits epoch 1/1", "average accuracy", "forgetting", "routes", "time"):
        assert part in out
    assert "\x1b" not in out  # plain where there is no terminal
    summary = json.loads((tmp_path / "here/summary.json").read_text())
    assert set(summary) >= KEYS
    assert summary["tasks"] == ["digits", "letters", "photos"]
    assert summary["seeds"] == [0, 1]
    assert np.array(summary["accuracy"], float).shape == (2, 3, 3)
    assert summary["accuracy"][0][0][1:] == [None, None]
    assert summary["final"]["photos"]["mean"] == pytest.approx(
        np.mean([seed[2][2] for seed in summary["accuracy"]])
    )
    assert {"total", "added", "heads"} == set(summary["weights"][1])
    assert set(summary["routes"][0]["letters"]) == {"conv1", "conv2"}
    lines = [json.loads(x) for x in (tmp_path / "here/metrics.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["epoch", "epoch", "epoch", "seed"] * 2
    assert lines[1]["accuracy"].keys() == {"digits", "letters"}
    assert (tmp_path / "here/accuracy.png").read_bytes().startswith(b"\x89PNG")
    config = from_toml(Config, (tmp_path / "here/config.toml").read_text())
    assert (config.data.limit, config.seeds, config.method.name) == (60, (0, 1), "select")
    params = load_params(tmp_path / "here/params/seed1")
    assert params["fc1"]["w"].shape == (14 * 14 * 6, 16)


@pytest.mark.slow
def test_a_folder_that_holds_a_run_is_kept_unless_told(run, tmp_path):
    held = tmp_path / "here"
    held.mkdir()
    (held / "summary.json").write_text("precious")
    assert "holds files that no run wrote" in run(*QUICK, "--out", "here", "--overwrite")[2]
    (held / "config.toml").write_text('title = "a project"')
    assert "holds files that no run wrote" in run(*QUICK, "--out", "here", "--overwrite")[2]
    assert "--overwrite" not in run(*QUICK, "--out", "here")[2]
    (held / "config.toml").write_text('scenario = "builtin"\n[method]\nname = "ewc"')
    (held / "notes.txt").write_text("mine")
    code, _, err = run(*QUICK, "--out", "here")
    assert code == 2
    assert err == (
        "error: out: here already holds a run (config.toml, summary.json); name another folder,"
        " or give --overwrite, or --resume to go on with it\n"
    )
    assert (held / "summary.json").read_text() == "precious"
    code, _, _ = run(*QUICK, "--out", "here", "--overwrite")
    assert code == 0
    assert json.loads((held / "summary.json").read_text())["method"] == "finetune"
    assert (held / "notes.txt").read_text() == "mine"


def test_the_default_folder_is_named_after_scenario_and_method(run, tmp_path):
    code, out, _ = run(*QUICK)
    (folder,) = (tmp_path / "runs/builtin/finetune").iterdir()
    assert code == 0
    assert f"written to {folder.relative_to(tmp_path)}" in out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--method", "slect"], "method: 'slect' is unknown; did you mean 'select'?"),
        (["--scenario", "7"], "scenario: '7' is unknown"),
        (["--epochs", "0"], "epochs: 0 is not positive"),
        (["--epochs", "abc"], "epochs: 'abc' cannot be read; see --help"),
        (["--plugin", "a-file"], "plugin: a-file is no Python file; give one, mine.py"),
        (["--mesh", "batch=2"], "mesh: 'batch=2' cannot be read; give sizes"),
        (["--stream", "--method", "joint"], "stream: joint needs all inputs on the device"),
        (["--threshold", "-0.1"], "threshold: -0.1 is outside [0, 1]"),
        (["--batch-size", "5000"], "batch_size: 5000 is more than the 1440 training inputs"),
        (["--scenario", "3", "--data-dir", "nowhere"], "run: python -m jaxcl.experiments.prepare"),
        (["--out", "a-file"], "out: a-file is a file"),
        (["--out", ""], "out: empty"),
        (["--epochs", "9" * 400], "epochs: more than 100000"),
        (["--epochs", "1000000000"], "epochs: more than 100000"),
        (["--resume", "x", "--out", "y"], "resume: x is not --out y"),
        (["--data-dir", "~nobody-of-this-name/x", "--scenario", "3"], "data_dir: ~nobody"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(run, tmp_path, args, message):
    (tmp_path / "a-file").write_text("")
    code, _, err = run(*args)
    assert code == 2
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a-file"]


def test_an_unknown_option_names_the_nearest(run):
    code, _, err = run("--treshold", "0.5")
    assert code == 2
    assert "--threshold" in err


def test_divergence_is_exit_code_1_and_keeps_what_was_written(run, tmp_path):
    code, _, err = run(*QUICK, "--lr", "1e38", "--out", "here")
    assert code == 1
    assert "loss: not finite at step" in err
    assert err.count("\n") == 1
    assert (tmp_path / "here/config.toml").exists()


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc/self").exists(), reason="needs /proc")
def test_a_folder_that_cannot_be_written_is_exit_code_1(run):
    code, _, err = run(*QUICK, "--out", "/proc/self/here")
    assert code == 1
    assert err.startswith("error: out: /proc/self/here cannot be written")


def test_a_full_disk_is_exit_code_1_and_keeps_what_was_written(run, tmp_path, monkeypatch):
    from jaxcl.checkpointing import run_folder

    real, lines = run_folder.append, []

    def full(folder, record):
        if len(lines) == 2:
            (folder / run_folder.METRICS).rename(folder / "kept.jsonl")
            (folder / run_folder.METRICS).symlink_to("/dev/full")
        lines.append(record)
        real(folder, record)

    monkeypatch.setattr(run_folder, "append", full)
    code, _, err = run(*QUICK, "--out", "here")
    assert code == 1
    assert err == (
        "error: here/metrics.jsonl cannot be written: No space left on device; what was written"
        " is kept\n"
    )
    assert len((tmp_path / "here/kept.jsonl").read_text().splitlines()) == 2


def interrupt(folder, *args, signals=(signal.SIGTERM,)) -> tuple[int, str]:
    """Starts a run, signals it after its first checkpoint; exit code and errors."""
    command = [sys.executable, "-m", "jaxcl.experiments.scenario", *args, "--out", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        while not list(folder.glob("checkpoints/*.json")):
            assert process.poll() is None
            time.sleep(0.05)
        for number in signals:
            process.send_signal(number)
            time.sleep(0.01)
        _, err = process.communicate()
    return process.returncode, err.decode()


LONGER = ["--limit", "60", "--epochs", "10", "--batch-size", "20", *MLP, "--method", "lwf"]


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
@pytest.mark.slow
def test_a_signal_saves_and_names_the_command_that_goes_on(run, tmp_path, number):
    folder = tmp_path / "here"
    code, err = interrupt(folder, *LONGER, "--keep=3", signals=(number,))
    assert code == 75
    again = f"python -m jaxcl.experiments.scenario --resume={folder} --keep=3"
    assert err == f"error: interrupted and saved; go on with: {again}\n"
    code, _, err = run("--resume", folder, "--epochs", "21", "--strength", "2")
    assert code == 2
    assert "strength is 15.0 and not 2.0; epochs is 10 and not 21; give the same" in err
    metrics = (folder / "metrics.jsonl").read_bytes()
    (folder / "metrics.jsonl").write_bytes(b"x" * len(metrics))
    code, _, err = run("--resume", folder)
    assert code == 2
    assert "can be used (checkpoint" in err
    assert "metrics.jsonl was changed)" in err
    flipped = metrics.replace(b'"epoch": 0', b'"epoch": 1', 1)  # of the same length, and whole
    assert len(flipped) == len(metrics)
    (folder / "metrics.jsonl").write_bytes(flipped)
    assert "metrics.jsonl was changed)" in run("--resume", folder)[2]
    (folder / "metrics.jsonl").unlink()
    found = sorted(folder.glob("checkpoints/*"))
    code, _, err = run("--resume", folder)
    assert code == 2
    assert "no checkpoint in" in err
    assert sorted(folder.glob("checkpoints/*")) == found  # nothing is removed
    (folder / "metrics.jsonl").write_bytes(metrics + b"a line after the last checkpoint")
    config = (folder / "config.toml").read_text()
    (folder / "config.toml").write_text(config.replace("strength = 15.0", "strength = 2.0"))
    code, _, err = run("--resume", folder)
    assert code == 2
    assert "config.toml was changed since checkpoint" in err
    (folder / "config.toml").write_text(config)
    with mock.patch("jaxcl.learner.build.checksum", return_value="other"):
        code, _, err = run("--resume", folder)
    assert code == 2
    assert "are not those that the run in" in err
    code, out, _ = run("--resume=" + str(folder))
    assert code == 0
    assert "resumed from checkpoint" in out
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    seen = [(line["task"], line["epoch"]) for line in lines if line["event"] == "epoch"]
    assert seen == [(t, e) for t in ("digits", "letters", "photos") for e in range(10)]
    assert not list(folder.glob("checkpoints/*"))
    code, out, _ = run("--resume", folder)
    assert code == 0
    assert out == f"{folder}: this run is finished; jaxcl show {folder} prints it\n"


@pytest.mark.slow
def test_seeds_that_run_together_are_saved_and_resumed_together(run, tmp_path):
    seeds = ["--seeds", "4", "0", "2", "--together", "2"]
    plain = ["--scenario", "split-digits", "--tasks", "2", "--limit", "60", "--epochs", "8"]
    options = [*plain, *seeds, "--method", "er", "--batch-size", "10", "--hidden", "8"]
    code, err = interrupt(tmp_path / "cut", *options)
    assert code == 75, err
    again = [*plain, *seeds[:4], *options[options.index("--method") :]]  # as it began elsewhere
    code, out, _ = run(*again, "--out", "cut", "--resume")
    assert code == 0
    assert "resumed from checkpoint" in out
    assert ": 2 seeds, " in out
    code, out, _ = run(*options, "--out", "whole")
    assert code == 0
    assert "2 seeds · digits-0-4\n" in out
    assert out.count("2 seeds · digits-0-4 epoch 8/8  loss ") == 1
    assert out.count("seed 2 · digits-0-4 epoch 8/8  loss ") == 1
    lines = {}
    for name in ("cut", "whole"):
        texts = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        lines[name] = [json.loads(text) | {"seconds": None} for text in texts]
        assert [line["seed"] for line in lines[name] if line["event"] == "seed"] == [4, 0, 2]
    assert lines["cut"] == lines["whole"]
    for seed in (4, 0, 2):
        pair = [load_params(tmp_path / name / f"params/seed{seed}") for name in lines]
        chex.assert_trees_all_equal(*pair)


@pytest.mark.slow
def test_seeds_are_dealt_out_to_devices(run, tmp_path):
    options = ["--scenario", "split-digits", "--tasks", "2", "--limit", "60", "--iterations", "6"]
    options += ["--seeds", "0..3", "--method", "ewc", "--hidden", "8", "--batch-size", "12"]
    code, out, _ = run(*options, "--mesh", "seed=4,data=2", "--out", "dealt")
    assert code == 0
    assert "4 seeds · digits-5-9 epoch" in out
    code, _, _ = run(*options, "--out", "alone")
    assert code == 0
    for seed in range(4):
        pair = [load_params(tmp_path / name / f"params/seed{seed}") for name in ("dealt", "alone")]
        chex.assert_trees_all_close(*pair, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_signals_that_come_together_are_one(tmp_path):
    code, err = interrupt(tmp_path / "here", *LONGER, signals=(signal.SIGTERM,) * 2)
    assert code == 75
    assert "interrupted and saved" in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_signalled_while_it_is_finishing_is_finished_first(run, tmp_path, number):
    summarise = recorder.summarise

    def signalled(*given):
        os.kill(os.getpid(), number)
        return summarise(*given)

    with mock.patch.object(recorder, "summarise", signalled):
        code, _, err = run(*QUICK, "--out", "here")
    assert code == 75
    again = "python -m jaxcl.experiments.scenario --resume=here"
    assert err == f"error: interrupted and saved; go on with: {again}\n"
    assert (tmp_path / "here/summary.json").exists()
    code, out, err = run("--resume=here")
    assert (code, err) == (0, "")
    assert out == "here: this run is finished; jaxcl show here prints it\n"


def test_a_bare_resume_finds_what_out_put_elsewhere(run, tmp_path, monkeypatch):
    state = tmp_path / "state/jaxcl/runs"
    code, _, err = run("--resume")
    assert code == 2
    where = f"under runs/ and none noted in {state}; give --resume=DIR"
    assert err == f"error: resume: no unfinished run {where}\n"
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    with mock.patch("jaxcl.runner.recorder.summarise", side_effect=KeyboardInterrupt):
        assert run(*QUICK, "--out", str(elsewhere))[0] == 130
    assert len(list(state.iterdir())) == 1
    below = tmp_path / "below"
    shutil.copytree(elsewhere, below)
    os.utime(below / "config.toml", (0, 0))  # older than that elsewhere
    code, out, _ = run("--resume")
    assert code == 0
    assert out.endswith(f"written to {elsewhere}\n")
    assert not list(state.iterdir())  # a run that is finished is in the list no longer
    (elsewhere / "summary.json").unlink()
    unfinished.note(elsewhere)
    unfinished.note(below)
    assert run("--resume")[1].endswith("written to below\n")  # what lies below comes first


@pytest.mark.slow
def test_bare_resume(run, tmp_path):
    assert run("--resume")[2].startswith("error: resume: no unfinished run under runs/")
    assert "holds no run" in run("--resume", "nowhere")[2]
    code, _, _ = run(*QUICK, "--out", "here", "--resume")  # the same command begins a run
    assert code == 0
    assert "this run is finished" in run(*QUICK, "--out", "here", "--resume")[1]
    before = (tmp_path / "here/config.toml").read_text()
    (tmp_path / "here/summary.json").unlink()
    assert run("--resume=here", "--overwrite")[0] == 0  # anew, with the settings that it has
    assert (tmp_path / "here/config.toml").read_text() == before
    code, _, _ = run(*QUICK)
    (folder,) = (tmp_path / "runs/builtin/finetune").iterdir()
    (folder / "summary.json").unlink()
    code, out, _ = run("--resume")
    assert code == 0
    assert f"written to {folder.relative_to(tmp_path)}" in out
    assert json.loads((folder / "summary.json").read_text())["method"] == "finetune"


def test_a_damaged_configuration_is_refused(run, tmp_path):
    (tmp_path / "here").mkdir()
    whole = to_toml(configured())
    for text, message in (
        ("lr = ", "not TOML"),
        (f"x = {'9' * 5000}", "not TOML"),
        (f"x = {'[' * 5000}", "not TOML"),
        ("", "scenario: missing; the file was cut off"),
        ('method = "ewc"\nstrength = 1.0', "earlier version of jaxcl wrote it; begin anew"),
        (whole.replace("lr = 0.001", "lrr = 1"), "setting: 'lrr' is unknown; did you mean 'lr'"),
        (whole.replace("lr = 0.001", 'lr = "fast"'), "lr: 'fast' is of the wrong type"),
        (whole.replace("lr = 0.001", f"lr = 1{'0' * 400}"), "is of the wrong type"),
        (whole.replace('start = "copy"', 'start = "warm"'), "start: 'warm' is none of copy, fresh"),
        (whole.replace("lr = 0.001", "lr = -1.0"), "lr: -1.0 is not positive"),
    ):
        (tmp_path / "here/config.toml").write_text(text)
        code, _, err = run("--resume", "here")
        assert code == 2
        assert message in err
        assert err.count("\n") == 1
        assert (tmp_path / "here/config.toml").read_text() == text


def test_a_folder_with_a_name_that_looks_like_markup(run, tmp_path):
    code, out, _ = run(*QUICK, "--out", "x[/b]y")
    assert code == 0
    assert "written to x[/b]y" in out
    assert run(*QUICK, "--out", "n" * 300)[0] == 1


@pytest.mark.parametrize("value", ["0", "x", "-1", "s", "1.5", "\N{SUPERSCRIPT TWO}"])
def test_checkpoint_every_is_epochs_or_seconds(run, value):
    code, _, err = run(*QUICK, f"--checkpoint-every={value}")
    assert code == 2
    assert "is neither epochs (2) nor seconds (30s)" in err


def test_list_names_everything_in_a_line_each(run, call):
    code, out, _ = run("--list")
    assert code == 0
    assert call(compare, "--list") == call(sweep, "--list") == (0, out, "")
    names = *SCENARIOS, *METHODS, *NETWORKS, "PATH", *sources.NAMES
    assert len(out.splitlines()) == 4 + len(names)
    for name in names:
        assert f"  {name} " in out


@pytest.mark.slow
@pytest.mark.usefixtures("small_cnn")
def test_what_was_decided_is_explained(run):
    code, out, _ = run(*SELECT, "--method", "select", "--explain", "--out", "here")
    assert code == 0
    for task in ("letters", "photos"):
        text = out.split(f"seed 0: what {task} shares")[1].split("└")[0]
        rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines()]
        rows = [row for row in rows if len(row) == 4]
        assert {row[0] for row in rows} == {"conv1", "conv2"}
        assert {row[1] for row in rows} <= {"digits", "letters"}
        assert all(0 < float(row[2]) <= 1 for row in rows)
        for layer in ("conv1", "conv2"):
            assert sum(bool(row[3]) for row in rows if row[0] == layer) == 1
    assert "what digits shares" not in out


def test_dry_run_shows_settings_parameters_and_data_and_writes_nothing(run, tmp_path):
    code, out, _ = run("--dry-run", "--scenario", "5", "--strength", "3", "--data-dir", "nowhere")
    assert code == 0
    for part in ("strength = 3", "18,496", "1,605,760", "mnist: missing", "prepare emnist/byclass"):
        assert part in out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("args", "outputs"),
    [
        (["--setting", "class", "--method", "ewc"], 10),
        (["--setting", "class", "--method", "lucir"], 2),
        (["--setting", "class", "--method", "ewc", "--heads", "full"], 10),
        (["--setting", "task", "--tasks", "2"], 5),
        (["--setting", "domain"], 2),
    ],
)
def test_a_dry_run_says_the_size_of_the_first_head(run, args, outputs):
    """Of 8 hidden units a head has 9 weights an output."""
    code, out, _ = run("--dry-run", "--scenario", "split-digits", "--hidden", "8", *args)
    assert code == 0
    (line,) = [line for line in out.splitlines() if "the first head" in line]
    assert f"the first head, of {outputs} outputs" in line
    assert line.split()[-2] == str(9 * outputs)


@pytest.mark.parametrize("scenario", ["builtin", "split-digits", "permuted-digits", "digits-chain"])
def test_a_dry_run_knows_the_classes_that_the_data_have(scenario):
    config = configure("finetune", scenario)
    assert classes_of(config) == [task.classes for task in load_tasks(config)]


@pytest.mark.parametrize("more", [["--dry-run"], ["--out", "here"]])
@pytest.mark.parametrize("tasks", ["3", "10"])
def test_tasks_that_cannot_be_split_are_refused_by_a_dry_run_too(run, tmp_path, more, tasks):
    code, _, err = run(*MLP, "--scenario", "split-digits", "--tasks", tasks, *more)
    assert code == 2
    assert err == f"error: tasks: 10 classes of digits do not make {tasks} tasks of at least two\n"
    assert not (tmp_path / "here").exists()


@pytest.mark.parametrize(
    "args",
    [["--data", "nope.npz"], ["--data", "nope.npz", "--dry-run"]],
)
def test_without_a_method_a_missing_file_is_told(run, args):
    code, _, err = run(*args)
    assert code == 2
    assert "nope.npz" in err
    assert "select" not in err


def test_as_a_module_in_a_process_of_its_own(tmp_path):
    args = [sys.executable, "-m", "jaxcl.experiments.scenario", "--method", "nothing"]
    done = subprocess.run(args, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("method", ["ewc", "er"])
def test_where_nothing_grows_more_tasks_are_not_more_programs(method, run, tmp_path):
    """The third task has all programs but what the end of a run needs; later ones add none."""
    given = ["--scenario", "permuted-digits", "--setting", "domain", "--method", method]
    given += ["--limit", "60", "--epochs", "1", "--batch-size", "20", "--hidden", "8"]
    found = {}
    for tasks in ("3", "8"):
        jax.clear_caches()
        assert run(*given, "--tasks", tasks, "--out", tasks)[0] == 0
        found[tasks] = json.loads((tmp_path / tasks / "summary.json").read_text())["compilations"]
    assert 10 < found["3"] == found["8"]
