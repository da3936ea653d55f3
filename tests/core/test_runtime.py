import jax
import jax.numpy as jnp

from jaxcl.core.runtime import compile_clock


def test_the_clock_counts_compiling_and_nothing_else():
    x = jnp.arange(7.0)
    f = jax.jit(lambda x: jnp.sin(x) * 3 + 1)
    with compile_clock() as spent:
        assert spent() == 0
        f(x)
        once = spent()
        assert once > 0
        f(x)
        assert spent() == once
    jax.jit(lambda x: x - 2)(x)
    assert spent() == once
