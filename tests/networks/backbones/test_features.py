"""Features of many images are those of the backbone, batch by batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.networks.backbones import EfficientNetLite0, preprocess
from jaxcl.networks.backbones import features as module


@pytest.mark.slow
def test_features_are_the_networks_in_evaluation_mode(monkeypatch, key):
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), np.uint8)
    seen = preprocess(jnp.asarray(images, jnp.float32) / 255, 32)
    net = EfficientNetLite0()
    variables = jax.jit(net.init)(key, seen)
    monkeypatch.setattr(module, "efficientnet_lite0_variables", lambda: variables)
    monkeypatch.setattr(module, "BATCH", 2)
    found = module.lite0_features(32)(images)
    assert (found.shape, found.dtype) == ((5, 1280), np.float32)
    expected = jax.jit(net.apply)(variables, seen)
    assert float(jnp.abs(expected).max()) > 0
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_the_tag_tells_weights_and_size_apart(monkeypatch):
    tags = {module.lite0_tag(size) for size in (32, 64)}
    monkeypatch.setattr(module, "SHA256", "0" * 64)
    assert len(tags | {module.lite0_tag(32)}) == 3
