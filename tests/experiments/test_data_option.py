"""Tasks of a data set of one's own: ``--data``."""

import itertools
import json
from functools import partial

import numpy as np
import pytest
from PIL import Image

import jaxcl
from jaxcl.experiments import compare, scenario, sweep
from jaxcl.scenarios.datasets.sources import REGISTERED
from jaxcl.scenarios.task import Task

QUICK = ["--method", "finetune", "--iterations", "2", "--batch-size", "4", "--hidden", "8"]


@pytest.fixture
def run(call):
    return partial(call, scenario)


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    """The same data set as arrays, as numbers in text, as images, and by name."""
    rng, labels = np.random.default_rng(0), np.arange(40) % 4
    images = rng.integers(0, 256, (40, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "mine.npz", x=images, y=labels)
    lines = [f"{a},{b},{'abcd'[y]}" for (a, b), y in zip(images[:, 0, :2], labels, strict=True)]
    (tmp_path / "mine.csv").write_text("\n".join(["first,second,label", *lines]))
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        folder = tmp_path / "photos of mine" / "abcd"[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.stack([image] * 3, -1)).save(folder / f"{number}.png")
    (tmp_path / "bad.npz").write_text("no")

    def mine():
        return Task(
            "mine", images[:32, ..., None], labels[:32], images[32:, ..., None], labels[32:]
        )

    monkeypatch.setitem(REGISTERED, "mine_by_name", mine)


def summary(tmp_path, name="one"):
    return json.loads((tmp_path / name / "summary.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ("mine.npz", "uint8 8x8x1"),
        ("mine.csv", "float32 2"),
        ("photos of mine", "uint8 8x8x3"),
        ("mine_by_name", "uint8 8x8x1"),
    ],
)
def test_tasks_of_some_classes_each(run, tmp_path, data, kind):
    code, out, err = run(*QUICK, "--data", data, "--split-classes", "2", "--out", "one")
    assert (code, err) == (0, "")
    name = data.partition(".")[0].removesuffix("_by_name")
    assert summary(tmp_path)["tasks"] == [f"{name}-0-1", f"{name}-2-3"]
    assert summary(tmp_path)["inputs"]["kind"] == kind
    assert f"finetune on data {data.partition('.')[0]} (task)" in out
    saved = (tmp_path / "one/config.toml").read_text()
    assert f'data = "{data if data == "mine_by_name" else tmp_path / data}"' in saved


def test_the_usual_batch_is_no_larger_than_the_smallest_task(run):
    """Of 40 images 32 are trained on, 16 of two classes; a batch has 100 of them usually."""
    args = ["--method", "finetune", "--data=mine.npz", "--dry-run"]
    for more, size in (([], 32), (["--split-classes=2"], 16), (["--batch-size=8"], 8)):
        code, out, err = run(*args, *more)
        assert (code, err) == (0, "")
        assert f"batch_size = {size}\n" in out
    code, out, err = run(*args, "--out=new", "--resume=new")  # to begin, or to go on
    assert (code, err) == (0, "")
    assert "batch_size = 32\n" in out
    code, _, err = run(*args, "--batch-size=33")
    assert code == 2
    assert "batch_size: 33 is more than the 32 training inputs" in err


def test_all_classes_at_once_unless_told(run, tmp_path):
    assert run(*QUICK, "--data=mine.npz", "--out", "one")[0] == 0
    assert summary(tmp_path)["tasks"] == ["mine"]


@pytest.mark.slow
def test_a_run_goes_on_from_another_folder(run, tmp_path):
    args = [*QUICK, "--data=mine.npz", "--split-classes=2", "--order", "1"]
    code, _, _ = run(*args)
    assert code == 0
    (folder,) = (tmp_path / "runs/mine/finetune").iterdir()
    (folder / "summary.json").unlink()
    (tmp_path / "mine.csv").rename(tmp_path / "runs/mine.npz")  # another of this name
    code, _, err = run(f"--resume={folder}", "--data", "runs/../mine.npz")
    assert (code, err) == (0, "")
    assert summary(folder.parent, folder.name)["tasks"] == ["mine-order-1-0-1", "mine-order-1-2-3"]
    code, _, err = run(f"--resume={folder}", "--data=runs/mine.npz")
    assert code == 2
    assert f"data is {tmp_path}/mine.npz and not {tmp_path}/runs/mine.npz; give the" in err


@pytest.mark.slow
def test_others_compare_and_search(call, tmp_path):
    """Of two classes 16 images are trained on, 14 where some are held out."""
    data = ["--iterations=2", "--hidden=8", "--data=mine.csv", "--split-classes=2"]
    both = [*data, "--methods", "finetune", "er", "--out", "both"]
    one = [*data, "--method=finetune", "--out=grid", "--grid"]
    for command, args in ((compare, both), (compare, both), (sweep, [*one, "lr=1e-3,1e-2"])):
        code, _, err = call(command, *args)
        assert (code, err) == (0, "")
    for name, size in (("both/er", 16), ("grid/lr=0.01", 14)):
        assert summary(tmp_path, name)["tasks"] == ["mine-0-1", "mine-2-3"]
        assert f"batch_size = {size}\n" in (tmp_path / name / "config.toml").read_text()
    for command, args in ((compare, [*both, "--batch-size=33"]), (sweep, [*one, "batch_size=33"])):
        code, _, err = call(command, *args)
        assert code == 2
        assert "batch_size: 33 is more than the 1" in err


def test_a_dry_run_says_which_class_has_which_number_and_where_floats_lie(run, tmp_path):
    labels = np.array(["cat", "ant"] * 10)
    np.savez(tmp_path / "named.npz", x=np.linspace(0, 255, 20, dtype=np.float32)[:, None], y=labels)
    code, out, _ = run("--method=finetune", "--net=mlp", "--data=named.npz", "--dry-run")
    assert code == 0
    assert "classes of named: 0 is 'ant', 1 is 'cat'" in out
    assert "2 outputs, float32 1 from " in out


def test_the_names_of_classes_stay_with_their_numbers(run, tmp_path):
    args = [*QUICK, "--data=mine.csv", "--split-classes=2", "--order=1"]
    code, out, _ = run(*args, "--dry-run")
    assert code == 0
    assert run(*args, "--out=named")[0] == 0
    result = jaxcl.load(tmp_path / "named")
    assert sorted(itertools.chain(*result.class_names.values())) == list("abcd")
    for task, (first, second) in result.class_names.items():
        assert f"classes of {task}: 0 is '{first}', 1 is '{second}'" in out
    assert list(result.class_names) == ["mine-order-1-0-1", "mine-order-1-2-3"]


def test_a_dry_run_says_what_the_tasks_are(run):
    args = [*QUICK, "--data", "mine.npz", "--split-classes", "2", "--dry-run"]
    code, out, _ = run(*args)
    assert code == 0
    assert "mine-0-1: 16 to train, 4 to test, 2 outputs, uint8 8x8x1" in out
    assert f"{65 * 8}" in out  # weights and biases of 8 units
    code, out, _ = run(*args, "--net", "cnn")  # QUICK's --hidden is no option of it
    assert code == 2


def test_help_shows_what_applies(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = run("--data", "mine.npz", "--help")
    assert code == 0
    for part in ("--data PATH", "--split-classes INT", "--order INT", "(default: data)"):
        assert part in out
    out = run("--help")[1]
    assert "--split-classes" not in out
    assert "or give --data" in out
    assert "options of its own: see --data FILE --help." in out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--data", "bad.npz"], "bad.npz: damaged, or no .npz file; write it anew"),
        (["--data", "none.npz"], "none.npz does not exist; give an .npz or .csv file"),
        (["--data", "none"], "data: 'none' is unknown; "),
        (["--data", "~no-such-name/x.csv"], "data: ~no-such-name/x.csv: no such home; give the wh"),
        (["--data", "~no-such-name/x.csv", "--dry-run"], "data: ~no-such-name/x.csv: no such hom"),
        (["--plugin", "~no-such-name/x.py"], "plugin: ~no-such-name/x.py: no such home; give"),
        (["--data", "mine_by_nam"], "did you mean 'mine_by_name'?"),
        (["--data"], "data: no value; give --data and a file or a name"),
        (["--data="], "data: no value; give --data and a file or a name"),
        (["--scenario", "data"], "data: missing; give --data with a file, a folder or"),
        (["--data=mine.npz", "--scenario", "builtin"], "data: scenario 'builtin' has its own; lea"),
        (["--data=mine.npz", "--split-classes=3"], "4 classes of mine do not make tasks of 3; giv"),
        (["--data=mine.npz", "--split-classes=1"], "4 classes of mine do not make tasks of 1; giv"),
        (["--data=mine.npz", "--split-classes=0"], "split_classes: 0 is not positive"),
        (["--data=mine.npz", "--tasks=2"], "tasks: scenario 'data' has its own; leave"),
        (["--split-classes=2"], "split_classes: scenario 'builtin' has its own data; leave it out"),
        (["--order=2"], "order: scenario 'builtin' deals no classes out; leave it out"),
        (
            ["--data=mine.csv", "--augment", "flip"],
            "augment: inputs have the shape [1, 2]; give im",
        ),
        (
            ["--data=mine.npz", "--augment", "crup"],
            "augment: 'crup' is unknown; did you mean 'crop",
        ),
        (["--data=mine.npz", "--loss=squared"], "the loss squared takes [n, outputs]; give labels"),
        (["--data=mine.npz", "--loss=binary", "--setting=class"], "loss: binary tells no classes"),
        (["--data=mine.csv", "--method=dgr"], "a generator makes images of bytes; give uint8"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(run, tmp_path, args, message):
    before = set(tmp_path.iterdir())
    code, _, err = run(*QUICK[:-2], "--net", "mlp", "--hidden=8", *args)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert set(tmp_path.iterdir()) == before


@pytest.mark.slow
def test_images_are_augmented_and_normalised(run, tmp_path):
    args = ["--data=photos of mine", "--augment", "crop", "flip", "--normalise", "True"]
    code, _, err = run(*QUICK, *args, "--out", "one")
    assert (code, err) == (0, "")
    assert 'augment = [\n    "crop",\n    "flip",\n]' in (tmp_path / "one/config.toml").read_text()
    assert len(summary(tmp_path)["inputs"]["mean"]) == 3
    code, _, err = run(*QUICK, *args, "--stream", "--out", "two")
    assert (code, err) == (0, "")
    assert summary(tmp_path, "two")["accuracy"] == summary(tmp_path)["accuracy"]
