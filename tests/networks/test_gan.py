from functools import cache

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from jaxcl.growth.parameters import count
from jaxcl.networks.gan import _doubled, _halved, codes, conv_gan, mlp_gan
from jaxcl.transforms import Context, gradient_penalty

SHAPE, N = (8, 4, 2), 3
NETS = {
    "mlp": mlp_gan(SHAPE, latent=5, hidden=(6, 7)),
    "native": conv_gan(SHAPE, latent=5, filters=(3, 4), formulation="native"),
    "patches": conv_gan(SHAPE, latent=5, filters=(3, 4), formulation="patches"),
}
Z = np.random.default_rng(0).normal(size=(N, 5))
X = np.random.default_rng(1).uniform(size=(N, *SHAPE))
CODES, IMAGES = jnp.asarray(Z, jnp.float32), jnp.asarray(X, jnp.float32)


@cache
def started(gan):
    """Weights of both networks; biases begin at 0, where a test could not see them."""
    noise = np.random.default_rng(2)

    def normal(w):
        return jnp.asarray(noise.normal(size=w.shape) / np.sqrt(w.size / w.shape[-1]), w.dtype)

    inits, key = (gan.init_generator, gan.init_critic), jax.random.key(0)
    return tuple(jax.tree.map(normal, jax.eval_shape(init, key)) for init in inits)


def double(tree):
    return jax.tree.map(lambda w: np.asarray(w, np.float64), tree)


@pytest.fixture(params=NETS)
def gan(request):
    return NETS[request.param]


def test_shapes_ranges_and_dtypes(gan):
    generator, critic = started(gan)
    images, scores = gan.generate(generator, CODES), gan.criticise(critic, IMAGES)
    chex.assert_shape(images, (N, *SHAPE))
    chex.assert_shape(scores, (N,))
    assert images.dtype == scores.dtype == jnp.float32
    for leaf in jax.tree.leaves((generator, critic)):
        assert leaf.dtype == jnp.float32
    assert np.std(images) > 0.01
    # The ends of the range are for codes that are far away; scores have no bounds.
    far = np.asarray(gan.generate(generator, 1000 * CODES))
    assert far.min() == pytest.approx(0, abs=1e-6)
    assert far.max() == pytest.approx(1, abs=1e-6)
    far = np.asarray(gan.criticise(critic, 1000 * IMAGES))
    assert np.abs(far).max() > 10


def leaky(x):
    return np.where(x > 0, x, 0.2 * x)


def test_dense_networks_by_hand():
    gan = NETS["mlp"]
    single = started(gan)
    generator, critic = double(single)
    x = np.maximum(Z @ generator["fc1"]["w"] + generator["fc1"]["b"], 0)
    x = np.maximum(x @ generator["fc2"]["w"] + generator["fc2"]["b"], 0)
    x = expit(x @ generator["fc3"]["w"] + generator["fc3"]["b"])
    np.testing.assert_allclose(gan.generate(single[0], CODES), x.reshape(N, *SHAPE), rtol=1e-5)
    x = leaky(X.reshape(N, -1) @ critic["fc1"]["w"] + critic["fc1"]["b"])
    x = leaky(x @ critic["fc2"]["w"] + critic["fc2"]["b"])
    x = x @ critic["fc3"]["w"] + critic["fc3"]["b"]
    np.testing.assert_allclose(gan.criticise(single[1], IMAGES), x[:, 0], rtol=1e-4)


def convolved(x, layer):
    """A 3x3 convolution over zeros around the image, one filter's place at a time."""
    height, width = x.shape[1:3]
    x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    places = [(i, j) for i in range(3) for j in range(3)]
    seen = [x[:, i : i + height, j : j + width] @ layer["w"][i, j] for i, j in places]
    return sum(seen) + layer["b"]


@pytest.mark.parametrize("name", ["native", "patches"])
def test_convolutional_networks_by_hand(name):
    gan = NETS[name]
    single = started(gan)
    generator, critic = double(single)
    x = (Z @ generator["fc1"]["w"] + generator["fc1"]["b"]).reshape(N, 2, 1, 4)
    x = np.asarray(_doubled(jnp.asarray(convolved(np.maximum(x, 0), generator["conv1"]))))
    assert x.shape == (N, 4, 2, 3)
    x = np.asarray(_doubled(jnp.asarray(convolved(np.maximum(x, 0), generator["conv2"]))))
    found = gan.generate(single[0], CODES)
    np.testing.assert_allclose(found, expit(x), rtol=1e-4)
    x = leaky(convolved(np.asarray(_halved(IMAGES)), critic["conv1"]))
    assert x.shape == (N, 4, 2, 3)
    x = leaky(convolved(np.asarray(_halved(jnp.asarray(x))), critic["conv2"]))
    assert x.shape == (N, 2, 1, 4)
    x = x.reshape(N, -1) @ critic["fc1"]["w"] + critic["fc1"]["b"]
    np.testing.assert_allclose(gan.criticise(single[1], IMAGES), x[:, 0], rtol=1e-4, atol=1e-5)


@cache
def jacobians(gan):
    """Of the scores with respect to images, and of images with respect to codes."""
    generator, critic = started(gan)
    slopes = jax.jit(jax.jacobian(gan.criticise, argnums=1))(critic, IMAGES)
    made = jax.jit(jax.jacfwd(gan.generate, argnums=1))(generator, CODES)
    return np.asarray(slopes), np.asarray(made)


def test_a_score_and_an_image_depend_on_one_example_only(gan):
    slopes, made = jacobians(gan)
    for i in range(N):
        for j in range(N):
            assert np.any(slopes[i, j] != 0) == (i == j)
            assert np.any(made[i, ..., j, :] != 0) == (i == j)


def test_no_pixel_is_lost_on_the_way(gan):
    slopes, made = jacobians(gan)
    assert np.all(np.abs(slopes).sum((0, 1)) > 0)
    assert np.all(np.abs(made).sum((0, 4, 5)) > 0)


def test_native_and_patches_agree_in_values_and_gradients():
    def loss(params, gan):
        generator, critic = params

        def scores(p, batch):
            return gan.criticise(p, batch["image"])

        fake = gan.generate(generator, CODES)
        batch = {"image": IMAGES, "fake": fake}
        context = Context(critic, {}, batch, jax.random.key(3), scores)
        plain = gan.criticise(critic, fake)
        # The penalty's gradient takes the derivative of a derivative.
        penalised = gradient_penalty(3.0).apply(jnp.sin(plain).sum(), jnp.float32(3), context)[0]
        return penalised, (fake, plain)

    slope = jax.jit(jax.value_and_grad(loss, has_aux=True), static_argnums=1)
    params = started(NETS["native"])
    found = [slope(params, NETS[name]) for name in ("native", "patches")]
    chex.assert_trees_all_close(*found, rtol=1e-5, atol=1e-5)
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(found[0][1]))


def test_halved_and_doubled_are_inverse():
    x = jnp.arange(2 * 4 * 6 * 3, dtype=jnp.float32).reshape(2, 4, 6, 3)
    small = _halved(x)
    assert small.shape == (2, 2, 3, 12)
    np.testing.assert_array_equal(_doubled(small), x)
    y = x.reshape(2, 2, 3, 12)
    np.testing.assert_array_equal(_halved(_doubled(y)), y)
    # Two by two neighbours meet, each with its three channels.
    np.testing.assert_array_equal(small[1, 1, 2].reshape(2, 2, 3), x[1, 2:4, 4:6])


def counted(gan):
    """Numbers of parameters of generator and critic, without making any."""
    return tuple(
        {name: count(layer) for name, layer in jax.eval_shape(init, jax.random.key(0)).items()}
        for init in (gan.init_generator, gan.init_critic)
    )


def test_weight_counts_of_dense_networks():
    generator, critic = counted(mlp_gan((28, 28, 1)))
    assert generator == {
        "fc1": 100 * 400 + 400,
        "fc2": 400 * 400 + 400,
        "fc3": 400 * 784 + 784,
    }
    assert critic == {"fc1": 784 * 400 + 400, "fc2": 400 * 400 + 400, "fc3": 400 + 1}


def test_weight_counts_of_convolutional_networks():
    generator, critic = counted(conv_gan((32, 28, 3), latent=10))
    flat = 8 * 7 * 64
    assert generator == {
        "fc1": 10 * flat + flat,
        "conv1": 9 * 64 * (4 * 32) + 4 * 32,
        "conv2": 9 * 32 * (4 * 3) + 4 * 3,
    }
    assert critic == {
        "conv1": 9 * (4 * 3) * 32 + 32,
        "conv2": 9 * (4 * 32) * 64 + 64,
        "fc1": flat + 1,
    }


@pytest.mark.parametrize("shape", [(7, 8, 1), (8, 7, 1), (6, 8, 1), (8, 2, 1)])
def test_a_shape_that_cannot_be_halved_is_refused(shape):
    with pytest.raises(ValueError, match=f"{shape[0]}x{shape[1]} cannot be halved 2 times"):
        conv_gan(shape, filters=(2, 3))


@pytest.mark.parametrize(
    "gan", [mlp_gan((8, 8, 2), latent=80, hidden=(200, 150)), conv_gan((8, 8, 2), latent=80)]
)
def test_initial_weights_are_he_normal_and_depend_on_the_key_only(gan):
    init = jax.jit(lambda key: (gan.init_generator(key), gan.init_critic(key)))
    params, again, other = (init(jax.random.key(i)) for i in (0, 0, 1))
    chex.assert_trees_all_equal(params, again)
    for network, elsewhere in zip(params, other, strict=True):
        starts = set()
        for name, layer in network.items():
            w = np.asarray(layer["w"], np.float64)
            assert np.all(w != elsewhere[name]["w"])
            np.testing.assert_array_equal(layer["b"], 0)
            inputs = w.size / w.shape[-1]
            # The variance of n normal values spreads by sqrt(2 / n) of itself.
            assert np.var(w) == pytest.approx(2 / inputs, rel=5 * np.sqrt(2 / w.size))
            starts.add(tuple((w.ravel()[:5] * np.sqrt(inputs)).round(3)))
        assert len(starts) == len(network)  # no layer begins like another, but for its scale


def test_codes_are_standard_normal(key):
    z = np.asarray(codes(key, 5000, 4))
    assert z.shape == (5000, 4)
    assert z.dtype == np.float32
    assert np.abs(z.mean(0)).max() < 4 / np.sqrt(5000)
    np.testing.assert_allclose(np.cov(z.T), np.eye(4), atol=4 * np.sqrt(2 / 5000))
    np.testing.assert_array_equal(z, codes(key, 5000, 4))
    assert np.all(np.asarray(codes(jax.random.key(1), 5000, 4)) != z)
