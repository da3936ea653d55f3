import jax

from jaxcl.core.random import stream


def test_streams_differ_by_name_and_position(key):
    keys = [stream(key, "a"), stream(key, "b"), stream(key, "a", 0), stream(key, "a", 1)]
    keys += [stream(key, "a", 0, 1), stream(key, "a", 1, 0)]
    assert len({tuple(jax.random.key_data(k).tolist()) for k in keys}) == len(keys)


def test_a_stream_is_the_same_under_jit_and_on_every_machine(key):
    plain, jitted = stream(key, "step", 3), jax.jit(lambda i: stream(key, "step", i))(3)
    assert jax.random.key_data(plain).tolist() == jax.random.key_data(jitted).tolist()
    # A value of its own, so that a change of the derivation is noticed.
    assert jax.random.key_data(plain).tolist() == [3862772074, 1665901969]
