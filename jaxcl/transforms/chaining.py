"""Several loss transforms as one."""

from collections.abc import Iterable, Mapping
from typing import Any

from jaxcl.core.pytree import joined
from jaxcl.transforms.base import LossTransform, Needs, PredictedLogits, TaskData
from jaxcl.transforms.checks import check_owned


def chain(*unnamed: object, **transforms: LossTransform) -> LossTransform:
    """Applies transforms one after the other, in the order they are written.

    The order has meaning: a penalty adds to the loss it is given, a replay weighs it, and
    parameters that are changed as a task ends are so for those after it.  State and metrics, where
    there are any, are dicts under the given names.  ``chain()`` is the identity.

    Args:
      unnamed: none; each transform has a name.
      transforms: under names of one's own.

    Raises:
      TypeError: something without a name, or that is no transform; from the hooks, a state, a
        task or a result of another kind than they have.
      ValueError: two transforms that predict, or two with examples beside the batch; from
        ``init``, ``begin_task`` and ``end_task``, where the state of a transform holds the
        parameters' own arrays; from the hooks, the state of another chain.

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
    check_named(unnamed, transforms)

    def owned(state, params):
        for name in transforms:
            check_owned(name, state[name], params)
        return state

    def init(params):
        return owned({name: t.init(params) for name, t in transforms.items()}, params)

    def apply(loss, state, context):
        check_state(state, transforms)
        metrics = {}
        for name, t in transforms.items():
            made = t.apply(loss, state[name], context)
            loss, found = pair(f"{name}: apply", "loss, metrics", made)
            metrics |= {name: found} if found else {}  # without leaves there is nothing to save
        return loss, metrics

    def begin_task(state, params, task, key):
        check_state(state, transforms)
        check_task(task)
        begun = {n: t.begin_task(state[n], params, task, key) for n, t in transforms.items()}
        return owned(begun, params)

    def update(state, step):
        check_state(state, transforms)
        return joined({n: t.update(state[n], step) for n, t in transforms.items()})

    def end_task(state, params, task, key):
        check_state(state, transforms)
        check_task(task)
        ended = {}
        for name, t in transforms.items():
            found = t.end_task(state[name], params, task, key)
            ended[name], params = pair(f"{name}: end_task", "state, params", found)
        return owned(ended, params), params

    hooks = _gradient(transforms), _predict(transforms), _needs(transforms)
    return LossTransform(init, apply, begin_task, update, end_task, *hooks)


def check_named(unnamed: tuple[object, ...], transforms: Mapping[str, object]) -> None:
    """Raises a TypeError for what has no name, and for what is no transform."""
    if unnamed:
        raise TypeError("chain: a transform without a name; give each one, chain(ewc=ewc(1e4))")
    for name, t in transforms.items():
        if not isinstance(t, LossTransform):
            hint = f"call it, {name}={name}(...)" if callable(t) else "give a LossTransform"
            raise TypeError(f"chain: {name} is a {type(t).__name__}; {hint}")


def check_state(state: object, names: Iterable[str]) -> None:
    """Raises a TypeError where a state of a chain is something else, a ValueError for another's.

    >>> check_state({"b": ()}, ["a"])
    Traceback (most recent call last):
    ValueError: state: of a chain of b, where this one is of a; give what its own init returned
    """
    if not isinstance(state, Mapping):
        hint = "end_task returns (state, params)" if isinstance(state, tuple) else "give init's"
        raise TypeError(f"state: a {type(state).__name__}, not the dict of a chain; {hint}")
    if not set(names) <= set(state):
        raise ValueError(
            f"state: of a chain of {', '.join(state) or 'nothing'}, where this one is of"
            f" {', '.join(names)}; give what its own init returned"
        )


def check_task(task: object) -> None:
    """Raises a TypeError where a task is given as it is, without its forward function."""
    if not isinstance(task, TaskData):
        raise TypeError(f"task: a {type(task).__name__}; give TaskData(data, forward)")


def pair(where: str, what: str, found: Any) -> tuple[Any, Any]:
    """Returns what a hook returned, if it is two things.

    Raises:
      TypeError: it is something else.
    """
    if not isinstance(found, tuple) or len(found) != 2:
        raise TypeError(f"{where} returned a {type(found).__name__}; return ({what})")
    return found


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
    """The predictions of the one transform that makes any, logits where they are."""
    predicting = {name: t.predict for name, t in transforms.items() if t.predict}
    if len(predicting) > 1:
        raise ValueError(f"chain: {' and '.join(predicting)} both predict; leave one out")

    def predict(state, context):
        ((name, made),) = predicting.items()
        return made(state[name], context)

    logits = any(isinstance(made, PredictedLogits) for made in predicting.values())
    return PredictedLogits(predict) if logits else predict if predicting else None
