import by_hand
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.core.errors import UsageError
from jaxcl.growth.parameters import count
from jaxcl.networks.backbones import EfficientNetLite0, preprocess
from jaxcl.networks.backbones.efficientnet import InvertedBottleneck

X = jnp.asarray(np.random.default_rng(0).normal(size=(2, 6, 5, 3)), jnp.float32)


def shapes(size=64):
    images = jnp.zeros((1, size, size, 3))
    net = EfficientNetLite0()
    return jax.eval_shape(lambda: net.init(jax.random.key(0), images, train=False))


def test_count_is_the_published_one():
    # Inputs, expansion, kernel, outputs of all blocks, as in the paper's table 1.
    blocks = [(32, 1, 3, 16), (16, 6, 3, 24), (24, 6, 3, 24), (24, 6, 5, 40), (40, 6, 5, 40)]
    blocks += [(40, 6, 3, 80), *[(80, 6, 3, 80)] * 2, (80, 6, 5, 112), *[(112, 6, 5, 112)] * 2]
    blocks += [(112, 6, 5, 192), *[(192, 6, 5, 192)] * 3, (192, 6, 3, 320)]
    size = 27 * 32 + 2 * 32 + 320 * 1280 + 2 * 1280
    for inputs, expansion, kernel, outputs in blocks:
        inner = inputs * expansion
        size += (inputs * inner + 2 * inner) * (expansion > 1)
        size += kernel**2 * inner + 2 * inner + inner * outputs + 2 * outputs
    # Published with a classifier of 1,000 classes: 4.65 million.
    assert count(shapes()["params"]) == size == 4_652_008 - 1280 * 1000 - 1000


def test_layers_name_the_parameters():
    variables, net = shapes(), EfficientNetLite0()
    assert sorted(net.layers) == sorted(variables["params"])
    assert len(net.layers) == 2 + 16 + 2
    layers = {f"{part}_{kind}" for part in ("depthwise", "project") for kind in ("conv", "bn")}
    assert set(variables["params"]["stage1_block1"]) == layers
    assert set(variables["params"]["stage6_block4"]) == layers | {"expand_conv", "expand_bn"}
    assert variables["params"]["stage3_block1"]["depthwise_conv"]["kernel"].shape == (5, 5, 1, 144)


def test_sizes_of_the_stages():
    net, images = EfficientNetLite0(), jnp.zeros((1, 224, 224, 3))
    out, state = jax.eval_shape(
        lambda: net.apply(
            net.init(jax.random.key(0), images, train=False), images, capture_intermediates=True
        )
    )
    assert out.shape == (1, net.features) == (1, 1280)
    sizes = [112, 56, 28, 14, 14, 7, 7]
    features = [16, 24, 40, 80, 112, 192, 320]
    for i, (size, width) in enumerate(zip(sizes, features, strict=True)):
        block = state["intermediates"][f"stage{i + 1}_block1"]["__call__"][0]
        assert block.shape == (1, size, size, width)


def block_by_hand(x, variables, kernel, stride, expansion):
    params, stats = by_hand.double(variables["params"]), by_hand.double(variables["batch_stats"])
    x = y = np.asarray(x, np.float64)

    def normalised(y, name):
        return by_hand.normalise(y, params[name], stats[name], False, 1e-3)

    if expansion > 1:
        y = y @ params["expand_conv"]["kernel"][0, 0]
        y = np.clip(normalised(y, "expand_bn"), 0, 6)
    pads = [by_hand.same(size, kernel, stride) for size in x.shape[1:3]]
    y = by_hand.convolve(y, params["depthwise_conv"]["kernel"], stride, pads, depthwise=True)
    y = np.clip(normalised(y, "depthwise_bn"), 0, 6)
    y = normalised(y @ params["project_conv"]["kernel"][0, 0], "project_bn")
    return x + y if x.shape == y.shape else y


@pytest.mark.parametrize(
    ("features", "kernel", "stride", "expansion"),
    [(3, 3, 1, 6), (3, 3, 1, 1), (4, 5, 1, 2), (4, 5, 2, 6), (3, 3, 2, 6)],
)
def test_block_by_hand(features, kernel, stride, expansion):
    block = InvertedBottleneck(features, kernel, stride, expansion)
    variables = by_hand.drawn(block.init(jax.random.key(0), X))
    variables["batch_stats"]["depthwise_bn"]["var"][0] = 1e-3  # epsilon and the 6 are seen
    expected = block_by_hand(X, variables, kernel, stride, expansion)
    np.testing.assert_allclose(block.apply(variables, X), expected, rtol=1e-4, atol=1e-5)


def test_features_by_hand():
    net, images = EfficientNetLite0(), jnp.concatenate([X, 4 * X], axis=2)  # 6 rows, 10 columns
    variables = jax.tree.map_with_path(
        lambda path, leaf: 1.5 * leaf if path[-1].key == "scale" else leaf,  # seen at the end
        by_hand.drawn(shapes()),
    )
    variables["params"]["head_bn"]["scale"] *= 4
    params, stats = by_hand.double(variables["params"]), by_hand.double(variables["batch_stats"])
    pads = [by_hand.same(size, 3, 2) for size in images.shape[1:3]]
    x = by_hand.convolve(np.asarray(images, np.float64), params["conv1"]["kernel"], 2, pads)
    x = np.clip(by_hand.normalise(x, params["bn1"], stats["bn1"], False, 1e-3), 0, 6)
    for name in net.layers[2:-2]:
        own = {key: variables[key][name] for key in variables}
        kernel = len(own["params"]["depthwise_conv"]["kernel"])
        stride = 2 if name[5] in "2346" and name.endswith("block1") else 1
        x = block_by_hand(x, own, kernel, stride, 1 if name == "stage1_block1" else 6)
    x = x @ params["head_conv"]["kernel"][0, 0]
    x = np.clip(by_hand.normalise(x, params["head_bn"], stats["head_bn"], False, 1e-3), 0, 6)
    assert (x == 6).any()
    assert (x == 0).any()
    assert np.abs(x[0] - x[1]).max() > 1
    found = jax.jit(net.apply)(variables, images)
    np.testing.assert_allclose(found, x.mean((1, 2)), atol=2e-4)


def test_one_function_computes_all_convolutions():
    groups = []

    def counted(x, kernel, *args, **kwargs):
        groups.append(kwargs["feature_group_count"])
        return jax.lax.conv_general_dilated(x, kernel, *args, **kwargs)

    net = EfficientNetLite0(conv=counted)
    jax.eval_shape(lambda: net.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)), train=False))
    assert len(groups) == 2 + 3 * 16 - 1
    assert sum(number > 1 for number in groups) == 16


def test_training_is_refused():
    net = EfficientNetLite0()
    with pytest.raises(UsageError, match=r"^train: True, .*; give train=False"):
        net.apply(shapes(), jnp.zeros((1, 32, 32, 3)), train=True)


def test_preprocessing_by_hand():
    images = jnp.array([0, 127 / 255, 1, 0.5], jnp.float32).reshape(1, 2, 2, 1)
    images = jnp.tile(images, (1, 16, 16, 1))
    found = np.asarray(preprocess(images, 32))
    assert found.shape == (1, 32, 32, 3)
    assert found.dtype == np.float32
    expected = np.array([[-127 / 128, 0], [1, 0.5 / 128]])
    for channel in range(3):
        np.testing.assert_allclose(found[0, :2, :2, channel], expected, atol=1e-6)


def test_preprocessing_enlarges_along_straight_lines():
    # Pixels' centres: pixel j of 64 lies at (j + 0.5) / 2 - 0.5 of 32.
    rows = np.arange(32) / 31
    images = np.broadcast_to(rows[None, :, None, None], (2, 32, 32, 3)) * [0.5, 0.75, 1]
    found = np.asarray(preprocess(jnp.asarray(images, jnp.float32), 64))
    places = np.clip((np.arange(64) + 0.5) / 2 - 0.5, 0, 31) / 31
    for channel, brightness in enumerate((0.5, 0.75, 1)):
        expected = (255 * brightness * places - 127) / 128
        np.testing.assert_allclose(found[1, :, 7, channel], expected, atol=1e-5)
    assert preprocess(jnp.zeros((1, 8, 8, 3))).shape == (1, 224, 224, 3)


@pytest.mark.parametrize(
    ("channels", "size", "message"),
    [
        (2, 64, r"^images: 2 channels; give 1 \(grey\) or 3"),
        (4, 64, r"^images: 4 channels; give 1 \(grey\) or 3"),
        (3, 31, r"^size: 31 pixels; give 32 or more, at best 224$"),
    ],
)
def test_images_that_do_not_fit(channels, size, message):
    with pytest.raises(UsageError, match=message):
        preprocess(jnp.zeros((1, 8, 8, channels)), size)
