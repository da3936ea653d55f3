import by_hand
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.core.errors import UsageError
from jaxcl.growth.parameters import count
from jaxcl.networks.backbones import ResNet, resnet18, resnet32

IMAGES = jnp.asarray(np.random.default_rng(0).normal(size=(3, 6, 5, 2)), jnp.float32)
SMALL = {
    "projection": ResNet((3, 4), (2, 1)),
    "zeros": ResNet((3, 5), (1, 2), "zeros"),
}


def shapes(net, size=32):
    images = jnp.zeros((1, size, size, 3))
    return jax.eval_shape(lambda: net.init(jax.random.key(0), images, train=False))


def small(shortcut):
    net = SMALL[shortcut]
    variables = jax.eval_shape(lambda: net.init(jax.random.key(0), IMAGES, train=False))
    return net, by_hand.drawn(variables)


def block_size(inputs, features, projection):
    """Two convolutions of 3x3 and two normalisations; perhaps one of 1x1 and a third."""
    size = 9 * inputs * features + 9 * features**2 + 4 * features
    return size + (inputs * features + 2 * features if projection else 0)


def test_count_of_resnet18_in_closed_form():
    for width, known in ((64, 11_168_832), (20, 1_093_140)):
        size = 27 * width + 2 * width
        size += 2 * block_size(width, width, False)
        for w in (2 * width, 4 * width, 8 * width):
            size += block_size(w // 2, w, True) + block_size(w, w, False)
        assert count(shapes(resnet18(width))["params"]) == size == known


def test_count_of_resnet32_in_closed_form():
    size = 27 * 16 + 2 * 16 + 5 * block_size(16, 16, False)
    for w in (32, 64):
        size += block_size(w // 2, w, False) + 4 * block_size(w, w, False)
    # With a classifier of 10 classes 464,154: the 0.46 million of He et al. 2016, table 6.
    assert count(shapes(resnet32())["params"]) == size == 464_154 - 650


@pytest.mark.parametrize("net", [resnet18(20), resnet32(4)], ids=["resnet18", "resnet32"])
def test_layers_name_the_parameters(net):
    variables = shapes(net)
    assert sorted(net.layers) == sorted(variables["params"])
    assert set(variables["params"]["conv1"]) == {"kernel"}
    assert set(variables["batch_stats"]["stage2_block1"]["bn2"]) == {"mean", "var"}
    block = {"conv1", "bn1", "conv2", "bn2"}
    assert set(variables["params"]["stage1_block1"]) == block
    extra = {"shortcut_conv", "shortcut_bn"} if net.shortcut == "projection" else set()
    assert set(variables["params"]["stage2_block1"]) == block | extra
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(variables))


def test_features_and_the_sizes_of_the_stages():
    for net, sizes in ((resnet18(20), (32, 16, 8, 4)), (resnet32(), (32, 16, 8))):
        images = jnp.zeros((2, 32, 32, 3))
        out, state = jax.eval_shape(
            lambda net=net, images=images: net.apply(
                net.init(jax.random.key(0), images, train=False),
                images,
                train=False,
                capture_intermediates=True,
            )
        )
        assert out.shape == (2, net.features)
        assert out.dtype == jnp.float32
        for i, size in enumerate(sizes):
            block = state["intermediates"][f"stage{i + 1}_block1"]["__call__"][0]
            assert block.shape == (2, size, size, net.widths[i])


def features_by_hand(net, variables, x, train):
    params, stats = by_hand.double(variables["params"]), by_hand.double(variables["batch_stats"])

    def step(x, place, conv, bn, stride=1):
        (p, s), kernel = (place(params), place(stats)), place(params)[conv]["kernel"]
        x = by_hand.convolve(x, kernel, stride, by_hand.even(len(kernel)))
        return by_hand.normalise(x, p[bn], s[bn], train)

    x = np.maximum(step(np.asarray(x, np.float64), lambda tree: tree, "conv1", "bn1"), 0)
    for name in net.layers[2:]:
        stride = 2 if name.endswith("block1") and not name.startswith("stage1") else 1
        place = lambda tree, name=name: tree[name]  # noqa: E731
        y = np.maximum(step(x, place, "conv1", "bn1", stride), 0)
        y = step(y, place, "conv2", "bn2")
        if "shortcut_conv" in params[name]:
            x = step(x, place, "shortcut_conv", "shortcut_bn", stride)
        elif stride == 2:
            empty = np.zeros((*y.shape[:3], y.shape[3] - x.shape[3]))
            x = np.concatenate([x[:, 0::2, 0::2], empty], axis=-1)
        x = np.maximum(x + y, 0)
    return x.sum((1, 2)) / x.shape[1] / x.shape[2]


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("shortcut", SMALL)
def test_features_by_hand(shortcut, train):
    net, variables = small(shortcut)
    found = net.apply(variables, IMAGES, train=train, mutable=["batch_stats"] if train else False)
    features = found[0] if train else found
    expected = features_by_hand(net, variables, IMAGES, train)
    assert expected.std() > 0.05
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shortcut", SMALL)
def test_statistics_move_by_a_tenth_in_training_and_not_in_evaluation(shortcut):
    net, variables = small(shortcut)
    _, same = net.apply(variables, IMAGES, train=False, mutable=["batch_stats"])
    jax.tree.map(np.testing.assert_array_equal, same["batch_stats"], variables["batch_stats"])
    _, moved = net.apply(variables, IMAGES, train=True, mutable=["batch_stats"])
    for before, after in zip(
        jax.tree.leaves(variables["batch_stats"]),
        jax.tree.leaves(moved["batch_stats"]),
        strict=True,
    ):
        assert (before != np.asarray(after)).all()
    kernel = np.float64(variables["params"]["conv1"]["kernel"])
    x = by_hand.convolve(np.float64(IMAGES), kernel, 1, by_hand.even(3))
    for name, value in (("mean", x.mean((0, 1, 2))), ("var", x.var((0, 1, 2)))):
        old = variables["batch_stats"]["bn1"][name]
        expected = 0.9 * old + 0.1 * value
        np.testing.assert_allclose(moved["batch_stats"]["bn1"][name], expected, rtol=1e-5)


def test_in_evaluation_an_image_is_alone_and_in_training_it_is_not():
    net, variables = small("projection")
    others = jnp.concatenate([IMAGES[:1], 3 * IMAGES[1:] + 1])

    def first(images, train):
        return np.asarray(net.apply(variables, images, train=train, mutable=["batch_stats"])[0])[0]

    np.testing.assert_allclose(first(IMAGES, False), first(others, False), rtol=1e-6)
    assert np.abs(first(IMAGES, True) - first(others, True)).max() > 0.01


def test_first_weights_are_normal_with_the_variance_of_the_outputs():
    variables = resnet18(32).init(jax.random.key(1), jnp.zeros((1, 8, 8, 3)), train=False)
    for name, inputs, features in (("stage2_block1", 32, 64), ("stage4_block2", 256, 256)):
        kernel = np.asarray(variables["params"][name]["conv1"]["kernel"])
        assert kernel.shape == (3, 3, inputs, features)
        assert kernel.std() * np.sqrt(9 * features / 2) == pytest.approx(1, abs=0.03)
        # Not cut off: 0.27 % lie beyond three deviations.
        assert (np.abs(kernel) > 3 * kernel.std()).mean() == pytest.approx(0.0027, rel=0.4)
    bn = variables["params"]["stage2_block1"]["bn2"]
    assert (np.asarray(bn["scale"]) == 1).all()
    assert (np.asarray(bn["bias"]) == 0).all()


def test_one_function_computes_all_convolutions():
    calls = []

    def counted(x, kernel, *args, **kwargs):
        calls.append(kernel.shape[0])
        return jax.lax.conv_general_dilated(x, kernel, *args, **kwargs)

    for net, ones in ((resnet18(2, conv=counted), 3), (resnet32(2, conv=counted), 0)):
        calls.clear()
        variables = shapes(net)
        assert calls.count(1) == ones
        assert calls.count(3) + ones == sum(
            path[-1].key == "kernel"
            for path, _ in jax.tree_util.tree_flatten_with_path(variables["params"])[0]
        )


def test_gradients_reach_every_parameter():
    net, variables = small("projection")

    def loss(params):
        features, _ = net.apply(
            {**variables, "params": params}, IMAGES, train=True, mutable=["batch_stats"]
        )
        return (features**2).sum()

    for gradient in jax.tree.leaves(jax.jit(jax.grad(loss))(variables["params"])):
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 1e-4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: resnet18(0), r"^width: 0; give 1 channel or more$"),
        (lambda: resnet32(-1), r"^width: -1; give 1 channel or more$"),
        (lambda: ResNet((4, 8), (2,)), r"^blocks: \(2,\) .* widths \(4, 8\); give one"),
        (lambda: ResNet((), ()), r"^blocks: "),
        (lambda: ResNet((4, 8), (2, 0)), r"^blocks: 0 in \(2, 0\); give 1 or more$"),
        (lambda: ResNet((0, 8), (2, 2)), r"^widths: 0 in \(0, 8\); give 1 or more$"),
        (lambda: ResNet((8, 4), (1, 1), "zeros"), r"^widths: \(8, 4\) get smaller.*projection'$"),
    ],
)
def test_fields_that_make_no_network(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def test_uniform_filters_fill_the_interval_of_their_inputs():
    """Even on +-1/sqrt(fan in): variance 1 / (3 fan in), a sixth of He's where none changes."""
    params = resnet18(8, initial="uniform").init(jax.random.key(0), IMAGES, train=False)["params"]
    for name, inputs in (("stage2_block2", 16), ("stage4_block2", 64)):
        filters = np.asarray(params[name]["conv2"]["kernel"])
        bound = (9 * inputs) ** -0.5
        assert 0.99 * bound < np.abs(filters).max() <= bound
        assert filters.var() == pytest.approx(bound**2 / 3, rel=0.05)
        assert abs(filters.mean()) < 0.03 * bound
    he = resnet18(8).init(jax.random.key(0), IMAGES, train=False)["params"]
    ratio = np.asarray(he["stage4_block2"]["conv2"]["kernel"]).var() / filters.var()
    assert ratio == pytest.approx(6, rel=0.05)
