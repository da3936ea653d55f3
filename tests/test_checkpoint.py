import chex
import jax
import jax.numpy as jnp
import pytest

from jaxcl.checkpoint import load_params, save_params

PARAMS = {
    "conv1": {"t00": {"w": jnp.arange(6.0).reshape(2, 3)}},
    "heads": {"t00": {"b": jnp.ones(2)}},
}


def test_round_trip(tmp_path):
    save_params(tmp_path / "p", PARAMS)
    chex.assert_trees_all_equal(load_params(tmp_path / "p"), PARAMS)
    chex.assert_trees_all_equal(load_params(tmp_path / "p", PARAMS), PARAMS)


def test_another_shape_is_an_error(tmp_path):
    save_params(tmp_path / "p", PARAMS)
    with pytest.raises(ValueError, match="shape"):
        load_params(tmp_path / "p", jax.tree.map(lambda x: x[:1], PARAMS))
