import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxcl.networks.gan import Gan, mlp_gan
from jaxcl.training.generative.generator import (
    DRAW_BATCH,
    GanProgram,
    Mixture,
    draw,
    make_iteration,
    new_gan_state,
    no_totals,
    run_iterations,
    sample_images,
)
from jaxcl.transforms import LossTransform, chain, gradient_penalty

SHAPE = (2, 3, 1)
GAN = mlp_gan(SHAPE, latent=4, hidden=(8,))
ADAM = optax.adam(1e-2, b1=0.5, b2=0.9)
PROGRAM = GanProgram(GAN, gradient_penalty(1.0), ADAM, 5, 6, 0.9)


def images(n, shape=SHAPE, seed=0):
    return jnp.asarray(np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8))


def mixture(share=1.0, real=None, replayed=None):
    real = images(20) if real is None else real
    return Mixture(real, real[::-2] if replayed is None else replayed, jnp.float32(share))


def trained(program, data, bounds, seed=0, state=None):
    """State and totals after stretches of iterations; what is given is not donated."""
    state = (
        new_gan_state(program, jax.random.key(seed))
        if state is None
        else jax.tree.map(jnp.copy, state)
    )
    totals = no_totals(program, state, data)
    for first, last in bounds:
        state, totals = run_iterations(
            program, state, totals, data, np.int32(first), np.int32(last)
        )
    return state, totals


def kept(tree):
    """Values that outlive a donation."""
    return jax.tree.map(np.array, tree)


# What is learned from.


def constant(value, n=3, shape=SHAPE):
    return jnp.full((n, *shape), value, jnp.uint8)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.9, 1.0])
def test_real_and_replayed_images_have_their_shares(share, key):
    n = 4000
    drawn = np.asarray(draw(mixture(share, constant(255), constant(51)), key, n))
    assert drawn.shape == (n, *SHAPE)
    assert drawn.dtype == np.float32
    # An image is one or the other as a whole, in [0, 1].
    np.testing.assert_array_equal(drawn, np.broadcast_to(drawn[:, :1, :1, :1], drawn.shape))
    value = drawn[:, 0, 0, 0]
    np.testing.assert_allclose(np.sort(np.unique(value)), [0.2] * (share < 1) + [1] * (share > 0))
    assert abs(np.mean(value == 1) - share) <= 4 * np.sqrt(share * (1 - share) / n)


def test_every_image_is_drawn_as_often_whatever_their_numbers(key):
    """Ten real ones and four replayed ones; chi-square with 13 degrees of freedom."""
    real = 10 * jnp.arange(10, dtype=jnp.uint8).reshape(10, 1, 1, 1)
    replayed = 101 + jnp.arange(4, dtype=jnp.uint8).reshape(4, 1, 1, 1)
    n, share = 5000, 0.25
    values = np.asarray(draw(Mixture(real, replayed, jnp.float32(share)), key, n)).ravel()
    found = np.bincount(np.rint(255 * values).astype(int), minlength=105)
    counts = np.concatenate([found[0:100:10], found[101:105]])
    assert counts.sum() == n
    expected = n * np.repeat([share / 10, (1 - share) / 4], [10, 4])
    assert ((counts - expected) ** 2 / expected).sum() < 40  # above in one of ten thousand
    again = draw(Mixture(real, replayed, jnp.float32(share)), key, n)
    np.testing.assert_array_equal(np.asarray(again).ravel(), values)


def test_real_rows_and_replayed_rows_are_drawn_apart(key):
    """Pairs of positions in a batch would otherwise always come together."""
    real = jnp.arange(16, dtype=jnp.uint8).reshape(16, 1, 1, 1)
    data = (Mixture(real, real, jnp.float32(share)) for share in (0, 1))
    replayed, own = (np.asarray(draw(m, key, 2000)).ravel() for m in data)
    assert abs(np.corrcoef(replayed, own)[0, 1]) < 4 / np.sqrt(2000)


# A generator and a critic of one number each, whose training is known.

ONE = (1, 1, 1)
SINGLE = Gan(
    2,
    lambda key: {"b": jnp.float32(0.3)},
    lambda key: {"w": jnp.float32(-0.5)},
    lambda p, z: jnp.broadcast_to(p["b"], (len(z), *ONE)),
    lambda p, x: p["w"] * x[:, 0, 0, 0],
)


QUICK = GanProgram(SINGLE, chain(), optax.sgd(0.1), 2, 4, 0.9)


@pytest.mark.parametrize("critic_steps", [1, 3])
@pytest.mark.slow
def test_iterations_by_hand(critic_steps):
    """D(x) = w x and G(z) = b, with gradient descent, and real images of 0.6."""
    lr, a, w, b = 0.1, 0.6, -0.5, 0.3
    program = GanProgram(SINGLE, chain(), optax.sgd(lr), critic_steps, 4, 0.0)
    data = mixture(1.0, constant(153, shape=ONE), constant(0, shape=ONE))
    state = new_gan_state(program, jax.random.key(0))
    iterate = jax.jit(make_iteration(program))
    for k in range(4):
        assert int(state.step) == k
        state, metrics = iterate(state, data)
        before = w + lr * (critic_steps - 1) * (a - b)  # at the critic's last step
        w = before + lr * (a - b)
        np.testing.assert_allclose(metrics["critic"], before * (b - a), rtol=1e-5)
        np.testing.assert_allclose(metrics["wasserstein"], before * (a - b), rtol=1e-5)
        np.testing.assert_allclose(metrics["loss"], -w * b, rtol=1e-5)
        b = b + lr * w  # the generator follows the critic that has improved
        np.testing.assert_allclose(state.critic["w"], w, rtol=1e-5)
        np.testing.assert_allclose(state.generator["b"], b, rtol=1e-5)


def test_the_critic_sees_replayed_images_in_their_share():
    """It climbs by the mean of what is real to it, here 1 in a quarter of all images."""
    program = GanProgram(SINGLE, chain(), optax.sgd(1.0), 1, 2000, 0.0)
    data = mixture(0.25, constant(255, shape=ONE), constant(0, shape=ONE))
    state, _ = jax.jit(make_iteration(program))(new_gan_state(program, jax.random.key(0)), data)
    share = float(state.critic["w"]) + 0.5 + 0.3
    assert abs(share - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 2000)


def test_every_step_of_the_critic_has_codes_of_its_own():
    """It falls by the mean of the codes: over k steps the variance is k / n, if they differ."""
    gan = SINGLE._replace(generate=lambda p, z: z[:, :1].reshape(-1, *ONE) + 0 * p["b"])
    k, n, iterations = 4, 5, 400
    program = GanProgram(gan, chain(), optax.sgd(1.0), k, n, 0.0)
    data = mixture(1.0, constant(0, shape=ONE))
    iterate = make_iteration(program)

    @jax.jit
    def walk(state):
        def one(state, _):
            state, _ = iterate(state, data)
            return state, state.critic["w"]

        return jax.lax.scan(one, state, length=iterations)[1]

    moves = np.diff(np.asarray(walk(new_gan_state(program, jax.random.key(0))), np.float64))
    assert len(set(moves)) > 0.98 * len(moves)
    np.testing.assert_allclose(moves.var(), k / n, rtol=5 * np.sqrt(2 / iterations))
    assert abs(np.corrcoef(moves[1:], moves[:-1])[0, 1]) < 4 / np.sqrt(iterations)


REAL_POINT, FAKE_POINT = np.array([204, 51]) / 255, np.array([0.4, 0.5])


def test_against_a_frozen_generator_the_critic_falls_to_the_best_loss_there_is():
    """Between two points at distance d, a slope of 1 + d / 2 lambda costs least.

    By convexity no critic does better than one of the same slope s all the way, and
    ``-s d + lambda (s - 1)^2`` is least there.
    """
    gan, strength = mlp_gan((1, 1, 2), latent=2, hidden=(16,)), 2.0

    def generate(params, z):
        frozen = 0 * sum(leaf.sum() for leaf in jax.tree.leaves(params))
        point = jnp.asarray(FAKE_POINT, jnp.float32).reshape(1, 1, 1, 2) + frozen
        return jnp.broadcast_to(point, (len(z), 1, 1, 2))

    gan, slow = gan._replace(generate=generate), optax.adam(1e-3, b1=0.5, b2=0.9)
    program = GanProgram(gan, gradient_penalty(strength), slow, 5, 16, 0.9)
    data = mixture(1.0, jnp.asarray([[[[204, 51]]]], jnp.uint8))
    state = new_gan_state(program, jax.random.key(0))
    first, losses = kept(state.generator), []
    for _ in range(8):
        state, totals = trained(program, data, [(0, 20)], state=state)
        losses.append({name: float(value) / 20 for name, value in totals.sums.items()})
    chex.assert_trees_all_equal(state.generator, first)
    distance = np.linalg.norm(REAL_POINT - FAKE_POINT)
    least, slope = -distance - distance**2 / (4 * strength), 1 + distance / (2 * strength)
    critic = [x["critic"] for x in losses]
    assert critic[0] > critic[1] > critic[2] > least - 1e-3
    assert critic[0] > least + 0.05
    assert critic[-1] == pytest.approx(least, rel=0.005)
    assert losses[-1]["wasserstein"] == pytest.approx(slope * distance, rel=0.02)
    assert losses[-1]["penalty"] == pytest.approx((slope - 1) ** 2, rel=0.1)


# The loop.


@pytest.mark.parametrize("cuts", [[(0, 7)], [(0, 1), (1, 4), (4, 7)], [(0, 3), (3, 3), (3, 7)]])
def test_it_does_not_matter_where_iterations_are_cut(cuts):
    data = mixture(0.5)
    state, totals = trained(PROGRAM, data, cuts)
    whole, whole_totals = trained(PROGRAM, data, [(0, 7)])
    chex.assert_trees_all_equal(state._replace(key=None), whole._replace(key=None))
    chex.assert_trees_all_equal(totals, whole_totals)
    assert int(state.step) == 7


def test_the_loop_is_iterations_one_after_the_other():
    data, iterate = mixture(0.5, images(5, ONE)), jax.jit(make_iteration(QUICK))
    state, sums = new_gan_state(QUICK, jax.random.key(0)), {}
    for _ in range(3):
        state, metrics = iterate(state, data)
        sums = {name: value + sums.get(name, 0) for name, value in metrics.items()}
    found, totals = trained(QUICK, data, [(0, 3)])
    chex.assert_trees_all_close(found._replace(key=None), state._replace(key=None), rtol=1e-5)
    assert set(totals.sums) == {"loss", "critic", "wasserstein"}
    chex.assert_trees_all_close(totals.sums, sums, rtol=1e-5)
    assert int(totals.bad_step) == -1


def test_totals_begin_at_nothing():
    totals = no_totals(PROGRAM, new_gan_state(PROGRAM, jax.random.key(0)), mixture())
    assert set(totals.sums) == {"loss", "critic", "wasserstein", "penalty"}
    chex.assert_trees_all_equal(totals.sums, jax.tree.map(jnp.zeros_like, totals.sums))
    assert int(totals.bad_step) == -1


def test_one_compilation_serves_all_stretches_shares_and_seeds():
    traced = chex.assert_max_traces(run_iterations.__wrapped__, n=1)
    compiled = jax.jit(traced, static_argnames="program")
    state = new_gan_state(QUICK, jax.random.key(0))
    for seed, (share, bounds) in enumerate([(0.5, (0, 1)), (0.25, (1, 3)), (1.0, (3, 6))]):
        data = mixture(share, images(5, ONE))
        again = state._replace(key=jax.random.key(seed))
        compiled(QUICK, again, no_totals(QUICK, again, data), data, *map(np.int32, bounds))


@pytest.mark.parametrize("critic_steps", [1, 5])
def test_the_critic_makes_its_steps_for_each_of_the_generator(critic_steps):
    program = QUICK._replace(optimizer=ADAM, critic_steps=critic_steps)
    state, _ = trained(program, mixture(0.5, images(5, ONE)), [(0, 3)])
    assert int(optax.tree_utils.tree_get(state.critic_opt, "count")) == 3 * critic_steps
    assert int(optax.tree_utils.tree_get(state.generator_opt, "count")) == 3


@pytest.mark.parametrize("decay", [0.0, 0.15, 0.999])
def test_the_running_average_by_hand(decay):
    """Kept is the decay, or (1 + k) / (10 + k) in iteration k if that is less."""
    program, data = QUICK._replace(decay=decay), mixture(0.5, images(5, ONE))
    state, iterate = new_gan_state(program, jax.random.key(0)), jax.jit(make_iteration(program))
    chex.assert_trees_all_equal(state.average, state.generator)
    average, numbers = 0.3, []
    for keeps in [min(decay, early) for early in (1 / 10, 2 / 11, 3 / 12, 4 / 13)]:
        state, _ = iterate(state, data)
        numbers.append(float(state.generator["b"]))
        average = keeps * average + (1 - keeps) * numbers[-1]
        np.testing.assert_allclose(state.average["b"], average, rtol=1e-5)
        assert (float(state.average["b"]) == numbers[-1]) == (decay == 0)
    assert len(set(numbers)) == 4


def test_the_average_has_no_say_in_training():
    data = mixture(0.5, images(5, ONE))
    one, other = (trained(QUICK._replace(decay=d), data, [(0, 4)])[0] for d in (0.0, 0.9))
    chex.assert_trees_all_close(one.generator, other.generator, rtol=1e-6)
    chex.assert_trees_all_close(one.critic, other.critic, rtol=1e-6)
    assert float(one.average["b"]) != float(other.average["b"])


def test_the_key_of_the_phase_decides():
    data = mixture(0.5)
    begun = new_gan_state(PROGRAM, jax.random.key(0))
    one, again, other = (
        trained(PROGRAM, data, [(0, 2)], state=begun._replace(key=jax.random.key(i)))[0].generator
        for i in (1, 1, 2)
    )
    chex.assert_trees_all_equal(one, again)
    assert np.any(one["fc1"]["w"] != other["fc1"]["w"])


def test_fresh_networks_depend_on_the_key_and_share_no_memory():
    one, again, other = (new_gan_state(PROGRAM, jax.random.key(i)) for i in (0, 0, 1))
    chex.assert_trees_all_equal(one._replace(key=None), again._replace(key=None))
    for name in ("generator", "critic"):
        for layer, values in getattr(one, name).items():
            assert np.all(values["w"] != getattr(other, name)[layer]["w"])
    leaves = jax.tree.leaves(one._replace(key=None))
    assert len({leaf.unsafe_buffer_pointer() for leaf in leaves}) == len(leaves)


def broken(loss, state, context):
    """A loss that is no number once the generator has made bright images."""
    bright = context.batch["fake"].mean() > 0.75
    return jnp.where(bright, jnp.nan, loss), {}


def test_the_first_loss_that_is_not_finite_is_found():
    """G(z) = b rises by w in each iteration, and the critic stays as it is."""
    gan = SINGLE._replace(
        init_critic=lambda key: {"w": jnp.float32(1)},
        criticise=lambda p, x: jax.lax.stop_gradient(p["w"]) * x[:, 0, 0, 0],
    )
    transform = LossTransform(lambda params: (), broken)
    program = GanProgram(gan, transform, optax.sgd(0.1), 2, 4, 0.0)
    data = mixture(1.0, constant(0, shape=ONE))
    # 0.3, 0.4, ... : above 0.75 for the first time in the sixth iteration.
    for first, bounds in ((0, [(0, 9)]), (0, [(0, 6), (6, 9)]), (40, [(40, 43), (43, 49)])):
        _, totals = trained(program, data, bounds)
        assert int(totals.bad_step) == first + 5
    assert int(trained(program, data, [(0, 5)])[1].bad_step) == -1


# What is drawn from a generator.


def test_samples_are_bytes_that_the_key_decides(key):
    generator = new_gan_state(PROGRAM, key).generator
    found, again, other = (
        np.asarray(sample_images(GAN, generator, jax.random.key(i), 7)) for i in (0, 0, 1)
    )
    assert found.shape == (7, *SHAPE)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, again)
    assert np.all(np.any(found != other, axis=(1, 2, 3)))
    assert len(np.unique(found.reshape(7, -1), axis=0)) == 7


def test_more_samples_than_are_drawn_at_once_are_all_different(key):
    generator = new_gan_state(PROGRAM, key).generator
    n = 2 * DRAW_BATCH + 3
    many = np.asarray(sample_images(GAN, generator, key, n))
    assert many.shape == (n, *SHAPE)
    # Bytes of a narrow range may agree by chance, but not row by row with another draw.
    assert np.mean(np.all(many[:DRAW_BATCH] == many[DRAW_BATCH:-3], axis=(1, 2, 3))) < 0.05
    np.testing.assert_array_equal(sample_images(GAN, generator, key, 9), many[:9])


def test_samples_are_rounded_to_the_nearest_byte(key):
    for value, byte in ((0.0, 0), (1.0, 255), (0.5 / 255 + 1e-4, 1), (100.4 / 255, 100)):
        found = sample_images(SINGLE, {"b": jnp.float32(value)}, key, 3)
        np.testing.assert_array_equal(found, np.full((3, *ONE), byte))


CIRCLE = GanProgram(
    mlp_gan((1, 1, 2), latent=2, hidden=(64, 64)),
    gradient_penalty(0.1),
    optax.adam(2e-3, b1=0.5, b2=0.9),
    5,
    128,
    0.99,
)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_eight_gaussians_on_a_circle_are_covered(seed, key):
    """Four of them are real and four replayed, in equal shares."""
    angles = np.arange(8) * np.pi / 4
    centres = 0.5 + 0.35 * np.stack([np.cos(angles), np.sin(angles)], 1)
    points = centres.repeat(500, 0) + 0.02 * np.random.default_rng(0).normal(size=(4000, 2))
    pixels = jnp.asarray(np.rint(255 * points).reshape(-1, 1, 1, 2), jnp.uint8)
    data = Mixture(pixels[:2000], pixels[2000:], jnp.float32(0.5))
    state, totals = trained(CIRCLE, data, [(0, 2000)], seed)
    assert int(totals.bad_step) == -1
    n = 2000
    found = np.asarray(sample_images(CIRCLE.gan, state.average, key, n), np.float64)
    distances = np.linalg.norm(found.reshape(n, 1, 2) / 255 - centres, axis=-1)
    near = distances.min(1) < 4 * 0.02
    shares = np.bincount(distances.argmin(1)[near], minlength=8) / n
    # A share of 1/8 each; discs of this size are a sixth of the square.
    assert near.mean() > 0.65
    assert shares.min() > 0.04
    assert shares.max() < 0.2
