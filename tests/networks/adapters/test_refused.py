"""Networks that cannot be used: one line with what is wrong and the remedy."""

import equinox as eqx
import foreign_nets as nets
import jax
import jax.numpy as jnp
import pytest
from flax import linen, nnx
from foreign_nets import INPUTS

from jaxcl.core.errors import UsageError
from jaxcl.growth.routing import check_activations
from jaxcl.networks import (
    MLP,
    ResNet18,
    ResNet32,
    from_equinox,
    from_functions,
    from_linen,
    from_nnx,
)
from jaxcl.networks.choices import CNN, Foreign

FLAT = jax.ShapeDtypeStruct((4,), jnp.float32)
TOKENS = jax.ShapeDtypeStruct((4,), jnp.int32)


def refused(match, network, inputs=FLAT, **options):
    with pytest.raises(UsageError, match=match) as found:
        network.make(inputs, **options)
    assert "\n" not in str(found.value)


def function(features, stats=lambda stats, train: stats, start=()):
    """A network of one matrix, with other features or statistics."""

    def init(key, inputs):
        return {"w": jnp.ones((4, 3))}, start

    def apply(params, before, inputs, train, key):
        return features(inputs @ params["w"], train), stats(before, train)

    return from_functions(init, apply)


@pytest.mark.parametrize(
    ("features", "match"),
    [
        (lambda x, train: x if train else x[:, :2], r"\[2, 3\] in training and \[2, 2\] in eval"),
        (
            lambda x, train: (x, x),
            r"returns a tuple of arrays of the shapes \[\[2, 3\], \[2, 3\]\]",
        ),
        (
            lambda x, train: (x,),
            r"returns a tuple of arrays of the shapes \[\[2, 3\]\]; return one",
        ),
        (lambda x, train: x.sum(1), r"two inputs gave an array of the shape \[2\]; return"),
        (lambda x, train: x[0], r"two inputs gave an array of the shape \[3\]; return"),
        (lambda x, train: x.argmax(1)[:, None], "features are int32; return floating-point"),
    ],
)
def test_features_that_are_none(features, match):
    refused("^network: .*" + match, function(features))


def keep(x, train):
    return x


@pytest.mark.parametrize(
    ("stats", "start", "match"),
    [
        (
            lambda s, train: {**s, "more": jnp.ones(1)},
            {"n": jnp.ones(1)},
            "are others after a pass",
        ),
        (lambda s, train: (), {"n": jnp.ones(1)}, "than before, such as 'stats/n'; create them"),
        (
            lambda s, train: jnp.ones(2),
            jnp.ones(1),
            r"float32 \[1\] before a pass, and float32 \[2\]",
        ),
        (lambda s, train: s + 0.5, jnp.int32(1), r"int32 \[\] before a pass, and float32 \[\]"),
    ],
)
def test_statistics_that_change(stats, start, match):
    refused("^network: .*" + match, function(keep, stats, start))


@pytest.mark.parametrize(
    ("branches", "match"),
    [
        (("conv3",), "'conv3' names no part; the network has conv1, conv2, norm1, norm2, out$"),
        (("conv1/kernel/x",), "'conv1/kernel/x' names no part"),
        (("conv1", "conv1/kernel"), "'conv1/kernel' is a part of 'conv1'; give one"),
        (("conv1/kernel", "conv1"), "'conv1/kernel' is a part of 'conv1'; give one"),
        (("conv1", "conv1"), "one is given twice"),
    ],
)
@pytest.mark.parametrize("library", ["linen", "nnx"])
def test_branches_that_cannot_be(branches, match, library):
    refused("^branches: " + match, nets.NETWORKS[library](branches), INPUTS)


@pytest.mark.parametrize("name", ["heads", "shared"])
def test_branches_of_names_that_are_in_use(name):
    def init(key, inputs):
        return {name: jnp.ones((4, 2))}, ()

    network = from_functions(init, lambda p, s, x, t, k: (x @ p[name], s), branches=(name,))
    refused(f"^branches: '{name}' is a name that jaxcl gives itself", network)


def test_modules_that_are_made_or_not():
    for call in (
        lambda: from_linen(nets.Linen),
        lambda: from_nnx(nets.NNX(nnx.Rngs(0))),
        lambda: from_equinox(nets.Equinox(key=jax.random.key(0))),
    ):
        with pytest.raises(UsageError, match=r"^network: .*; give "):
            call()


class Hidden:
    mean = None


def hiding():
    """A running mean in an attribute, in place of statistics."""

    def init(key, inputs):
        return {"w": jnp.ones((4, 3))}, ()

    place = Hidden()

    def apply(params, stats, inputs, train, key):
        x = inputs @ params["w"]
        if train:
            place.mean = x.mean(0) if place.mean is None else 0.9 * place.mean + 0.1 * x.mean(0)
        return x - (0.0 if place.mean is None else place.mean), stats

    return from_functions(init, apply)


class LinenThatHides(linen.Module):
    place: Hidden

    @linen.compact
    def __call__(self, x, train):
        x = linen.Dense(3)(x)
        if train:
            self.place.mean = x if self.place.mean is None else self.place.mean + x
        return x if self.place.mean is None else x - self.place.mean


class EquinoxThatHides(eqx.Module):
    layer: eqx.nn.Linear
    place: Hidden = eqx.field(static=True)

    def __init__(self, *, key):
        self.layer, self.place = eqx.nn.Linear(4, 3, key=key), Hidden()

    def __call__(self, x):
        x = self.layer(x)
        self.place.mean = x if self.place.mean is None else self.place.mean + x
        return x - self.place.mean


@pytest.mark.parametrize(
    "network", [hiding(), from_linen(LinenThatHides(Hidden())), from_equinox(EquinoxThatHides)]
)
def test_what_a_pass_hides_for_the_next(network):
    refused("^network: it keeps what it computed, in an attribute say, and uses it", network)


class NNXThatMakesStatistics(nnx.Module):
    def __init__(self, rngs):
        self.layer = nnx.Linear(4, 3, rngs=rngs)

    def __call__(self, x):
        x = self.layer(x)
        self.seen = nnx.BatchStat(x)
        return x


def test_variables_that_come_with_the_first_pass():
    network = from_nnx(NNXThatMakesStatistics)
    refused("^network: its statistics are others after a pass than before, such as", network)


class StateOfEach(eqx.Module):
    layer: eqx.nn.Linear
    last: eqx.nn.StateIndex

    def __init__(self, *, key):
        self.layer, self.last = eqx.nn.Linear(4, 3, key=key), eqx.nn.StateIndex(jnp.zeros(3))

    def __call__(self, x, state):
        x = self.layer(x)
        return x, state.set(self.last, x)


def test_an_equinox_state_that_differs_between_examples():
    refused("^network: its state is another one for each example; take", from_equinox(StateOfEach))


def test_keys_that_are_one_name_as_text():
    def init(key, inputs):
        return [{1: jnp.ones(2)}, {"1": jnp.ones(2)}], {
            "n": {"a/b": jnp.ones(1), "a|b": jnp.ones(1)}
        }

    network = from_functions(init, lambda p, s, x, t, k: (x, s))
    refused(r"^network: two arrays have the name 'n/a\|b'; rename one", network)


class Pair(linen.Module):
    @linen.compact
    def __call__(self, x):
        x = linen.Dense(3)(x)
        return x, x


class Cells(linen.Module):
    @linen.compact
    def __call__(self, x):
        x, _ = Pair(name="pair")(x)
        return x + self.param("own", linen.initializers.ones, (3,))


@pytest.mark.parametrize(
    ("network", "match"),
    [
        (
            from_functions(nets.init, nets.apply, branches=("conv1",)),
            "^network: it cannot tell what",
        ),
        (from_linen(Cells(), branches=("pair",)), "^branches: pair returns tuple for two inputs"),
        (from_linen(Cells(), branches=("own",)), "^branches: 'own' is not called as it is"),
    ],
)
def test_branches_that_cannot_be_compared(network, match):
    net = network.make(INPUTS if "apply" in network.description else FLAT)
    with pytest.raises(UsageError, match=match):
        check_activations(net, INPUTS if "apply" in network.description else FLAT)


def test_a_network_without_its_code():
    refused("^network: a net was given by a program; give it again", Foreign(description="a net"))


def test_networks_of_others_have_no_columns():
    refused("has no columns; give net cnn or mlp", nets.NETWORKS["linen"](), INPUTS, columns=True)
    refused("^net: resnet18 has no columns", ResNet18(4), INPUTS, columns=True)


@pytest.mark.parametrize("network", [CNN(), MLP(), ResNet18(4), ResNet32(2)])
def test_tokens_and_trees_for_networks_that_are_built_in(network):
    refused(
        "^net: inputs are int32, and the networks that are built in take floats", network, TOKENS
    )
    refused("^net: inputs are dict, and", network, {"a": FLAT})


@pytest.mark.parametrize("network", [CNN(), ResNet18(4), ResNet32(2)])
def test_inputs_that_are_no_images(network):
    refused(rf"^net: {network.name} takes images \[height, width, channels\], and inputs", network)
