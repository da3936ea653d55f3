"""Training a generator against its critic, in one loop on the device."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxcl.core.pytree import copy
from jaxcl.core.random import stream
from jaxcl.core.sharding import DATA, along
from jaxcl.core.types import Array, Batch, Int, Metrics, Params, PRNGKey, PyTree, Scalar, UInt8
from jaxcl.networks.gan import Gan, codes
from jaxcl.scenarios.images import to_float
from jaxcl.training.loop import OneStep, Totals, run_loop, zero_totals
from jaxcl.transforms import Context, LossTransform
from jaxcl.transforms.wgan_gp import FAKE, REAL, critic_loss, generator_loss

DRAW_BATCH = 500


class GanProgram(NamedTuple):
    """What an iteration is compiled from: static, hashable, the same for every seed.

    Attributes:
      gan: the two networks.
      transform: what is done to the critic's loss.
      optimizer: an optax transformation, used for each network.
      critic_steps: of the critic, for each step of the generator.
      batch_size: examples in a step of either.
      decay: of the running average of the generator's weights, in [0, 1); 0 for none.
    """

    gan: Gan
    transform: LossTransform
    optimizer: optax.GradientTransformation
    critic_steps: int
    batch_size: int
    decay: float


class GanState(NamedTuple):
    """Arrays only, so it is donated and saved as one tree.

    Attributes:
      step: the generator's steps in this phase, int32.
      generator: its parameters.
      critic: its parameters.
      average: the running average of the generator's parameters.
      generator_opt: the optimiser's state.
      critic_opt: the optimiser's state.
      transform_state: the state of the critic's loss transform.
      key: the key of this phase.
    """

    step: Int[Array, ""]
    generator: Params
    critic: Params
    average: Params
    generator_opt: PyTree
    critic_opt: PyTree
    transform_state: PyTree
    key: PRNGKey


class Mixture(NamedTuple):
    """What a generator learns from.

    Attributes:
      real: images of the task.
      replayed: images of the generator before; those of the task where there is none.
      share: of real images among all, float32 scalar.
    """

    real: UInt8[Array, "n height width channels"]
    replayed: UInt8[Array, "m height width channels"]
    share: Scalar


def new_gan_state(program: GanProgram, key: PRNGKey) -> GanState:
    """Returns fresh weights; the key becomes a part of the state, and is given away with it."""
    generator = program.gan.init_generator(stream(key, "generator"))
    critic = program.gan.init_critic(stream(key, "critic"))
    return GanState(
        jnp.zeros((), jnp.int32),
        generator,
        critic,
        copy(generator),
        program.optimizer.init(generator),
        program.optimizer.init(critic),
        program.transform.init(critic),
        key,
    )


def draw(mixture: Mixture, key: PRNGKey, n: int) -> Array:
    """Draws ``n`` images as float32 in [0, 1], each real with the mixture's probability."""
    which, real, replayed = jax.random.split(key, 3)
    own = jax.random.bernoulli(which, mixture.share, (n, 1, 1, 1))
    rows = jax.random.randint(real, (n,), 0, len(mixture.real))
    others = jax.random.randint(replayed, (n,), 0, len(mixture.replayed))
    images = jnp.where(own, mixture.real[rows], mixture.replayed[others])
    return along(DATA, to_float(images))


Iteration = Callable[[GanState, Mixture], tuple[GanState, Metrics]]


def make_iteration(program: GanProgram) -> Iteration:
    """Makes steps of the critic and one of the generator, not yet compiled."""
    gan = program.gan

    def iteration(state: GanState, mixture: Mixture) -> tuple[GanState, Metrics]:
        key = stream(state.key, "step", state.step)
        critic, critic_opt, metrics = _critic_steps(program, state, mixture, key)
        last = _some_codes(program, stream(key, "generator"))
        loss, gradient = jax.value_and_grad(
            lambda g: generator_loss(gan.criticise(critic, gan.generate(g, last)))
        )(state.generator)
        generator, generator_opt = _improve(program, state.generator, state.generator_opt, gradient)
        # Early on the average follows closely, so that first weights do not linger.
        decay = jnp.minimum(program.decay, (1 + state.step) / (10 + state.step))
        average = jax.tree.map(lambda a, g: decay * a + (1 - decay) * g, state.average, generator)
        done = state.step + 1, generator, critic, average, generator_opt, critic_opt
        return GanState(*done, state.transform_state, state.key), {"loss": loss, **metrics}

    return iteration


def _critic_steps(
    program: GanProgram, state: GanState, mixture: Mixture, key: PRNGKey
) -> tuple[Params, PyTree, Metrics]:
    """The critic and its optimiser after some steps, and the metrics of the last one."""
    gan, n = program.gan, program.batch_size
    keys = jax.vmap(partial(stream, key, "critic"))(jnp.arange(program.critic_steps))
    # While the critic learns the generator stands still: one large batch for all steps.
    z = jax.vmap(partial(_some_codes, program))(keys)
    images = gan.generate(state.generator, z.reshape(-1, gan.latent))
    fakes = images.reshape(len(keys), n, *images.shape[1:])

    def step(carry: tuple[Params, PyTree], own_and_fake: tuple[PRNGKey, Array]):
        (critic, opt), (own, fake) = carry, own_and_fake
        batch = {REAL: draw(mixture, stream(own, "draw"), n), FAKE: fake}
        slope = jax.grad(partial(_total, program), has_aux=True)
        gradient, metrics = slope(critic, state.transform_state, batch, own)
        return _improve(program, critic, opt, gradient), metrics

    (critic, opt), metrics = jax.lax.scan(step, (state.critic, state.critic_opt), (keys, fakes))
    return critic, opt, jax.tree.map(lambda values: values[-1], metrics)


def _some_codes(program: GanProgram, key: PRNGKey) -> Array:
    return along(DATA, codes(stream(key, "codes"), program.batch_size, program.gan.latent))


def _total(
    program: GanProgram, critic: Params, transform_state: PyTree, batch: Batch, key: PRNGKey
):
    """The critic's loss with what the transforms add to it."""
    gan, n = program.gan, program.batch_size

    def scores(critic: Params, batch: Batch) -> Array:
        return gan.criticise(critic, batch[REAL])

    both = gan.criticise(critic, jnp.concatenate([batch[REAL], batch[FAKE]]))
    loss = critic_loss(both[:n], both[n:])
    context = Context(critic, both[:n], batch, stream(key, "transform"), scores)
    whole, metrics = program.transform.apply(loss, transform_state, context)
    return whole, {"critic": whole, "wasserstein": -loss, **metrics}


def _improve(
    program: GanProgram, params: Params, opt: PyTree, gradient: Params
) -> tuple[Params, PyTree]:
    change, opt = program.optimizer.update(gradient, opt, params)
    return optax.apply_updates(params, change), opt


def _one_step(program: GanProgram, mixture: Mixture) -> OneStep[GanState]:
    iteration = make_iteration(program)
    return lambda state, i: iteration(state, mixture)


@partial(jax.jit, static_argnames="program")  # so that it is traced once, not in each epoch
def no_totals(program: GanProgram, state: GanState, mixture: Mixture) -> Totals:
    """Returns the totals before the first iteration."""
    return zero_totals(_one_step(program, mixture), state)


@partial(jax.jit, static_argnames="program", donate_argnames=("state", "totals"))
def run_iterations(
    program: GanProgram,
    state: GanState,
    totals: Totals,
    mixture: Mixture,
    first: Int[Array, ""],
    last: Int[Array, ""],
) -> tuple[GanState, Totals]:
    """Makes the iterations ``first`` to ``last - 1``, in one loop on the device.

    Args:
      program: what is compiled.
      state: donated.
      totals: donated; of earlier iterations.
      mixture: what is learned from.
      first: position of the first iteration.
      last: position after the last one.
    """
    return run_loop(_one_step(program, mixture), state, totals, first, last)


@partial(jax.jit, static_argnames=("gan", "n"))
def sample_images(
    gan: Gan, generator: Params, key: PRNGKey, n: int
) -> UInt8[Array, "n height width channels"]:
    """Returns ``n`` generated images as bytes."""
    batches = -(-n // DRAW_BATCH)

    def one(i: Array) -> Array:
        images = gan.generate(generator, codes(stream(key, "sample", i), DRAW_BATCH, gan.latent))
        return jnp.round(255 * images).astype(jnp.uint8)

    images = jax.lax.map(one, jnp.arange(batches))
    return images.reshape(-1, *images.shape[2:])[:n]
