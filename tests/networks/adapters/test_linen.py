"""Names of Flax Linen: those with slashes, and collections of what is only noted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen
from foreign_nets import grown, passed

from jaxcl.core.errors import UsageError
from jaxcl.core.random import stream
from jaxcl.networks import from_linen

FLAT = jax.ShapeDtypeStruct((4,), jnp.float32)
X = jnp.linspace(-1, 1, 24).reshape(6, 4)


class Normed(linen.Module):
    """Flax names what both keep ``Dense_0/kernel/...``."""

    @linen.compact
    def __call__(self, x, train=False):
        x = linen.SpectralNorm(linen.Dense(3))(x, update_stats=train)
        return linen.WeightNorm(linen.Dense(3), name="out/scaled")(x)


def test_names_with_slashes_are_written_with_bars_and_known_to_flax():
    net, variables, route = grown(from_linen(Normed(), branches=("out|scaled",)), FLAT)
    leaves, _ = jax.tree.flatten_with_path(variables)
    assert not any("/" in getattr(step, "key", "") for path, _ in leaves for step in path)
    scale, shared = variables.params["out|scaled"]["t00"], variables.params["shared"]
    kept = variables.stats["shared"]["batch_stats"]["SpectralNorm_0"]
    assert scale.keys() == {"Dense_1|kernel|scale"}
    assert kept.keys() == {"Dense_0|kernel|sigma", "Dense_0|kernel|u"}
    own = {name.replace("|", "/"): value for name, value in kept.items()}
    expected, renewed = Normed().apply(
        {
            "params": {**shared, "out/scaled": {"Dense_1/kernel/scale": jnp.ones(3)}},
            "batch_stats": {"SpectralNorm_0": own},
        },
        X,
        train=True,
        rngs={"dropout": stream(jax.random.key(0), "dropout")},
        mutable=["batch_stats"],
    )
    found, after = passed(net, variables, route, X, train=True, key=jax.random.key(0))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    after = after["shared"]["batch_stats"]["SpectralNorm_0"]
    for name, value in renewed["batch_stats"]["SpectralNorm_0"].items():
        np.testing.assert_allclose(after[name.replace("/", "|")], value, rtol=1e-5)
    assert net.activations(variables, X, route)["out|scaled"].shape == (6, 3)


class Barred(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.Dense(3, name="a|b")(x)


class Sowing(linen.Module):
    @linen.compact
    def __call__(self, x):
        x = linen.Dense(3)(x)
        self.sow("intermediates", "features", x)
        self.sow("losses", "square", (x**2).mean())
        return x


@pytest.mark.parametrize(
    ("module", "match"),
    [
        (Barred(), r"the name 'a\|b' has a bar in it, which stands for a slash; rename it"),
        (Sowing(), "such as 'losses/square/1'; .* sow into 'intermediates' alone$"),
    ],
)
def test_modules_that_are_refused(module, match):
    with pytest.raises(UsageError, match="^network: .*" + match) as found:
        from_linen(module).make(FLAT)
    assert "\n" not in str(found.value)
