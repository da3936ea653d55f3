import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcl.core.batching import map_batches


@given(st.integers(1, 23), st.integers(1, 30))
def test_result_does_not_depend_on_the_batch_size(n, size):
    data = {"x": jnp.arange(n, dtype=jnp.float32)}
    result = map_batches(lambda b: {"y": b["x"] ** 2, "z": jnp.stack([b["x"]] * 2, 1)}, data, size)
    np.testing.assert_array_equal(result["y"], np.arange(n) ** 2)
    assert result["z"].shape == (n, 2)


def test_bad_data_is_refused():
    with pytest.raises(ValueError, match="leading axes differ"):
        map_batches(lambda b: b, {"x": jnp.zeros(2), "y": jnp.zeros(3)}, 2)
    with pytest.raises(ValueError, match="no examples"):
        map_batches(lambda b: b, {"x": jnp.zeros(0)}, 2)
    with pytest.raises(ValueError, match="there is no array in it"):
        map_batches(lambda b: b, {"x": {}}, 2)
