"""The whole way from a download to a task, on small data served on this machine."""

import bz2
import functools
import gzip
import hashlib
import http.server
import io
import sys
import tarfile
import threading
import zipfile

import numpy as np
import pytest
import scipy.io
import tensorflow_datasets as tfds
from PIL import Image
from tensorflow_datasets.image_classification import cifar, mnist, omniglot

from jaxcl.core.errors import DataError, UsageError
from jaxcl.learner.settings.configuration import configure
from jaxcl.learner.tasks import load_tasks
from jaxcl.scenarios.datasets import prepare as prepare_module
from jaxcl.scenarios.datasets import usps
from jaxcl.scenarios.datasets.prepare import prepare
from jaxcl.scenarios.datasets.sources import load

N = {"train": 40, "t10k": 20, "test": 20}


def pictures(n, *shape):
    return np.random.default_rng(n).integers(0, 256, (n, *shape), dtype=np.uint8)


def idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
    return gzip.compress(header + array.tobytes())


@pytest.fixture
def server(tmp_path):
    """A folder and the address at which its files are served."""
    root = tmp_path / "server"
    root.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield root, f"http://127.0.0.1:{httpd.server_port}/"
        httpd.shutdown()
        thread.join()


def serve_mnist(root, url, monkeypatch):
    for split, key in (("train", "_TRAIN_EXAMPLES"), ("t10k", "_TEST_EXAMPLES")):
        monkeypatch.setattr(mnist, key, N[split])
        labels = (np.arange(N[split]) % 10).astype(np.uint8)
        (root / f"{split}-images-idx3-ubyte.gz").write_bytes(idx(pictures(N[split], 28, 28)))
        (root / f"{split}-labels-idx1-ubyte.gz").write_bytes(idx(labels))
    monkeypatch.setattr(mnist.MNIST, "URL", url)


def serve_emnist(root, url, monkeypatch, part, first, last):
    archive = zipfile.ZipFile(root / "gzip.zip", "w")
    with archive:
        for split in ("train", "test"):
            labels = np.resize(np.arange(first, last + 1), N[split]).astype(np.uint8)
            images = pictures(N[split], 28, 28).transpose(0, 2, 1)  # raw EMNIST lies on its side
            for kind, data in (("images-idx3", images), ("labels-idx1", labels)):
                name = f"gzip/emnist-{part}-{split}-{kind}-ubyte.gz"
                archive.writestr(name, idx(np.ascontiguousarray(data)))
    monkeypatch.setattr(mnist.EMNIST, "URL", f"{url}gzip.zip")
    for config in mnist.EMNIST.BUILDER_CONFIGS:
        monkeypatch.setattr(config, "train_examples", N["train"])
        monkeypatch.setattr(config, "test_examples", N["test"])


def serve_cifar(root, url, monkeypatch, kind=cifar.Cifar10):
    name = kind.__name__.lower()
    info = kind._cifar_info.fget(tfds.builder(name, data_dir=root))
    classes = [100 if "fine" in key or key == "label" else 20 for key in info.label_keys]
    classes = [10] if kind is cifar.Cifar10 else classes
    files = {
        file: "\n".join(f"class{i}" for i in range(n)).encode()
        for file, n in zip(info.label_files, classes, strict=True)
    }
    for name in [*info.train_files, *info.test_files]:
        labels = np.stack([np.arange(20) * 3 % n for n in classes], 1).astype(np.uint8)
        images = pictures(20, 32, 32, 3).transpose(0, 3, 1, 2).reshape(20, -1)
        files[name] = np.concatenate([labels, images], 1).tobytes()
    with tarfile.open(root / "cifar.tar.gz", "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(info.prefix + name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    patched = property(lambda self: info._replace(url=f"{url}cifar.tar.gz"))
    monkeypatch.setattr(kind, "_cifar_info", patched)


def serve_svhn(root, url, monkeypatch):
    for split in ("train", "test", "extra"):
        n = N.get(split, 3)
        labels = 1 + np.arange(n, dtype=np.uint8)[:, None] % 10
        mat = {"X": pictures(n, 32, 32, 3).transpose(1, 2, 3, 0), "y": labels}
        scipy.io.savemat(root / f"{split}_32x32.mat", mat)
    module = sys.modules[tfds.builder_cls("svhn_cropped").__module__]
    monkeypatch.setattr(module, "URL", url)


def serve_usps(root, url, monkeypatch):
    """As LIBSVM writes it: labels from 1, values from -1 to 1, and 0 left out."""
    for split, file in usps.FILES.items():
        lines = []
        for row, image in enumerate(pictures(N[split], 256)):
            values = ((i + 1, 2 * v / 255 - 1) for i, v in enumerate(image.tolist()))
            written = " ".join(f"{i}:{v:.6g}" for i, v in values)
            lines.append(f"{row % 10 + 1} {written} \n")
        content = bz2.compress("".join(lines).encode())
        (root / file).write_bytes(content)
        monkeypatch.setitem(usps.MD5, split, hashlib.md5(content).hexdigest())
    monkeypatch.setattr(usps, "URL", url)


def sheet(character, drawer):
    """Black on white, as Omniglot has it: which character and drawer it is, in two corners."""
    pixels = np.full((105, 105), 255, np.uint8)
    pixels[:15, :15], pixels[-15:, -15:] = 10 * character, 10 * drawer
    return Image.fromarray(pixels)


def serve_omniglot(root, url, monkeypatch):
    """Three alphabets of 2, 3 and 2 characters, whose numbers are not in the order of names."""
    parts = {"train": {"Greek": (4, 5), "Bengali": (1, 2, 3)}, "eval": {"Cree": (6, 7)}}
    parts |= {"small1": {"Greek": (4, 5)}, "small2": {"Bengali": (1, 2, 3)}}
    urls = {}
    for part, alphabets in parts.items():
        with zipfile.ZipFile(root / f"{part}.zip", "w") as archive:
            for alphabet, numbers in alphabets.items():
                for i, number in enumerate(numbers):
                    for drawer in range(1, 6):
                        file = io.BytesIO()
                        sheet(number, drawer).save(file, "PNG")
                        name = f"{part}/{alphabet}/character{i + 1:02d}/{number:04d}_{drawer:02d}"
                        archive.writestr(f"{name}.png", file.getvalue())
        urls[part] = f"{url}{part}.zip"
    monkeypatch.setattr(omniglot, "_DL_URLS", urls)
    monkeypatch.setattr(omniglot, "_NUM_CLASSES", 7)
    monkeypatch.setattr(omniglot, "_NUM_ALPHABETS", 3)


def prepared(name, tmp_path):
    prepare(name, tmp_path / "tfds")
    assert "tensorflow" not in sys.modules


def check(task, classes, train, shape):
    assert task.classes == classes
    assert task.train_inputs.shape == (train, *shape)
    assert task.train_inputs.dtype == task.test_inputs.dtype == np.uint8
    assert task.train_labels.min() >= 0
    assert task.train_labels.max() < classes


def same_pictures(found, expected):
    """The same pictures in another order (TFDS shuffles as it writes)."""
    order = [np.lexsort(x.reshape(len(x), -1).T) for x in (found, expected)]
    np.testing.assert_array_equal(found[order[0]], expected[order[1]])


def test_mnist(server, tmp_path, monkeypatch):
    serve_mnist(*server, monkeypatch)
    prepared("mnist", tmp_path)
    task = load("mnist", tmp_path / "tfds", lambda text: None)
    check(task, 10, N["train"], (28, 28, 1))
    same_pictures(task.train_inputs[..., 0], pictures(N["train"], 28, 28))
    first = np.argmax((task.train_inputs[..., 0] == pictures(N["train"], 28, 28)[3]).all((1, 2)))
    assert task.train_labels[first] == 3
    again = load("mnist", tmp_path / "tfds", lambda text: pytest.fail("not from the cache"))
    np.testing.assert_array_equal(again.test_inputs, task.test_inputs)


def test_emnist_letters_are_upright_and_from_zero(server, tmp_path, monkeypatch):
    serve_emnist(*server, monkeypatch, "letters", 1, 26)
    prepared("emnist/letters", tmp_path)
    task = load("emnist/letters", tmp_path / "tfds", lambda text: None)
    check(task, 26, N["train"], (28, 28, 1))
    assert sorted(set(task.train_labels.tolist())) == list(range(26))
    same_pictures(task.train_inputs[..., 0], pictures(N["train"], 28, 28))


def test_emnist_upper_keeps_upper_case_only(server, tmp_path, monkeypatch):
    serve_emnist(*server, monkeypatch, "byclass", 5, 44)
    prepared("emnist/byclass", tmp_path)
    task = load("emnist/upper", tmp_path / "tfds", lambda text: None)
    check(task, 26, 26, (28, 28, 1))
    assert sorted(task.train_labels.tolist()) == list(range(26))


def test_cifar10(server, tmp_path, monkeypatch):
    serve_cifar(*server, monkeypatch)
    prepared("cifar10", tmp_path)
    task = load("cifar10", tmp_path / "tfds", lambda text: None)
    check(task, 10, 100, (32, 32, 3))
    same_pictures(task.test_inputs, pictures(20, 32, 32, 3))


def test_cifar100_has_its_fine_labels(server, tmp_path, monkeypatch):
    serve_cifar(*server, monkeypatch, cifar.Cifar100)
    prepared("cifar100", tmp_path)
    task = load("cifar100", tmp_path / "tfds", lambda text: None)
    check(task, 100, 20, (32, 32, 3))
    same_pictures(task.test_inputs, pictures(20, 32, 32, 3))
    assert sorted(task.test_labels.tolist()) == list(range(0, 60, 3))


def test_svhn(server, tmp_path, monkeypatch):
    serve_svhn(*server, monkeypatch)
    prepared("svhn_cropped", tmp_path)
    task = load("svhn_cropped", tmp_path / "tfds", lambda text: None)
    check(task, 10, N["train"], (32, 32, 3))
    assert sorted(set(task.train_labels.tolist())) == list(range(10))  # ten is the digit 0


def test_usps(server, tmp_path, monkeypatch):
    serve_usps(*server, monkeypatch)
    prepared("usps", tmp_path)
    task = load("usps", tmp_path / "tfds", lambda text: None)
    check(task, 10, N["train"], (16, 16, 1))
    same_pictures(task.train_inputs.reshape(-1, 256), pictures(N["train"], 256))
    third = np.argmax((task.test_inputs.reshape(-1, 256) == pictures(N["test"], 256)[3]).all(1))
    assert task.test_labels[third] == 3


def test_another_file_than_the_published_one_is_not_usps(server, tmp_path, monkeypatch):
    serve_usps(*server, monkeypatch)
    monkeypatch.setitem(usps.MD5, "test", "0")
    with pytest.raises(DataError, match=r"usps.t.bz2 is not the file that was published"):
        prepare("usps", tmp_path / "tfds")


def test_mnist_and_usps_are_two_domains(server, tmp_path, monkeypatch):
    serve_mnist(*server, monkeypatch)
    serve_usps(*server, monkeypatch)
    for name in ("mnist", "usps"):
        prepared(name, tmp_path)
    for order in (("mnist", "usps"), ("usps", "mnist")):
        scenario, where = "-".join(order), tmp_path / "tfds"
        config = configure("lwf", scenario, data_dir=where, batch_size=10)
        assert config.data.setting == "domain"
        tasks = load_tasks(config)
        assert tuple(task.name for task in tasks) == order


def test_omniglot_is_an_alphabet_a_task(server, tmp_path, monkeypatch):
    """Classes are sorted by alphabet; of 5 drawings of each, 4 are trained on and 1 is tested."""
    serve_omniglot(*server, monkeypatch)
    prepared("omniglot", tmp_path)
    where = tmp_path / "tfds"
    whole = load("omniglot", where, lambda text: None)
    check(whole, 7, 28, (28, 28, 1))
    assert whole.groups == (("Bengali", 3), ("Cree", 2), ("Greek", 2))
    numbers = np.array([1, 2, 3, 6, 7, 4, 5])  # of the characters, in that order
    drawn = []
    for images, labels in (
        (whole.train_inputs, whole.train_labels),
        (whole.test_inputs, whole.test_labels),
    ):
        np.testing.assert_array_equal(255 - images[:, 0, 0, 0], 10 * numbers[labels])
        assert images[:, 14, 14].max() == 0  # the ground is black now
        drawn.append(np.stack([labels, (255 - images[:, -1, -1, 0]) // 10]))
    assert np.bincount(whole.test_labels).tolist() == [1] * 7
    both = np.concatenate(drawn, axis=1)
    assert len(np.unique(both, axis=1).T) == 35  # no drawing is in both, and none is missing
    config = configure("finetune", "split-omniglot", data_dir=where, tasks=2, batch_size=8)
    tasks = load_tasks(config)
    assert [(task.name, task.classes) for task in tasks] == [("Bengali", 3), ("Cree", 2)]
    assert set(tasks[1].train_labels) == set(tasks[1].test_labels) == {0, 1}
    assert (config.data.setting, config.data.resize) == ("task", "keep")
    with pytest.raises(DataError, match="omniglot has 3 groups of classes, not 50"):
        load_tasks(configure("finetune", "split-omniglot", data_dir=where, batch_size=8))


def test_what_exists_is_kept(server, tmp_path, monkeypatch):
    root, _ = server
    serve_mnist(*server, monkeypatch)
    prepared("mnist", tmp_path)
    with pytest.raises(DataError, match=r"exists already; give --overwrite"):
        prepare("mnist", tmp_path / "tfds")
    for file in root.iterdir():
        file.unlink()
    downloads = tmp_path / "tfds" / "downloads"
    downloads.rename(tmp_path / "gone")
    with pytest.raises(DataError, match="mnist could not be prepared"):
        prepare("mnist", tmp_path / "tfds", overwrite=True)
    assert len(load("mnist", tmp_path / "tfds", lambda text: None).train_labels) == N["train"]
    # A try that was stopped left the good one aside and a part of a new one.
    (tmp_path / "tfds/mnist").rename(tmp_path / "tfds/mnist.old")
    (tmp_path / "tfds/mnist").mkdir()
    with pytest.raises(DataError, match="mnist could not be prepared"):
        prepare("mnist", tmp_path / "tfds", overwrite=True)
    assert len(load("mnist", tmp_path / "tfds", lambda text: None).train_labels) == N["train"]


def test_unknown_name(tmp_path):
    with pytest.raises(UsageError, match="did you mean 'mnist'"):
        prepare("mnits", tmp_path)


@pytest.mark.parametrize("damage", ["truncate", "remove", "info", "garble"])
def test_damaged_data_names_the_folder_and_the_remedy(damage, server, tmp_path, monkeypatch):
    serve_mnist(*server, monkeypatch)
    prepared("mnist", tmp_path)
    where = tmp_path / "tfds"
    (records,) = where.glob("mnist/*/*train.array_record*")
    content = records.read_bytes()
    if damage == "truncate":
        records.write_bytes(content[: len(content) // 2])
    elif damage == "garble":
        middle = len(content) // 2
        records.write_bytes(content[:middle] + bytes(200) + content[middle + 200 :])
    elif damage == "remove":
        records.unlink()
    else:
        (info,) = where.glob("mnist/*/dataset_info.json")
        info.write_text(info.read_text()[:100])
    with pytest.raises(DataError, match=r"mnist is damaged .*; run: .*prepare mnist .*--overwrite"):
        load("mnist", where, lambda text: None)


def test_missing_data_names_the_command(tmp_path):
    with pytest.raises(DataError, match=r"run: python -m jaxcl.experiments.prepare emnist/byclass"):
        load("emnist/upper", tmp_path, lambda text: None)


def test_data_in_another_format_are_not_called_damaged(server, tmp_path, monkeypatch):
    """The remedy of damage writes over the folder."""
    serve_mnist(*server, monkeypatch)
    prepared("mnist", tmp_path)
    where = tmp_path / "tfds"
    (info,) = where.glob("mnist/*/dataset_info.json")
    for file in where.glob("mnist/*/*array_record*"):
        file.rename(file.with_name(file.name.replace("array_record", "tfrecord")))
    info.write_text(info.read_text().replace("array_record", "tfrecord"))
    with pytest.raises(
        DataError, match=r"mnist has the format tfrecord, .* --data-dir DIR"
    ) as error:
        load("mnist", where, lambda text: None)
    assert "--overwrite" not in str(error.value)


def test_two_that_prepare_one_data_set_do_not_clear_each_other_away(tmp_path, monkeypatch):
    def build(name, where):
        with pytest.raises(DataError, match=r"mnist is being prepared in .*; wait for that"):
            prepare(name, where, overwrite=True)
        (where / name).mkdir()

    monkeypatch.setattr(prepare_module, "_build", build)
    assert prepare("mnist", tmp_path).exists()
