"""What loggers write, by hand, and that a run that goes on has nothing twice."""

import json
import sys
import types

import pytest

import jaxcl
from jaxcl.core.errors import OutputError, UsageError
from jaxcl.reporting.loggers import LOGGERS, Logged, Logger
from jaxcl.reporting.loggers.known import check, opened
from jaxcl.training.events import EpochEnded, Growth, SeedEnded

TASKS = ["a", "b,c"]


def epoch(seed, task_index, epoch, loss, accuracy, phase="train"):
    metrics = {"wasserstein": loss} if phase == "generator" else {"loss": loss}
    found = dict(zip(TASKS, accuracy, strict=False))
    return EpochEnded(None, seed, task_index, epoch, phase, metrics, found, 1.0)


def ended(seed, matrix):
    return SeedEnded(seed, matrix, {}, None, Growth({}, {}, {}), {}, {})


ZERO = [
    epoch(0, 0, 0, 3.0, [50.0]),
    epoch(0, 0, 1, 2.0, [90.0]),
    epoch(0, 1, 0, 0.5, [90.0], "generator"),
    epoch(0, 1, 1, 1.0, [70.0, 80.0]),
    ended(0, [[90.0, None], [70.0, 80.0]]),
]
EVENTS = [*ZERO, epoch(1, 0, 0, 4.0, [40.0])]
EPOCHS = """\
seed,epoch,task,task_epoch,phase,measure,value
0,1,a,1,train,metrics/loss,3.0
0,1,a,1,train,accuracy/a,50.0
0,2,a,2,train,metrics/loss,2.0
0,2,a,2,train,accuracy/a,90.0
0,3,"b,c",1,generator,generator/wasserstein,0.5
0,4,"b,c",2,train,metrics/loss,1.0
0,4,"b,c",2,train,accuracy/a,70.0
0,4,"b,c",2,train,"accuracy/b,c",80.0
1,1,a,1,train,metrics/loss,4.0
1,1,a,1,train,accuracy/a,40.0
"""
ACCURACY = """\
seed,after,task,accuracy
0,a,a,90.0
0,"b,c",a,70.0
0,"b,c","b,c",80.0
"""


def log(names, folder, events, past=(), resumed=False):
    run = Logged(folder, "digits ewc", 'scenario = "digits"\n', TASKS, resumed)
    with opened(names, run, past) as tell:
        for event in events:
            tell(event)


def whole(names, folder):
    log(names, folder, EVENTS)


def cut(names, folder):
    """Was killed after an event that it had saved no more, went on, and was stopped once more."""
    log(names, folder, EVENTS[:4])
    log(names, folder, EVENTS[3:4], EVENTS[:3], resumed=True)
    log(names, folder, EVENTS[4:], EVENTS[:4], resumed=True)


@pytest.mark.parametrize("run", [whole, cut])
def test_csv_by_hand(run, tmp_path):
    run(["csv"], tmp_path)
    assert (tmp_path / "csv/epochs.csv").read_text() == EPOCHS
    assert (tmp_path / "csv/accuracy.csv").read_text() == ACCURACY


@pytest.mark.parametrize("run", [whole, cut])
def test_tensorboard_by_hand(run, tmp_path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    run(["tensorboard"], tmp_path)
    found = {}
    for file in sorted(tmp_path.glob("tensorboard/*/events*")):
        for record in records(file.read_bytes()):
            event = Event.FromString(record)
            for value in event.summary.value:
                key = (file.parent.name, value.tag)
                found.setdefault(key, []).append((event.step, value.simple_value))
    assert found.pop(("seed0", "settings/text_summary"))
    assert found.pop(("seed1", "settings/text_summary"))
    assert found == {
        ("seed0", "metrics/loss"): [(1, 3.0), (2, 2.0), (4, 1.0)],
        ("seed0", "accuracy/a"): [(1, 50.0), (2, 90.0), (4, 70.0)],
        ("seed0", "accuracy/b_c"): [(4, 80.0)],  # its names have no commas
        ("seed0", "generator/wasserstein"): [(3, 0.5)],
        ("seed0", "tasks/average_accuracy"): [(1, 90.0), (2, 75.0)],
        ("seed0", "result/average_accuracy"): [(2, 75.0)],
        ("seed0", "result/learning_accuracy"): [(2, 85.0)],
        ("seed0", "result/forgetting"): [(2, 20.0)],
        ("seed0", "result/backward_transfer"): [(2, -20.0)],
        ("seed1", "metrics/loss"): [(1, 4.0)],
        ("seed1", "accuracy/a"): [(1, 40.0)],
    }


def records(content):
    """Of a file of TFRecords: length, checksum of it, bytes, checksum of them."""
    while content:
        n = int.from_bytes(content[:8], "little")
        yield content[12 : 12 + n]
        content = content[16 + n :]


class Sent:
    """Stands in for a run at Weights & Biases."""

    def __init__(self, all_sent, **asked):
        self.all_sent, self.asked, self.id = all_sent, asked, asked["id"] or "new"
        self.finished = False

    def define_metric(self, name, step_metric=None):
        assert name == "seed0/epoch" or step_metric or name.endswith("/epoch")

    def log(self, values, step):
        self.all_sent.append((step, values))

    def finish(self):
        self.finished = True


@pytest.mark.parametrize("run", [whole, cut])
def test_wandb_is_sent_each_event_once_by_one_run(run, tmp_path, monkeypatch):
    all_sent, runs = [], []
    fake = types.ModuleType("wandb")
    fake.init = lambda **asked: runs.append(Sent(all_sent, **asked)) or runs[-1]
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    run(["wandb"], tmp_path)
    assert {each.id for each in runs} == {"new"}
    assert all(each.finished for each in runs)
    assert {each.asked["mode"] for each in runs} == {"offline"}
    assert {each.asked["dir"] for each in runs} == {str(tmp_path)}
    assert runs[0].asked["config"] == {"scenario": "digits"}
    assert [step for step, _ in all_sent] == list(range(len(EVENTS)))
    assert all_sent[3][1] == {
        "seed0/metrics/loss": 1.0, "seed0/accuracy/a": 70.0, "seed0/accuracy/b,c": 80.0,
        "seed0/epoch": 4,
    }  # fmt: skip
    assert all_sent[4][1]["seed0/result/forgetting"] == 20.0
    assert all_sent[4][1]["seed0/epoch"] == 4
    assert all_sent[5][1]["seed1/epoch"] == 1
    monkeypatch.setenv("WANDB_MODE", "online")
    whole(["wandb"], tmp_path)  # begun anew
    assert runs[-1].asked["id"] is None
    assert runs[-1].asked["mode"] == "online"
    assert len(all_sent) == 2 * len(EVENTS)


def test_a_real_run_of_wandb_that_goes_on(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    cut(["wandb"], tmp_path)
    kept = json.loads((tmp_path / "wandb/jaxcl.json").read_text())
    assert kept["sent"] == {"seed0": 5, "seed1": 1}
    assert len(list(tmp_path.glob(f"wandb/offline-run-*-{kept['id']}"))) >= 1


def test_what_is_not_there_is_said_in_a_line(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"^log: wandb needs wandb; pip install 'jaxcl\[wandb\]'$"):
        check(["wandb"])
    with pytest.raises(UsageError, match=r"needs tensorboardX; pip install 'jaxcl\[tensorboard\]'"):
        check(["tensorboard"])
    check(["csv"])
    with pytest.raises(UsageError, match="did you mean 'csv'"):
        check(["cvs"])
    with pytest.raises(UsageError, match="give each once"):
        check(["csv", "csv"])


def test_a_logger_of_ones_own(tmp_path):
    seen = []

    class Mine(Logger):
        def take(self, event):
            seen.append(event)

        def close(self):
            seen.append("closed")

    try:
        assert jaxcl.register_logger(Mine) is Mine
        check(["mine"])
        log(["mine", "csv"], tmp_path, EVENTS[1:], EVENTS[:1])
        assert seen == [*EVENTS, "closed"]
        with pytest.raises(UsageError, match="'mine' is taken"):
            jaxcl.register_logger(type("Mine", (Logger,), {}))
    finally:
        LOGGERS.pop("mine")
    with pytest.raises(UsageError, match="'params' is a part of every run's folder"):
        jaxcl.register_logger(type("Params", (Logger,), {}))
    with pytest.raises(UsageError, match="'csv' is taken"):
        jaxcl.register_logger(type("Csv", (Logger,), {}))
    with pytest.raises(UsageError, match="is no subclass of"):
        jaxcl.register_logger(dict)  # pyright: ignore


def test_what_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"^log: .*file/csv cannot be written: Not a directory$"):
        whole(["csv"], tmp_path / "file")


def test_all_are_closed_if_one_fails(tmp_path):
    closed = []

    class Fails(Logger):
        def take(self, event):
            raise OSError(28, "No space left on device", "x")

        def close(self):
            closed.append(self)

    LOGGERS["fails"] = Fails
    try:
        with pytest.raises(OutputError, match=r"^log: x cannot be written: No space left"):
            whole(["fails"], tmp_path)
    finally:
        del LOGGERS["fails"]
    assert len(closed) == 1
