"""A network of another library is trained as its own loop, written by hand, trains it."""

import dataclasses

import chex
import foreign_nets as nets
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxcl.core.random import stream
from jaxcl.growth.parameters import merge
from jaxcl.learner.build import check_config, set_up
from jaxcl.learner.seed_loop import go_on
from jaxcl.learner.state import new_learner, schedule, task_data, view_so_far
from jaxcl.learner.task_loop import begin, plan_epoch, whole_task
from jaxcl.networks import from_linen, from_nnx
from jaxcl.scenarios.inputs import prepared
from jaxcl.training.events import EpochEnded
from jaxcl.training.program import Program
from jaxcl.training.step import make_step
from jaxcl.training.train_step import Trained, epoch_order
from jaxcl.transforms import drawn

STEPS = 3
PHASE = stream(stream(jax.random.key(0), "task", 0), "train")


def keys(step):
    """The key of the first pass of a step, and that of its dropout."""
    first = stream(stream(PHASE, "step", step), "pass", 0)
    return first, stream(first, "drop", 0)


def first_task(network, **given):
    """The setup of a run, the learner before its first step, and the end of its epoch."""
    config = dataclasses.replace(nets.settings("finetune", **given), network=network)
    setup = set_up(check_config(config), nets.tasks()[:1])
    before = begin(setup, new_learner(setup, 0), task_data(setup, 0))
    ended = next(event for event in go_on(setup) if isinstance(event, EpochEnded))
    return setup, before.model.variables, ended


def batches(setup):
    """Images and labels of each step, as bytes become numbers."""
    data = setup.tasks.train[0]
    for rows in epoch_order(stream(PHASE, "shuffle", 0), len(data["label"]), 20):
        yield data["input"][rows].astype(jnp.float32) / 255, data["label"][rows]


def mean_loss(features, head, labels):
    logits = features @ head["w"] + head["b"]
    return optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


@pytest.mark.slow
def test_three_steps_of_linen_by_hand():
    setup, before, ended = first_task(from_linen(nets.Linen()), lr=0.1, optimizer="sgd")
    # Not Adam: of a bias before a normalisation, it would make rounding a step like any other.
    module, optimizer = nets.Linen(), optax.sgd(0.1)
    params = {"net": before.params["shared"], "head": before.params["heads"]["t00"]}
    stats, state, losses = before.stats["shared"], optimizer.init(params), []
    for step, (images, labels) in enumerate(batches(setup)):

        def loss(params, stats=stats, images=images, labels=labels, step=step):
            variables = {"params": params["net"], **stats}
            key = stream(keys(step)[1], "dropout")
            features, new = module.apply(
                variables, images, train=True, rngs={"dropout": key}, mutable=["batch_stats"]
            )
            return mean_loss(features, params["head"], labels), dict(new)

        (value, stats), slope = jax.value_and_grad(loss, has_aux=True)(params)
        change, state = optimizer.update(slope, state, params)
        params = optax.apply_updates(params, change)
        losses.append(float(value))
    assert len(losses) == STEPS
    model = ended.learner.model
    chex.assert_trees_all_close(model.params["shared"], params["net"], rtol=1e-4, atol=1e-5)
    chex.assert_trees_all_close(model.params["heads"]["t00"], params["head"], rtol=1e-4, atol=1e-5)
    chex.assert_trees_all_close(model.stats["shared"], stats, rtol=1e-5, atol=1e-5)
    assert ended.metrics["loss"] == pytest.approx(np.mean(losses), abs=1e-5)


@pytest.mark.slow
def test_three_steps_of_nnx_by_hand():
    setup, before, ended = first_task(from_nnx(nets.NNX), lr=0.1, optimizer="sgd")
    module, head = nets.NNX(nnx.Rngs(0)), before.params["heads"]["t00"]
    for tree in (before.params["shared"], before.stats["shared"]["stats"]):
        for layer, values in tree.items():
            for name, value in values.items():
                getattr(getattr(module, layer), name)[...] = value
    losses = []
    for step, (images, labels) in enumerate(batches(setup)):
        module.drop.rngs.count[...] = jnp.uint32(0)
        module.drop.rngs.key[...] = stream(keys(step)[1], "drop", 1)  # the count is number 0

        def loss(module, head, images=images, labels=labels):
            return mean_loss(module(images), head, labels)

        value, (of_net, of_head) = nnx.value_and_grad(loss, argnums=(0, 1))(module, head)
        for layer, slopes in nnx.to_pure_dict(of_net).items():
            for name, slope in slopes.items():
                weight = getattr(getattr(module, layer), name)
                weight[...] = weight[...] - 0.1 * slope
        head = jax.tree.map(lambda w, g: w - 0.1 * g, head, of_head)
        losses.append(float(value))
    model = ended.learner.model
    own = nnx.to_pure_dict(nnx.state(module, nnx.Param))
    chex.assert_trees_all_close(model.params["shared"], own, rtol=1e-4, atol=1e-5)
    chex.assert_trees_all_close(model.params["heads"]["t00"], head, rtol=1e-4, atol=1e-5)
    own = nnx.to_pure_dict(nnx.state(module, nnx.BatchStat))
    chex.assert_trees_all_close(model.stats["shared"]["stats"], own, rtol=1e-5, atol=1e-5)
    assert ended.metrics["loss"] == pytest.approx(np.mean(losses), abs=1e-5)


def one_step(setup, learner):
    """A step of a learner within a task, on the first rows: state before and after, metrics."""
    epoch, data = schedule(setup, 1)[0], task_data(setup, 1)
    learner, _ = plan_epoch(setup, learner, Trained(data, data), epoch)
    state = learner.phase.train
    program = Program(view_so_far(setup, learner), (1,), *setup.compiled)
    rows = jnp.arange(20)
    batch = {**jax.tree.map(lambda x: x[:20], dict(data)), "index": rows}
    after, metrics = jax.jit(make_step(program))(state, batch)
    return state, after, metrics, batch


def begun(method, **given):
    """A learner whose second task has just begun, and the variables after the first."""
    config = nets.settings(method, augment=("crop", "flip"), **given)
    setup = set_up(check_config(config), nets.tasks())
    events = go_on(setup)
    first = next(event for event in events if isinstance(event, EpochEnded)).learner
    variables = jax.tree.map(np.array, first.model.variables)
    after = whole_task(setup, first, task_data(setup, 0))
    state, _ = setup.transform.end_task(
        first.transform_state, first.model.params, after, jax.random.key(0)
    )
    learner = first.changed(
        transform_state=state, task_index=1, epoch=0, step=0, train=None, totals=None
    )
    return setup, begin(setup, learner, task_data(setup, 1)), variables


def pass_by_hand(setup, state, images, number, train, variables=None):
    """Features of a pass of a step: its inputs are augmented anew by the key of its number."""
    key = stream(stream(state.key, "step", state.step), "pass", number)
    seen = prepared(setup.tasks.inputs, images, key)
    if variables is None:
        variables = merge(state.params, state.frozen), state.stats
    params, stats = variables
    tree = {"params": params["shared"], **stats["shared"]}
    rngs = {"dropout": stream(stream(key, "drop", 0), "dropout")} if train else None
    if not train:
        return nets.Linen().apply(tree, seen, train=False), stats["shared"]
    found, new = nets.Linen().apply(tree, seen, train=True, rngs=rngs, mutable=["batch_stats"])
    return found, dict(new)


def head_of(params, task, features):
    head = params["heads"][task]
    return features @ head["w"] + head["b"]


@pytest.mark.slow
def test_the_old_network_is_asked_about_the_inputs_as_they_are_augmented():
    setup, learner, old = begun("lwf")
    state, _, metrics, batch = one_step(setup, learner)
    features, _ = pass_by_hand(setup, state, batch["input"], 0, train=True)
    answers, _ = pass_by_hand(setup, state, batch["input"], 0, train=False, variables=old)
    new = head_of(merge(state.params, state.frozen), "t00", features)
    before = head_of(old.params, "t00", answers)
    soft = jax.nn.softmax(before / 2)
    expected = -(soft * jax.nn.log_softmax(new / 2)).sum(-1).mean()
    assert float(metrics["distill"]["kd"]) == pytest.approx(float(expected), rel=1e-4)
    # Another augmentation gives another answer, so that the test can fail.
    other, _ = pass_by_hand(setup, state, batch["input"], 1, train=False, variables=old)
    assert float(jnp.abs(other - answers).max()) > 1e-3


@pytest.mark.slow
def test_replayed_examples_are_augmented_anew_and_follow_in_the_statistics():
    setup, learner, _ = begun("er")
    state, after, metrics, batch = one_step(setup, learner)
    replay = state.transform_state["replay"]
    key = stream(stream(state.key, "step", state.step), "replay")
    memory = replay.memory.data
    rows = jax.random.randint(key, (20,), 0, replay.memory.filled)
    params = merge(state.params, state.frozen)
    _, stats = pass_by_hand(setup, state, batch["input"], 0, train=True)
    variables = params, {"shared": stats}
    again, stats = pass_by_hand(
        setup, state, memory["input"][rows], 1, train=True, variables=variables
    )
    logits = head_of(params, "t00", again)
    labels = memory["label"][rows]
    expected = optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
    assert float(metrics["replay"]["replayed"]) == pytest.approx(float(expected), rel=1e-4)
    chex.assert_trees_all_close(after.stats["shared"], stats, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_kept_examples_that_are_joined_pass_in_one_batch_with_the_new_ones():
    setup, learner, _ = begun("er", joined=True)
    state, after, metrics, batch = one_step(setup, learner)
    memory = state.transform_state["replay"].memory
    key = stream(stream(state.key, "step", state.step), "replay")
    kept = drawn(memory, key, 20)
    whole = jnp.concatenate([batch["input"], kept["input"]])
    found, stats = pass_by_hand(setup, state, whole, 0, train=True)
    params, n = merge(state.params, state.frozen), len(batch["label"])
    for value, task, part, labels in (
        (metrics["new_loss"], "t01", found[:n], batch["label"]),
        (metrics["replay"]["replayed"], "t00", found[n:], kept["label"]),
    ):
        expected = mean_loss(part, params["heads"][task], labels)
        assert float(value) == pytest.approx(float(expected), rel=1e-4)
    chex.assert_trees_all_close(after.stats["shared"], stats, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_the_old_network_is_asked_about_exemplars_as_they_are_augmented_too():
    setup, learner, old = begun("icarl", buffer=30, per_class=None)
    state, after, metrics, batch = one_step(setup, learner)
    key = stream(stream(state.key, "step", state.step), "icarl")
    kept = drawn(state.transform_state["icarl"].exemplars, key, 20)
    whole = jnp.concatenate([batch["input"], kept["input"]])
    found, stats = pass_by_hand(setup, state, whole, 0, train=True)
    answers, _ = pass_by_hand(setup, state, whole, 0, train=False, variables=old)
    z = head_of(merge(state.params, state.frozen), "t00", found[20:])
    t = jax.nn.sigmoid(head_of(old.params, "t00", answers[20:]))
    each = -(t * jax.nn.log_sigmoid(z) + (1 - t) * jax.nn.log_sigmoid(-z))
    assert float(metrics["icarl"]["replayed"]) == pytest.approx(
        float(each.sum(-1).mean()), rel=1e-4
    )
    chex.assert_trees_all_close(after.stats["shared"], stats, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_dark_replay_keeps_inputs_as_they_come():
    config = nets.settings("der", augment=("crop", "flip"), buffer=30)
    setup = set_up(check_config(config), nets.tasks()[:1])
    ended = next(event for event in go_on(setup) if isinstance(event, EpochEnded))
    kept = np.asarray(ended.learner.transform_state["der"].buffer.data["input"])
    assert kept.dtype == np.uint8
    raw = {image.tobytes() for image in nets.tasks()[0].train_inputs}
    assert {image.tobytes() for image in kept} <= raw


@pytest.mark.slow
def test_the_fisher_of_ewc_is_that_of_the_network_as_it_is_tested():
    """By hand, one class of one example after the other: running means, and nothing dropped."""
    setup = set_up(check_config(nets.settings("ewc")), nets.tasks())
    begun = (e for e in go_on(setup) if isinstance(e, EpochEnded) and e.task_index == 1)
    information = next(begun).learner.transform_state["ewc"].importance
    ended = next(e for e in go_on(setup) if isinstance(e, EpochEnded))  # of the first task
    params, stats = ended.learner.model.variables
    images = jnp.asarray(nets.tasks()[0].train_inputs, jnp.float32) / 255

    def log_odds(params, image, label):
        tree = {"params": params["shared"], **stats["shared"]}
        features = nets.Linen().apply(tree, image[None], train=False)
        return jax.nn.log_softmax(head_of(params, "t00", features))[0, label]

    def of_one(image):
        def of_class(label):
            value, slope = jax.value_and_grad(log_odds)(params, image, label)
            return jax.tree.map(lambda g: jnp.exp(value) * g**2, slope)

        return jax.tree.map(lambda x: x.sum(0), jax.vmap(of_class)(jnp.arange(3)))

    fisher = jax.tree.map(lambda x: x.mean(0), jax.jit(jax.vmap(of_one))(images))
    found = {part: information[part] for part in ("shared",)}
    chex.assert_trees_all_close(found, {"shared": fisher["shared"]}, rtol=1e-3, atol=1e-7)


def copied(model):
    return {part: jax.tree.map(np.array, getattr(model, part)) for part in ("params", "stats")}


def test_a_frozen_backbone_is_passed_as_it_is_tested():
    setup = set_up(check_config(nets.settings("feature_extraction")), nets.tasks())
    ends = (event.learner.model for event in go_on(setup) if isinstance(event, EpochEnded))
    # Copies: a step is given what it goes on from.
    first, second = (model._replace(**copied(model)) for model in ends)
    chex.assert_trees_all_equal(second.stats, first.stats)
    chex.assert_trees_all_equal(second.params["shared"], first.params["shared"])
    assert (second.params["heads"]["t01"]["w"] != 0).any()
