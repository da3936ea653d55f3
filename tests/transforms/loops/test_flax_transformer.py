"""A transformer as Hugging Face's are called: ``net(input_ids, attention_mask)``, fine-tuned.

A batch has both inputs under their names, so they are recorded, kept and replayed together.
The embeddings stay as they were before: the optimiser is given nothing for them, and what
nobody uses is not computed.  Sequences of two kinds are told apart: task A asks whether the
token 3 occurs, task B whether the token 5 does; what is padded does not count.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import two_tasks
from flax import linen
from two_tasks import Run, batches, logits, loss_of, old_head

from jaxcl.transforms import Context, TaskData, gradients

TOKENS, LENGTH, WIDTH = 12, 8, 16


def make_tasks():
    rng = np.random.default_rng(0)
    tokens = rng.integers(6, TOKENS, (two_tasks.N, LENGTH))
    lengths = rng.integers(4, LENGTH + 1, two_tasks.N)
    mask = np.arange(LENGTH) < lengths[:, None]
    has = rng.integers(0, 2, (2, two_tasks.N))
    tokens[:, 0] = np.where(has[0], 3, tokens[:, 0])
    tokens[:, 2] = np.where(has[1], 5, tokens[:, 2])
    tokens[:, 7] = np.where(mask[:, 7], tokens[:, 7], 3)  # padding that looks like an answer
    arrays = {"input_ids": tokens, "attention_mask": mask}
    inputs = {name: jnp.asarray(array, jnp.int32) for name, array in arrays.items()}
    tasks = [{"label": jnp.asarray(label, jnp.int32)} for label in has]
    return [inputs | task | {"task": jnp.full(two_tasks.N, i)} for i, task in enumerate(tasks)]


class Classifier(linen.Module):
    @linen.compact
    def __call__(self, input_ids, attention_mask):
        there = attention_mask.astype(jnp.float32)[..., None]
        hidden = linen.Embed(TOKENS, WIDTH, name="embed")(input_ids)
        place = self.param("place", linen.initializers.normal(0.02), (LENGTH, WIDTH))
        hidden = hidden + place
        mask = linen.make_attention_mask(attention_mask, attention_mask)
        heard = linen.MultiHeadDotProductAttention(num_heads=2)(
            linen.LayerNorm()(hidden), mask=mask
        )
        hidden = hidden + heard
        hidden = hidden + linen.Dense(WIDTH)(linen.gelu(linen.Dense(2 * WIDTH)(hidden)))
        pooled = (linen.LayerNorm()(hidden) * there).sum(1) / there.sum(1)
        return {"a": linen.Dense(2)(pooled), "b": linen.Dense(2)(pooled)}


def train(transform):
    tasks, net, traces = make_tasks(), Classifier(), []
    variables = net.init(jax.random.key(0), tasks[0]["input_ids"], tasks[0]["attention_mask"])
    params = variables["params"]
    trains = {name: "no" if name == "embed" else "yes" for name in params}
    by_name = {"yes": optax.adam(1e-2), "no": optax.set_to_zero()}
    optimizer = optax.multi_transform(by_name, trains)

    def forward(params, batch):
        return net.apply({"params": params}, batch["input_ids"], batch["attention_mask"])

    @jax.jit
    def step(params, opt, state, batch, key):
        traces.append(1)
        context = Context(params, None, batch, key, forward, logits)
        found = gradients(transform, state, loss_of, context)
        change, opt = optimizer.update(found.gradient, opt, params)
        after = optax.apply_updates(params, change)
        return after, opt, transform.update(state, found.step(after))

    state, ended, recorded = transform.init(params), [], None
    for data, key in zip(tasks, jax.random.split(jax.random.key(1)), strict=True):
        state = transform.begin_task(state, params, TaskData(data, old_head(forward), logits), key)
        recorded, opt = state["distill"].responses, optimizer.init(params)
        for batch, step_key in batches(data, key):
            params, opt, state = step(params, opt, state, batch, step_key)
        state, params = transform.end_task(state, params, TaskData(data, forward, logits), key)
        outputs = net.apply({"params": params}, data["input_ids"], data["attention_mask"])
        ended.append((params, state, outputs))
    params, states, outputs = map(list, zip(*ended, strict=True))
    embedding = variables["params"]["embed"]["embedding"]
    assert all(np.array_equal(one["embed"]["embedding"], embedding) for one in params)
    return Run(params, states, outputs, recorded, len(traces))


@pytest.mark.slow
def test_distillation_keeps_the_old_answers():
    two_tasks.check_distillation(train, make_tasks())


@pytest.mark.slow
def test_anchored_weights_stay_nearer_to_their_places():
    """It is sure of its answers after the first task, and then a Fisher is small."""
    two_tasks.check_anchor(train, strength=1e6)


@pytest.mark.slow
def test_distillation_ewc_and_replay_together():
    two_tasks.check_all_three(train, make_tasks())


@pytest.mark.slow
def test_a_memory_keeps_the_mask_of_each_sequence():
    memory = two_tasks.ran(train, two_tasks.all_three, 1.0).states[1]["replay"].memory.data
    every = make_tasks()[0]
    rows = {bytes(np.asarray(row)): mask for row, mask in zip(*inputs_of(every), strict=True)}
    for row, mask in zip(*inputs_of(memory), strict=True):
        np.testing.assert_array_equal(mask, rows[bytes(np.asarray(row))])


def inputs_of(data):
    return data["input_ids"], data["attention_mask"]
