"""Several loss transforms as one."""

from collections.abc import Mapping

from jaxcl.core.pytree import joined
from jaxcl.transforms.base import LossTransform, Needs
from jaxcl.transforms.checks import check_owned


def chain(**transforms: LossTransform) -> LossTransform:
    """Applies transforms one after the other, in the order they are written.

    The order has meaning: a penalty adds to the loss it is given, a replay weighs it, and
    parameters that are changed as a task ends are so for those after it.  State and metrics, where
    there are any, are dicts under the given names.  ``chain()`` is the identity.

    Args:
      transforms: under names of one's own.

    Raises:
      ValueError: two transforms that predict, or two with examples beside the batch; from
        ``init``, ``begin_task`` and ``end_task``, where the state of a transform holds the
        parameters' own arrays.

    >>> import jax.numpy as jnp
    >>> from jaxcl.transforms import Context, LossTransform
    >>> double = LossTransform(lambda params: (), lambda l, s, c: (2 * l, {}))
    >>> add_one = LossTransform(lambda params: (), lambda l, s, c: (l + 1, {}))
    >>> context = Context(params={}, outputs={}, batch={})
    >>> for both in chain(a=double, b=add_one), chain(b=add_one, a=double):
    ...     loss, metrics = both.apply(jnp.float32(3), both.init({}), context)
    ...     print(loss)
    7.0
    8.0
    """

    def owned(state, params):
        for name in transforms:
            check_owned(name, state[name], params)
        return state

    def init(params):
        return owned({name: t.init(params) for name, t in transforms.items()}, params)

    def apply(loss, state, context):
        metrics = {}
        for name, t in transforms.items():
            loss, found = t.apply(loss, state[name], context)
            metrics |= {name: found} if found else {}  # without leaves there is nothing to save
        return loss, metrics

    def begin_task(state, params, task, key):
        begun = {n: t.begin_task(state[n], params, task, key) for n, t in transforms.items()}
        return owned(begun, params)

    def update(state, step):
        return joined({n: t.update(state[n], step) for n, t in transforms.items()})

    def end_task(state, params, task, key):
        ended = {}
        for name, t in transforms.items():
            ended[name], params = t.end_task(state[name], params, task, key)
        return owned(ended, params), params

    hooks = _gradient(transforms), _predict(transforms), _needs(transforms)
    return LossTransform(init, apply, begin_task, update, end_task, *hooks)


def _gradient(transforms: Mapping[str, LossTransform]):
    """The gradient's way through all transforms that change it; None where there is none."""
    changing = {name: t.gradient for name, t in transforms.items() if t.gradient}

    def gradient(found, state, context):
        for name, change in changing.items():
            found = change(found, state[name], context)
        return found

    return gradient if changing else None


def _needs(transforms: Mapping[str, LossTransform]) -> Needs:
    """What any of them needs, and the examples of the one that has some beside the batch."""
    looks = any(t.needs.features for t in transforms.values())
    drawing = {name: t.needs.beside for name, t in transforms.items() if t.needs.beside}
    if len(drawing) > 1:
        raise ValueError(
            f"chain: {' and '.join(drawing)} both have examples beside the batch; leave one out"
        )

    def beside(state, batch, key):
        ((name, draw),) = drawing.items()
        return draw(state[name], batch, key)

    return Needs(looks, beside if drawing else None)


def _predict(transforms: Mapping[str, LossTransform]):
    """The predictions of the one transform that makes any."""
    predicting = {name: t.predict for name, t in transforms.items() if t.predict}
    if len(predicting) > 1:
        raise ValueError(f"chain: {' and '.join(predicting)} both predict; leave one out")

    def predict(state, context):
        ((name, made),) = predicting.items()
        return made(state[name], context)

    return predict if predicting else None
