"""What is replayed where nothing is kept: noise, or what a generator makes."""

import jax
import jax.numpy as jnp

from jaxcl.core.types import Array, Batch, Data, Params, PRNGKey
from jaxcl.transforms.base import TaskData
from jaxcl.transforms.checks import check_positive
from jaxcl.transforms.old_responses import recorded_logits
from jaxcl.transforms.rehearsal.memory import LOGITS, Memory


def noise(n: int = 10_000, inputs: str = "input", label: str = "label") -> Memory:
    """Remembers nothing: Gaussian noise, labelled by the network before the task.

    The control of Shin et al. (2017): it holds the old network's responses where no
    data lies.  Pixels have mean 0.5 and standard deviation 0.25, cut to [0, 1];
    images of bytes are rounded.  ``batch["task"]``, where there is one, is an earlier
    task drawn evenly.

    Args:
      n: how many images are drawn as a task begins.
      inputs: name of the inputs in the data.
      label: name of the labels that are made.

    Raises:
      ValueError: ``n`` not positive; as a task begins, data without inputs of that name, and inputs
        that are a tree, or whole numbers that are no bytes.

    References:
      Shin, Lee, Kim & Kim, Continual learning with deep generative replay, 2017
      (arXiv 1705.08690), where noise is a control.

    >>> forward = lambda w, batch: jnp.tile(w, (len(batch["input"]), 1))
    >>> w, task = jnp.array([0.0, 1.0]), TaskData({"input": jnp.zeros((1, 2))}, forward)
    >>> print(noise(3).recall({}, w, task, 1, jax.random.key(0))["label"])  # the larger logit's
    [1 1 1]
    """
    check_positive("n", n)

    def recall(memory, params: Params, task: TaskData, tasks: int, key: PRNGKey) -> Batch:
        check_inputs(task.data, inputs, "noise")
        like = task.data[inputs]
        if not hasattr(like, "shape"):
            raise ValueError(f"noise: {inputs!r} is a tree; it is drawn for one array of images")
        bytes_ = like.dtype == jnp.uint8
        if not bytes_ and not jnp.issubdtype(like.dtype, jnp.floating):
            raise ValueError(f"noise: {inputs!r} is {like.dtype}; it is drawn for bytes or floats")
        if tasks == 0:
            return memory
        pixels, which = jax.random.split(key)
        made = jnp.clip(0.5 + 0.25 * jax.random.normal(pixels, (n, *like.shape[1:])), 0, 1)
        images = (jnp.round(255 * made) if bytes_ else made).astype(like.dtype)
        batch, logits = _judged(images, inputs, params, task, tasks, which)
        return {**batch, label: jnp.argmax(logits, -1).astype(jnp.int32)}

    return Memory(recall=recall, made_labels=True)


def generated(*, soft: bool = True, inputs: str = "input", label: str = "label") -> Memory:
    """Remembers nothing: images of a generator, with responses of the network before.

    The scholar of Shin et al. (2017).  ``batch["task"]``, where there is one, is an
    earlier task drawn evenly, whose head then responds.

    Args:
      soft: remember the old network's logits, as in distillation; otherwise the
        class that it finds most probable.
      inputs: name of the inputs in the data.
      label: name of the labels that are made.

    Raises:
      ValueError: in the second task or later, without generated images, or with data without
        inputs of that name.

    References:
      Shin, Lee, Kim & Kim, Continual learning with deep generative replay, 2017
      (arXiv 1705.08690); soft: van de Ven & Tolias, 2018 (arXiv 1809.10635).

    >>> forward = lambda w, batch: batch["input"] @ w
    >>> task = TaskData({"input": jnp.zeros((1, 2))}, forward, generated=jnp.eye(2))
    >>> print(generated().recall({}, 3 * jnp.eye(2), task, 1, jax.random.key(0))["logits"])
    [[3. 0.]
     [0. 3.]]
    """

    def recall(memory, params: Params, task: TaskData, tasks: int, key: PRNGKey) -> Batch:
        if tasks == 0:
            return memory
        check_inputs(task.data, inputs, "generated")
        batch, logits = _judged(drawn_images(task), inputs, params, task, tasks, key)
        if soft:
            return {**batch, LOGITS: logits}
        return {**batch, label: jnp.argmax(logits, -1).astype(jnp.int32)}

    return Memory(recall=recall, made_labels=not soft)


def check_inputs(data: Data, inputs: str, memory: str) -> None:
    """Raises a ValueError if a task's data has no inputs of a name.

    >>> check_inputs({"x": jnp.zeros(1), "label": jnp.zeros(1, int)}, "input", "noise")
    Traceback (most recent call last):
    ValueError: noise: the data has no 'input', it has x, label; name its inputs, noise(inputs=...)
    """
    if inputs not in data:
        names = ", ".join(data) or "nothing"
        raise ValueError(
            f"{memory}: the data has no {inputs!r}, it has {names}; name its inputs,"
            f" {memory}(inputs=...)"
        )


def drawn_images(task: TaskData) -> Array:
    """Returns the images of a generator that a task was given, in memory of their own.

    A train step may be given the state for good, and two transforms may keep them.

    Raises:
      ValueError: there are none.
    """
    if task.generated is None:
        raise ValueError("task: no generated images; give TaskData(generated=...)")
    return jnp.copy(task.generated)


def _judged(
    images: Array, inputs: str, params: Params, task: TaskData, tasks: int, key: PRNGKey
) -> tuple[Batch, Array]:
    """Made images with the task they are taken for, and the old network's logits."""
    batch: dict[str, Array] = {inputs: images}
    if "task" in task.data:
        batch["task"] = jax.random.randint(key, (len(images),), 0, tasks)
    return batch, recorded_logits(task, params, batch)
