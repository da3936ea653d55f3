import jax
import jax.numpy as jnp
import pytest

from jaxcl.transforms import Context, TaskData, l2

PARAMS = {"w": jnp.array([3.0, 4.0]), "b": jnp.array([[-1.0]])}
CONTEXT = Context(params=PARAMS, outputs={}, batch={})


def loss(penalty, state, params=PARAMS):
    return penalty.apply(jnp.float32(1), state, CONTEXT._replace(params=params))[0]


def after_task(penalty, state):
    task = TaskData(data={}, forward=lambda params, batch: {})
    return penalty.end_task(state, PARAMS, task, jax.random.key(0))[0]


def test_half_the_squared_weights_and_its_gradient():
    penalty = l2(0.1)
    state = penalty.init(PARAMS)
    assert float(loss(penalty, state)) == pytest.approx(1 + 0.1 * 26 / 2)
    gradient = jax.grad(lambda params: loss(penalty, state, params))(PARAMS)
    assert gradient["w"] == pytest.approx(0.1 * PARAMS["w"])
    assert gradient["b"] == pytest.approx(0.1 * PARAMS["b"])


@pytest.mark.parametrize(("later", "expected"), [(None, 0.5), (0.0, 0.0), (2.0, 2.0)])
def test_another_coefficient_after_the_first_task(later, expected):
    penalty = l2(0.5, later)
    first = penalty.init(PARAMS)
    assert float(loss(penalty, first)) == pytest.approx(1 + 0.5 * 13)
    second = after_task(penalty, first)
    assert float(loss(penalty, second)) == pytest.approx(1 + expected * 13)
    third = after_task(penalty, second)
    assert (third.dtype, third.shape, float(third)) == (first.dtype, (), expected)


@pytest.mark.parametrize(("args", "name"), [((-1.0,), "strength"), ((1.0, float("nan")), "later")])
def test_a_negative_coefficient_is_refused(args, name):
    with pytest.raises(ValueError, match=f"^{name}: "):
        l2(*args)
