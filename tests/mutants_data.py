"""Faults for ``mutants.py``: one replacement in one line of one file each."""

from typing import NamedTuple


class Mutant(NamedTuple):
    """A fault.

    Attributes:
      name: says what is wrong.
      file: in the package.
      old: a text that the file has exactly once.
      new: what takes its place.
      tests: files or tests, separated by spaces, that must notice it.
    """

    name: str
    file: str
    old: str
    new: str
    tests: str


AGEM = "jaxcl/transforms/rehearsal/agem.py"
ADAPTER = "jaxcl/networks/adapters/backbone.py"
CHAIN = "jaxcl/transforms/chaining.py"
BUFFERS = "jaxcl/transforms/rehearsal/buffers.py"
CHECKPOINT = "jaxcl/checkpointing/checkpoint.py"
CONSOLE = "jaxcl/reporting/console.py"
COURSE = "jaxcl/reporting/live/course.py"
MATRIX = "jaxcl/reporting/matrix.py"
UNFINISHED = "jaxcl/checkpointing/unfinished.py"
OF_BESIDE = "tests/transforms/rehearsal/test_beside.py"
OF_LOOPS = "tests/networks/test_loop_convolution.py"
OF_ONE_HEAD = "tests/learner/test_one_head.py"
ALIKE = "test_one_array_learns_what_an_array_for_each_task_does"
OF_WIDTHS = "tests/reporting/test_widths.py"
OF_WINOGRAD_ROWS = "tests/networks/test_winograd_rows.py"
DARK = "jaxcl/transforms/rehearsal/der.py"
DERIVE = "jaxcl/scenarios/derive.py"
DISTILL = "jaxcl/transforms/distillation.py"
OLD_RESPONSES = "jaxcl/transforms/old_responses.py"
DRAWINGS = "jaxcl/scenarios/datasets/drawings.py"
EQUINOX = "jaxcl/networks/adapters/equinox.py"
EVALUATION = "jaxcl/training/evaluation.py"
GENERATOR = "jaxcl/training/generative/generator.py"
GROWN = "jaxcl/networks/adapters/grown.py"
ACE = "jaxcl/transforms/rehearsal/er_ace.py"
GDUMB = "jaxcl/transforms/rehearsal/gdumb.py"
FROZEN = "jaxcl/scenarios/datasets/frozen.py"
GROWTH = "jaxcl/growth/parameters.py"
HERDING = "jaxcl/transforms/rehearsal/herding.py"
ICARL = "jaxcl/transforms/rehearsal/icarl.py"
BIC = "jaxcl/transforms/recency_bias/bic.py"
EXEMPLARS = "jaxcl/transforms/recency_bias/exemplars.py"
COSINE = "jaxcl/transforms/recency_bias/cosine.py"
LUCIR = "jaxcl/transforms/recency_bias/lucir.py"
LINEAR = "jaxcl/transforms/recency_bias/linear_correction.py"
IMPORTANCE = "jaxcl/transforms/penalties/importance.py"
PER_EXAMPLE = "jaxcl/transforms/penalties/per_example.py"
SEPARABLE = "jaxcl/networks/convolutions/separable.py"
L2 = "jaxcl/transforms/penalties/l2.py"
L2_INIT = "jaxcl/transforms/plasticity/l2_init.py"
LEARN = "jaxcl/learner/task_loop.py"
LEARNER = "jaxcl/learner/state.py"
LOSSES = "jaxcl/transforms/objectives/losses.py"
GRADIENTS = "jaxcl/transforms/differentiation.py"
LINEN = "jaxcl/networks/adapters/linen.py"
TRAINABLE = "jaxcl/growth/trainable.py"
METRICS = "jaxcl/reporting/metrics.py"
CAPTION = "jaxcl/reporting/pages/caption.py"
CLAIMS = "jaxcl/reporting/pages/claims.py"
MEASURES = "jaxcl/transforms/plasticity/measures.py"
CATEGORICAL = "jaxcl/transforms/objectives/categorical.py"
BINARY = "jaxcl/transforms/objectives/binary.py"
SQUARED = "jaxcl/transforms/objectives/squared.py"
NNX = "jaxcl/networks/adapters/nnx.py"
PATH = "jaxcl/transforms/penalties/si.py"
QUADRATIC = "jaxcl/transforms/penalties/ewc.py"
RANDOM = "jaxcl/core/random.py"
LWF = "jaxcl/methods/lwf.py"
RANPAC = "jaxcl/transforms/between_tasks/random_projection.py"
REPLAY = "jaxcl/transforms/rehearsal/replay.py"
WALK = "jaxcl/transforms/penalties/rwalk.py"
OF_CLASSES = "jaxcl/transforms/between_tasks/class_statistics.py"
NEAREST = "jaxcl/transforms/between_tasks/nearest_mean.py"
PERTURB = "jaxcl/transforms/between_tasks/shrink_perturb.py"
RIDGE = "jaxcl/transforms/between_tasks/ridge.py"
REDO = "jaxcl/transforms/plasticity/redo.py"
RESULT = "jaxcl/front/networks.py"
ROUTING = "jaxcl/growth/routing.py"
SCHOLAR = "jaxcl/learner/scholar.py"
SETTINGS = "jaxcl/growth/heads.py"
SIMILARITY = "jaxcl/growth/similarity.py"
SLDA = "jaxcl/transforms/between_tasks/streaming_lda.py"
SNAPSHOT = "jaxcl/learner/snapshot.py"
TASK = "jaxcl/scenarios/task.py"
TRAIN = "jaxcl/training/train_step.py"
PROGRAM = "jaxcl/training/program.py"
STEP = "jaxcl/training/step.py"
TREES = "jaxcl/core/pytree.py"
USPS = "jaxcl/scenarios/datasets/usps.py"
WGAN = "jaxcl/transforms/wgan_gp.py"
WINOGRAD_ROWS = "jaxcl/networks/convolutions/winograd_rows.py"

OF_ACE = "tests/transforms/rehearsal/test_er_ace.py"
OF_AGEM = "tests/transforms/rehearsal/test_agem.py"
OF_BETWEEN = "tests/learner/test_between_tasks.py"
OF_ADAPTERS = "tests/networks/adapters/test_adapters.py"
OF_BUFFERS = "tests/transforms/rehearsal/test_buffers.py"
OF_DARK = "tests/transforms/rehearsal/test_der.py"
OF_OLD_RESPONSES = "tests/transforms/test_old_responses.py"
OF_DISTILL = "tests/transforms/test_distill.py"
OF_FOREIGN = "tests/learner/test_foreign.py"
OF_GDUMB = "tests/transforms/rehearsal/test_gdumb.py"
OF_GENERATOR = "tests/training/test_generator.py"
OF_FROZEN = "tests/scenarios/test_frozen.py"
OF_FISHER = "tests/transforms/penalties/test_importance.py::test_the_fisher_of_softmax_regression_has_a_closed_form"
OF_GROWN = "tests/networks/adapters/test_grown.py"
OF_GRADIENTS = "tests/transforms/test_gradients.py"
OF_ICARL = "tests/transforms/rehearsal/test_icarl.py"
OF_L2_INIT = "tests/transforms/plasticity/test_l2_init.py"
OF_BIC = "tests/transforms/recency_bias/test_bic.py"
OF_LUCIR = "tests/transforms/recency_bias/test_lucir.py"
OF_LINEAR = "tests/transforms/recency_bias/test_linear_correction.py"
OF_MAS = "tests/transforms/penalties/test_importance.py::test_the_importance_of_mas_by_hand_on_a_linear_network"
OF_NEAREST = "tests/transforms/between_tasks/test_nearest_mean.py"
OF_ONLINE = "tests/transforms/rehearsal/test_online.py"
OF_OBJECTIVES = "tests/transforms/objectives/test_objectives.py"
OF_OBJECTIVES_FISHER = "tests/transforms/objectives/test_fisher.py"
OF_HALF = "tests/transforms/test_bfloat16.py"
OF_WITH = "tests/transforms/test_with_objectives.py"
OF_LEARNER = "tests/learner/test_state.py"
OF_MEASURES = "tests/transforms/plasticity/test_measures.py"
OF_NEWEST = "tests/learner/test_newest.py"
PICTURES, OF_PICTURES = "jaxcl/reporting/pictures", "tests/reporting/test_pictures.py"
OF_HTML = "tests/reporting/test_html.py"
OF_LOGGERS = "tests/reporting/test_loggers.py"
OF_METRICS = "tests/reporting/test_metrics.py"
OF_CAPTION = "tests/reporting/test_caption.py"
OF_CLAIMS = "tests/reporting/test_claims.py"
OF_PATH = "tests/transforms/penalties/test_si.py"
OF_PREPARE = "tests/scenarios/test_prepare.py"
OF_PERTURB = "tests/transforms/between_tasks/test_shrink_perturb.py"
OF_QUADRATIC = "tests/transforms/penalties/test_ewc.py"
OF_REDO = "tests/transforms/plasticity/test_redo.py"
OF_RESETS = "tests/learner/test_reset_units.py"
OF_REHEARSAL = "tests/learner/test_rehearsal.py"
OF_RANPAC = "tests/transforms/between_tasks/test_random_projection.py"
OF_REPLAY = "tests/transforms/rehearsal/test_replay.py"
OF_SETTINGS = "tests/growth/test_heads.py"
OF_SIMILARITY = "tests/growth/test_similarity.py"
OF_SLDA = "tests/transforms/between_tasks/test_streaming_lda.py"
OF_TRAIN = "tests/training/test_train_step.py"
OF_WALK = "tests/transforms/penalties/test_rwalk.py"
OF_WGAN = "tests/transforms/test_wgan_gp.py"

# fmt: off
# ruff: noqa: E501
MUTANTS = [
    # Penalties on the weights.
    Mutant("ewc-anchor-of-the-first-task", QUADRATIC,
        "a + s * (wide(w) - a)", "jnp.where(s < 1, a, w)", OF_QUADRATIC),
    Mutant("ewc-anchor-of-the-latest-task", QUADRATIC, "a + s * (wide(w) - a)", "w", OF_QUADRATIC),
    Mutant("ewc-without-the-half", QUADRATIC,
        "factor * (far + state.constant)", "far + state.constant", OF_QUADRATIC),
    Mutant("ewc-online-decay-of-the-new", QUADRATIC,
        "decay * old + f", "old + decay * f", OF_QUADRATIC),
    Mutant("fisher-of-the-batch-mean", IMPORTANCE,
        "mean_importance(params, task, key, directions, jnp.square, examples)",
        "jax.tree.map(jnp.square, mean_importance(params, task, key, directions, lambda g: g, examples))",
        OF_FISHER),
    Mutant("fisher-over-n-minus-one", PER_EXAMPLE, "x / n, total", "x / (n - 1), total",
        OF_FISHER),
    Mutant("fisher-of-classes-alike", CATEGORICAL, "jnp.sqrt(p.T)[:, :, None] * each", "each",
        OF_FISHER),
    Mutant("fisher-of-positions-together", CATEGORICAL,
        "alone = jnp.eye(p.shape[1])[:, None, None, :, None] * scaled", "alone = scaled",
        OF_OBJECTIVES_FISHER),
    Mutant("fisher-of-masked-positions", CATEGORICAL,
        "p = jnp.where(known[..., None], p, 0.0).reshape(", "p = p.reshape(", OF_OBJECTIVES_FISHER),
    Mutant("fisher-of-masked-draws", CATEGORICAL,
        "jnp.where(known[..., None], found, 0.0)[None]", "found[None]", OF_OBJECTIVES_FISHER),
    Mutant("fisher-of-marks-without-their-odds", BINARY,
        "jnp.sqrt(p * jax.nn.sigmoid(-logits))", "jnp.sqrt(p)", OF_OBJECTIVES_FISHER),
    Mutant("fisher-of-numbers-with-their-errors", SQUARED,
        "one_each(jnp.ones_like(found))", "one_each(found)", OF_OBJECTIVES_FISHER),
    Mutant("fisher-rounded-as-it-adds-up", PER_EXAMPLE,
        "return jax.tree.map(jnp.add, total, found), None",
        "return jax.tree.map(lambda t, x: (t + x).astype(jnp.bfloat16).astype(t.dtype), total, found), None",
        OF_HALF),
    Mutant("anchors-rounded-like-the-weights", QUADRATIC, "a + s * (wide(w) - a)",
        "(a + s * (wide(w) - a)).astype(w.dtype).astype(a.dtype)", OF_HALF),
    Mutant("fisher-of-classes-whatever-is-learned", IMPORTANCE,
        "directions = objective.directions(", "directions = categorical.directions(",
        OF_OBJECTIVES_FISHER),
    Mutant("mas-squared", IMPORTANCE, "_of_norm, jnp.abs", "_of_norm, jnp.square", OF_MAS),
    Mutant("mas-half-of-the-gradient", IMPORTANCE,
        "return 2 * jnp.where(", "return jnp.where(", OF_MAS),
    Mutant("si-total-gradient", PATH,
        'step.loss_gradient if gradient == "loss" else step.gradient', "step.gradient", OF_PATH),
    Mutant("si-total-gradient-from-the-step", STEP,
        "_Found(gradient, plain_gradient,", "_Found(gradient, gradient,",
        f"{OF_TRAIN}::test_a_step_tells_the_gradient_of_the_plain_loss_from_that_of_the_whole"),
    Mutant("si-wrong-sign", PATH, "path - wide(g) * (wide", "path + wide(g) * (wide", OF_PATH),
    Mutant("si-unclipped", PATH, "jax.nn.relu(path /", "(path /", OF_PATH),
    Mutant("rwalk-without-the-half", WALK,
        "moved = known / 2 *", "moved = known *", OF_WALK),
    Mutant("rwalk-divides-by-the-new-fisher", WALK,
        "jnp.where(fisher > 0, fisher, squares / steps)", "squares / steps", OF_WALK),
    Mutant("rwalk-share-of-the-old-fisher", WALK,
        "state.alpha * new + (1 - state.alpha) * fisher", "(1 - state.alpha) * new + state.alpha * fisher", OF_WALK),
    Mutant("rwalk-total-gradient", WALK,
        "g, after = step.loss_gradient, step.after", "g, after = step.gradient, step.after", OF_WALK),
    Mutant("rwalk-batch-mean-as-it-is", WALK, "0) + b * wide(g)", "0) + wide(g)", OF_WALK),
    Mutant("rwalk-fisher-of-resting-weights-fades", WALK,
        "jnp.where(squares < 0, fisher, new)", "new", OF_WALK),
    Mutant("rwalk-unclipped", WALK, "jax.nn.relu(path /", "(path /", OF_WALK),
    Mutant("rwalk-scores-added-up", WALK, "(old + new) / 2", "old + new", OF_WALK),
    Mutant("rwalk-last-steps-lost", WALK, ") % segment:", ") % segment < 0:", OF_WALK),
    Mutant("si-undamped", PATH, "(wide(now) - then) ** 2 + state.xi", "(wide(now) - then) ** 2", OF_PATH),
    Mutant("l2-without-the-half", L2, "for x in leaves) / 2", "for x in leaves)",
        "tests/transforms/penalties/test_l2.py"),
    Mutant("l2-later-with-the-first-coefficient", L2,
        "jnp.asarray(later, jnp.float32)", "jnp.asarray(strength, jnp.float32)",
        "tests/transforms/penalties/test_l2.py"),
    Mutant("old-weights-let-go-by-growth", TREES,
        "return new.at[tuple(slice(0, n) for n in leaf.shape)].set(leaf)", "return new",
        "tests/core/test_pytree.py"),
    Mutant("chain-in-the-reverse-order", CHAIN,
        "metrics = {}\n        for name, t in transforms.items():",
        "metrics = {}\n        for name, t in reversed(transforms.items()):",
        "tests/transforms/test_base.py"),
    # The gradients of a user's loop.
    Mutant("gradients-as-if-the-loss-were-only-added-to", GRADIENTS,
        "of_loss.astype(slope.dtype) * slope + more", "slope + more", OF_GRADIENTS),
    Mutant("gradients-without-those-of-the-weights", GRADIENTS,
        "jax.tree.map(jnp.add, pull(combined)[0], direct)", "pull(combined)[0]", OF_GRADIENTS),
    Mutant("gradients-not-through-features", GRADIENTS,
        "return (found.outputs, found.features), found.aux",
        "return (found.outputs, jax.lax.stop_gradient(found.features)), found.aux", OF_GRADIENTS),
    Mutant("gradients-of-the-whole-loss-twice", GRADIENTS,
        "Gradients(gradient, of_plain", "Gradients(gradient, gradient", OF_GRADIENTS),
    # Old responses.
    Mutant("distillation-without-temperature", LOSSES,
        "soft_cross_entropy(logits / temperature", "soft_cross_entropy(logits",
        "tests/transforms/test_losses.py"),
    Mutant("distillation-of-a-sharp-teacher", LOSSES,
        "softmax(teacher_logits / temperature)", "softmax(teacher_logits)",
        "tests/transforms/test_losses.py"),
    Mutant("masked-positions-count", CATEGORICAL,
        "jnp.maximum(known.sum(positions), 1)", "jnp.maximum(known[0].size, 1)", OF_OBJECTIVES),
    Mutant("marks-of-a-sharp-teacher", BINARY,
        "sigmoid(before / softness)", "sigmoid(before)", OF_OBJECTIVES),
    Mutant("marks-that-came-since-at-even-odds", BINARY,
        "new.shape[-1], True, -jnp.inf", "new.shape[-1], True, 0.0", OF_OBJECTIVES),
    Mutant("marks-averaged", BINARY, "return each.sum(", "return each.mean(", OF_OBJECTIVES),
    Mutant("numbers-with-a-temperature-in-replay", REPLAY,
        "if chosen.objective.logits else softened", "if True else softened", OF_WITH),
    Mutant("numbers-with-a-temperature-in-distillation", DISTILL,
        "t_squared and objective.logits", "t_squared", OF_WITH),
    Mutant("t-squared-always", DISTILL, "if chosen.t_squared:", "if True:", OF_DISTILL),
    Mutant("t-squared-never", DISTILL, "if chosen.t_squared:", "if False:", OF_DISTILL),
    Mutant("t-squared-missing-in-replay", REPLAY,
        "state.temperature**2 * softened", "softened", "tests/transforms/rehearsal/test_memory.py::test_soft_responses_by_hand_where_classes_are_new"),
    Mutant("new-classes-in-an-old-response-by-their-opposite", LWF,
        'self.new_classes == "zero"', 'self.new_classes == "out"', "tests/learner/test_protocols.py"),
    Mutant("t-squared-whatever-the-settings", LWF,
        "t_squared=self.t_squared", "t_squared=True", OF_LEARNER),
    Mutant("responses-of-the-training-network", DISTILL,
        "response = old[rows]", "response = new[..., : old.shape[-1]]", OF_DISTILL),
    Mutant("responses-recorded-after-growth", LEARN,
        "whole_task(setup, learner, data)._replace",
        "whole_task(setup, learner.changed(params=growth.variables.params, routes=(*learner.model.routes, pathway)), data)._replace",
        OF_LEARNER),
    Mutant("distillation-in-the-first-task", DISTILL,
        "state.tasks > 0, ", "state.tasks >= 0, ", OF_DISTILL),
    # Replay.
    Mutant("replay-weights-swapped", REPLAY,
        "return r * loss + (1 - r) * replayed", "return (1 - r) * loss + r * replayed", OF_REPLAY),
    Mutant("replay-one-over-k-plus-one", REPLAY,
        "1 / (state.tasks + 1)", "1 / (state.tasks + 2)", OF_REPLAY),
    Mutant("new-task-one-over-k-plus-one", LEARNER,
        "1 / (task_index + 1)", "1 / (task_index + 2)", OF_LEARNER),
    Mutant("reservoir-always-replaces", BUFFERS,
        "(key, (), 0, buffer.seen[0])", "(key, (), 0, capacity)",
        f"{OF_BUFFERS}::test_a_reservoir_keeps_every_example_equally_often"),
    Mutant("reservoir-never-replaces", BUFFERS,
        "jnp.minimum(row, capacity)", "jnp.maximum(row, capacity)",
        f"{OF_BUFFERS}::test_a_reservoir_keeps_every_example_equally_often"),
    Mutant("ring-off-by-one", BUFFERS, "(buffer.seen[0] - 1) % capacity",
        "buffer.seen[0] % capacity", f"{OF_BUFFERS}::test_a_ring_keeps_the_latest_in_order_of_age"),
    Mutant("der-counts-outputs-that-were-not", DARK,
        "jnp.where(known, logits - target, 0.0)", "(logits - target)", OF_DARK),
    Mutant("der-compares-masked-positions", DARK,
        "if chosen.objective.classes and labels.ndim > 1:", "if False:", OF_WITH),
    Mutant("der-pp-labels-weighed-as-logits", DARK,
        "penalty += state.beta * terms[1]", "penalty += state.alpha * terms[1]", OF_DARK),
    Mutant("der-counts-labels-too", DARK,
        "_DER(reservoir(capacity), classes, alpha, None,",
        "_DER(reservoir(capacity), classes, alpha, 0.5,", OF_DARK),
    Mutant("der-pp-draws-once", DARK, "_drawn(chosen, state, context, 1)", "(batch, logits)",
        f"{OF_DARK}::test_the_two_terms_are_taken_over_two_draws"),
    Mutant("ace-all-classes-for-new-examples", ACE,
        "among(logits, present.any(0))", "among(logits, state.seen)", OF_ACE),
    Mutant("ace-plain-loss-stays", ACE,
        "(loss - objective.loss(logits, labels).mean()) + incoming", "loss + incoming", OF_ACE),
    Mutant("ace-outputs-without-data", ACE,
        "seen[classes[classes >= 0]] = True", "seen[:] = True", OF_ACE),
    Mutant("ace-forgets-classes", ACE, "seen[: len(known)] = known", "pass", OF_ACE),
    Mutant("online-draws-before-anything-is-kept", REPLAY,
        "jnp.where(begun, r, 1.0)", "r", OF_ONLINE),
    Mutant("online-offers-with-the-key-of-the-draw", "jaxcl/transforms/rehearsal/memory.py",
        "stream(step.context.key, name, 1)", "stream(step.context.key, name)", OF_ONLINE),
    Mutant("draw-as-large-as-the-batch", REPLAY,
        "examples(context.batch) if chosen.n is None else chosen.n", "examples(context.batch)",
        OF_ONLINE),
    Mutant("greedy-share-of-all-classes", BUFFERS,
        "fewer = stored[own] * (buffer.seen > 0).sum() < capacity",
        "fewer = stored[own] * classes < capacity", OF_GDUMB),
    Mutant("greedy-smallest-class-goes", BUFFERS,
        "most = (stored == stored.max())[labels]", "most = stored[labels] == stored[labels].min()",
        OF_GDUMB),
    Mutant("gdumb-tasks-share-their-classes", GDUMB,
        "first = int(state.classes) if chosen.by_task else 0", "first = 0", OF_GDUMB),
    Mutant("gdumb-rows-as-they-came", GDUMB,
        "order[:n] = sorted(", "sorted(", OF_GDUMB),
    Mutant("gdumb-trains-on-the-task", "jaxcl/learner/seed_loop.py",
        "of_common_length(content(learner.transform_state[name].memory), _longest(setup))", "given",
        f"{OF_REHEARSAL}::test_fresh_weights_know_the_buffer_alone"),
    Mutant("herding-towards-the-mean-alone", HERDING, "total += rows[best]", "pass", OF_ICARL),
    Mutant("herding-takes-an-example-twice", HERDING,
        "left[best] = False", "left[best] = True", OF_ICARL),
    Mutant("exemplars-all-stay", HERDING, "else rows[:m])", "else rows)", OF_ICARL),
    Mutant("exemplars-first-ones-go", HERDING, "else rows[:m])", "else rows[-m:])", OF_ICARL),
    Mutant("exemplars-that-come-again-are-not-herded", HERDING,
        "again = rows[-1] >= old", "again = rows[0] >= old", OF_ICARL),
    Mutant("exemplars-out-of-order", HERDING,
        "return take(both, jnp.asarray(order))", "return both", OF_ICARL),
    Mutant("exemplars-drawn-from-empty-room", HERDING,
        "jnp.asarray(n, jnp.int32)", "jnp.asarray(m, jnp.int32)", OF_ICARL),
    Mutant("exemplars-kept-with-empty-room", HERDING,
        "n, data = int(exemplars.filled), exemplars.data",
        "n, data = None, exemplars.data", OF_ICARL),
    Mutant("icarl-old-responses-for-new-classes", ICARL,
        "held &= ~as_wide(state.new, old.shape[-1])", "held &= True", OF_ICARL),
    Mutant("icarl-labels-for-old-classes", ICARL,
        "jnp.where(jnp.pad(held, missing), response, target)", "target", OF_ICARL),
    Mutant("icarl-classes-without-data", ICARL,
        "jnp.where(seen, each, 0.0)", "each", OF_ICARL),
    Mutant("icarl-exemplars-as-often-as-new", ICARL, "n / (n + p)", "1 / 2", OF_ICARL),
    Mutant("icarl-responses-of-another-head", ICARL,
        "None if chosen.by_task else old)", "old)", OF_ICARL),
    Mutant("icarl-exemplars-apart-from-the-batch", ICARL,
        "logits = context.logits(outputs, batch)",
        "logits = context.logits(context.outputs, context.batch)", OF_ICARL),
    Mutant("exemplars-answered-for-new-examples", OLD_RESPONSES,
        "part(slice(n, None), beside.batch)", "part(slice(n), beside.batch)",
        f"{OF_OLD_RESPONSES} {OF_ICARL}"),
    Mutant("icarl-means-not-of-length-one", HERDING, "return unit(sums)", "return sums", OF_ICARL),
    Mutant("bic-trains-on-what-is-held-out", BIC,
        "1 - state.held[rows].astype(jnp.float32)", "jnp.ones_like(each)", OF_BIC),
    Mutant("bic-old-responses-uncorrected", BIC,
        "jnp.where(had, corrected(old, state.correction), NEVER)",
        "jnp.where(had, old, NEVER)", OF_BIC),
    Mutant("bic-losses-of-uncorrected-logits", BIC,
        "    q = corrected(logits, state.correction)", "    q = logits", OF_BIC),
    Mutant("bic-lambda-of-new-classes", BIC,
        "len(known) / (len(known) + len(new))", "len(new) / (len(known) + len(new))", OF_BIC),
    Mutant("bic-corrects-old-classes", BIC,
        " & ~as_wide(state.classes, width)", "", OF_BIC),
    Mutant("bic-distils-all-classes", BIC, "jnp.where(known, q, NEVER)", "q", OF_BIC),
    Mutant("bic-fit-not-balanced", BIC,
        "balanced = of_classes.first_of_each(validation, chosen.label, each)", "balanced = validation",
        OF_BIC),
    Mutant("bic-fits-without-earlier-corrections", BIC,
        "logits = corrected(recorded_logits(task, params, balanced), state.correction)",
        "logits = recorded_logits(task, params, balanced)", OF_BIC),
    Mutant("exemplars-for-validation-are-the-last", EXEMPLARS, "[:m] for kind", "[-m:] for kind",
        OF_BIC),
    Mutant("fit-without-ridge", LINEAR, "ridge / 2 * (off * off).sum()", "0 * ridge", OF_LINEAR),
    Mutant("fit-of-all-classes", LINEAR,
        "jnp.where(own, pair[0] * logits + pair[1], logits)", "pair[0] * logits + pair[1]",
        OF_LINEAR),
    Mutant("fit-with-whole-steps", LINEAR,
        "lengths[jnp.argmax(falls)]", "1.0", OF_LINEAR),
    Mutant("cosines-of-long-weights", COSINE, "(rows @ unit(w, 0))", "(rows @ w)", OF_LUCIR),
    Mutant("cosines-without-a-scale", COSINE,
        "jnp.sqrt((w * w).sum(0) + TINY).mean() * (", "1.0 * (", OF_LUCIR),
    Mutant("lucir-lambda-upside-down", LUCIR,
        "math.sqrt(len(old) / len(here))", "math.sqrt(len(here) / len(old))", OF_LUCIR),
    Mutant("lucir-features-are-not-held", LUCIR,
        "(1 - (rows * old).sum(-1)).mean()", "0.0", OF_LUCIR),
    Mutant("lucir-margin-to-all-classes", LUCIR, "cosines[:, new]", "cosines", OF_LUCIR),
    Mutant("lucir-margin-of-those-that-are-ahead", LUCIR,
        "jnp.maximum(0, chosen.margin - own + nearest)", "(chosen.margin - own + nearest)",
        OF_LUCIR),
    Mutant("lucir-margin-weighed-by-the-share", LUCIR,
        "return plain + mean + above, metrics",
        "return plain + mean + (1 - state.share) * above, metrics", OF_LUCIR),
    Mutant("replay-is-given-features-for-outputs", "jaxcl/core/types.py",
        "return found.outputs if isinstance(found, ForwardPass) else found",
        "return found.features if isinstance(found, ForwardPass) else found", OF_LUCIR),
    # Generator and critic.
    Mutant("gradient-penalty-without-root", WGAN,
        "jnp.square(norm - 1)", "jnp.square(squares - 1)", OF_WGAN),
    Mutant("gradient-penalty-at-real-points", WGAN,
        "mixed(key, context.batch[REAL], context.batch[FAKE])", "context.batch[REAL]", OF_WGAN),
    Mutant("one-mixture-for-all-pairs", WGAN, "(len(real), *(", "(1, *(", OF_WGAN),
    Mutant("critic-loss-wrong-sign", WGAN,
        "return wide(fake).mean() - wide(real).mean()",
        "return wide(real).mean() - wide(fake).mean()", OF_WGAN),
    Mutant("generator-before-the-critic", GENERATOR,
        "gan.criticise(critic, gan.generate(", "gan.criticise(state.critic, gan.generate(",
        f"{OF_GENERATOR}::test_iterations_by_hand"),
    Mutant("real-and-made-images-swapped", GENERATOR,
        "critic_loss(both[:n], both[n:])", "critic_loss(both[n:], both[:n])",
        f"{OF_GENERATOR}::test_iterations_by_hand"),
    Mutant("generator-average-decay-swapped", GENERATOR,
        "decay * a + (1 - decay) * g", "(1 - decay) * a + decay * g",
        f"{OF_GENERATOR}::test_the_running_average_by_hand"),
    Mutant("real-and-replayed-shares-swapped", GENERATOR,
        "own, mixture.real[rows], mixture.replayed[others]",
        "own, mixture.replayed[others], mixture.real[rows]",
        f"{OF_GENERATOR}::test_real_and_replayed_images_have_their_shares"),
    Mutant("unbalanced-labels", SCHOLAR,
        "1 / counts[labels]", "counts[labels].astype(jnp.float32)",
        "tests/learner/test_scholar.py::test_balanced_rows_are_as_frequent_for_every_label"),
    # What trains.
    Mutant("frozen-leaves-train", PROGRAM,
        "partition(variables.params, mask)", "partition(variables.params, __import__(\"jax\").tree.map(lambda _: True, mask))",
        f"{OF_TRAIN}::test_a_phase_splits_the_tree_and_may_go_on_with_an_optimiser"),
    Mutant("branches-of-other-routes-train", GROWTH,
        "path[1] == route[net.layers.index(layer)]", "True", OF_LEARNER),
    Mutant("old-heads-train", TRAINABLE, "or path[1] in heads)", "or bool(heads))", OF_LEARNER),
    Mutant("old-columns-train", TRAINABLE,
        "path[0] in net.layers and path[1] == pathway.task", "path[0] in net.layers", OF_LEARNER),
    Mutant("warm-up-trains-shared-layers", LEARNER,
        "* warmup, new_parts)", "* warmup, trains)", OF_LEARNER),
    Mutant("optimizer-never-kept", LEARN,
        "kept = kept if training.keep_optimizer else []", "kept = []", OF_LEARNER),
    Mutant("moments-of-what-rests-forgotten", LEARN,
        "kept = old + ([]", "kept = (old",
        f"{OF_LEARNER}::test_what_rests_in_a_warm_up_goes_on_with_its_moments"),
    Mutant("moments-of-what-rests-not-saved", SNAPSHOT,
        '"kept": None if state is None else learner.phase.opt', '"kept": None',
        "tests/learner/test_snapshot.py::test_going_on_from_any_moment_gives_the_same_bits"),
    Mutant("kept-optimizer-forgotten", PROGRAM, "opt if each is None else regrow(each, opt)", "opt",
        f"{OF_TRAIN}::test_a_phase_splits_the_tree_and_may_go_on_with_an_optimiser"),
    # Settings, routes and tests.
    Mutant("first-label-off-by-one-task", SETTINGS,
        "sum(classes[:task_index])", "sum(classes[: task_index + 1])", OF_SETTINGS),
    Mutant("head-of-the-task-before", SETTINGS,
        '(batch["task"] == t)', '(batch["task"] == t - 1)', OF_SETTINGS),
    Mutant("absent-classes-have-a-say", SETTINGS, "constant_values=NEVER", "constant_values=0.0",
        OF_SETTINGS),
    Mutant("classes-in-another-order", SETTINGS,
        "for p in routes], -1", "for p in routes[::-1]], -1", OF_SETTINGS),
    Mutant("loss-of-what-is-no-logits", EVALUATION,
        "labels) if logits else None", "labels)",
        "tests/learner/test_between_tasks.py::test_a_task_is_judged_by_what_is_kept_of_it"),
    Mutant("tested-on-the-first-route", EVALUATION, "view.routes[place_in(view, task_index)]", "view.routes[0]",
        f"{OF_TRAIN}::test_a_task_is_tested_along_its_own_route_by_its_own_head"),
    Mutant("similarity-is-a-distance", SIMILARITY,
        "1.0 - frechet_distance(a, b) / float(size)", "frechet_distance(a, b) / float(size)",
        OF_SIMILARITY),
    Mutant("covariance-over-n-minus-one", SIMILARITY,
        "/ count - np.outer", "/ (count - 1) - np.outer", OF_SIMILARITY),
    Mutant("covariance-uncentred", SIMILARITY,
        " / count - np.outer(mean, mean)", " / count", OF_SIMILARITY),
    Mutant("unlike-tasks-share", ROUTING,
        "similarity(best) >= threshold", "similarity(best) <= threshold", "tests/growth/test_routing.py"),
    Mutant("branch-copied-from-the-least-alike", ROUTING,
        "max(branches, key=similarity)", "min(branches, key=similarity)", "tests/growth/test_routing.py"),
    # Gradients, weights and predictions between and beside the losses.
    Mutant("agem-projects-always", AGEM, "against = along < 0", "against = along < jnp.inf", OF_AGEM),
    Mutant("agem-wrong-sign", AGEM, "wide(g) - jnp.asarray(share", "wide(g) + jnp.asarray(share", OF_AGEM),
    Mutant("agem-along-the-unit-reference", AGEM,
        "/ jnp.where(size > 0, size, 1)", "/ jnp.sqrt(jnp.where(size > 0, size, 1))", OF_AGEM),
    Mutant("agem-products-in-half-precision", AGEM,
        "jnp.vdot(wide(x), wide(y))", "wide(jnp.vdot(x, y))", OF_AGEM),
    Mutant("agem-draws-what-replay-draws", AGEM,
        "stream(key, chosen.name), n)", 'stream(key, "replay"), n)', OF_AGEM),
    Mutant("agem-as-many-as-are-new", AGEM,
        "if chosen.n is None else chosen.n", "if True else chosen.n", OF_AGEM),
    Mutant("perturbed-by-the-variance", PERTURB,
        "noise * jax.random.normal(", "noise**2 * jax.random.normal(", OF_PERTURB),
    Mutant("perturbed-evenly", PERTURB, "jax.random.normal(own, jnp.shape(x), kind)",
        "jax.random.uniform(own, jnp.shape(x), kind, -(3**0.5), 3**0.5)", OF_PERTURB),
    Mutant("perturbed-alike", PERTURB,
        "own = stream(stream(key, name), jax.tree_util.keystr(path))", "own = stream(key, name)",
        OF_PERTURB),
    Mutant("noise-shrinks-too", PERTURB,
        "shrink * wide(x) + noise * jax.random", "shrink * (wide(x) + noise) * jax.random", OF_PERTURB),
    Mutant("redo-keeps-outgoing-weights", REDO,
        'to[reader] = {**to[reader], "w": jnp.where(units, 0, to[reader]["w"])}', "pass", OF_REDO),
    Mutant("redo-keeps-the-heads", REDO,
        "jax.tree.map(jnp.zeros_like, params[HEADS])", "params[HEADS]", OF_REDO),
    Mutant("redo-keeps-biases", REDO,
        'where[layer] = {"w": units[None, :], "b": units}', 'where[layer] = {"w": units[None, :], "b": units & False}', OF_REDO),
    Mutant("redo-resets-rows-for-columns", REDO,
        'where[reader]["w"] | units}', 'where[reader]["w"] & units}', OF_REDO),
    Mutant("redo-looks-in-each-step", REDO,
        "due = steps % period == 0", "due = steps % 1 == 0", OF_REDO),
    Mutant("redo-never-forgets-activity", REDO,
        "begins = state.steps % period == 0", "begins = state.steps == 0", OF_REDO),
    Mutant("redo-of-the-same-draw", REDO,
        "stream(key, name)), lambda", "jax.random.key(0)), lambda", OF_REDO),
    Mutant("moments-stay", TREES,
        "reset_values(node, zero) if alike(node) else node", "node if alike(node) else node", OF_REDO),
    Mutant("moments-get-the-weights", TREES,
        "to=jax.tree.map(jnp.zeros_like, reset.to)", "to=reset.to", OF_REDO),
    Mutant("frozen-weights-are-not-reset", STEP,
        "frozen=reset_values(state.frozen, reset),", "frozen=state.frozen,", OF_RESETS),
    Mutant("l2-init-halved", L2_INIT,
        "return loss + state.strength * far", "return loss + state.strength / 2 * far", OF_L2_INIT),
    Mutant("l2-init-to-the-origin", L2_INIT,
        "wide(x) - wide(x0), context", "wide(x) - 0 * wide(x0), context", OF_L2_INIT),
    Mutant("l2-init-of-each-task", L2_INIT,
        "initial=regrow(state.initial, copy(params), task.before)", "initial=copy(params)",
        OF_L2_INIT),
    Mutant("l2-init-of-the-step's-memory", L2_INIT,
        "copy(params), task.before", "params, task.before", OF_L2_INIT),
    Mutant("old-heads-perturbed", "jaxcl/methods/shrink_perturb.py",
        'stream.setting == "task"', 'stream.setting == "domain"', OF_PERTURB),
    Mutant("changed-weights-not-tested", LEARN,
        "if params is not trained or", "if False or", f"{OF_BETWEEN}::test_the_matrix_is_that_of_the_changed_weights"),
    Mutant("mean-over-all-examples", NEAREST,
        "state.sums / jnp.maximum(state.counts, 1)", "state.sums / jnp.maximum(state.counts.sum(), 1)",
        OF_NEAREST),
    Mutant("means-not-normalised-again", NEAREST,
        "means = _unit(means) if chosen.normalise else means", "means = means", OF_NEAREST),
    Mutant("unknown-classes-predicted", OF_CLASSES,
        "jnp.where(known, scores, -jnp.inf)", "scores", OF_NEAREST),
    Mutant("distance-not-squared", NEAREST,
        "return judged(scores, known", "return judged(-((-scores) ** 0.5), known", OF_NEAREST),
    Mutant("means-of-the-latest-task-alone", NEAREST,
        "sum(as_large(a, b))", "as_large(a, b)[1]", OF_NEAREST),
    Mutant("means-of-all-tasks-together", OF_CLASSES,
        "return batch[where.task] if where.by_task else", "return", OF_NEAREST),
    Mutant("covariance-around-the-common-mean", SLDA,
        "off = rows - _means(sums, counts)[place]", "off = rows - rows.mean(0)", OF_SLDA),
    Mutant("classes-that-come-again-not-put-together", SLDA,
        "old.scatter + new.scatter + between", "old.scatter + new.scatter", OF_SLDA),
    Mutant("unit-matrix-added-to-the-whole-covariance", SLDA,
        "(1 - shrinkage) * covariance", "covariance", OF_SLDA),
    Mutant("scatter-not-divided", SLDA,
        "moments.scatter, np.float64) / counts.sum()", "moments.scatter, np.float64)", OF_SLDA),
    Mutant("bias-without-the-half", SLDA,
        "-(weights * means).sum(-1) / 2", "-(weights * means).sum(-1)", OF_SLDA),
    Mutant("scores-of-the-first-task-for-all", OF_CLASSES,
        "jnp.clip(own, 0, tasks - 1)", "jnp.clip(own, 0, 0)", OF_SLDA),
    Mutant("random-features-without-relu", RANPAC,
        "return jax.nn.relu(jnp.matmul(", "return (jnp.matmul(", OF_RANPAC),
    Mutant("projection-drawn-anew-with-each-task", RANPAC,
        "projection, seen = state.projection,", "projection, seen = None,", OF_RANPAC),
    Mutant("lambda-chosen-on-what-was-fitted", RIDGE,
        "jax.tree.map(jnp.negative, held)", "jax.tree.map(jnp.zeros_like, held)", OF_RANPAC),
    Mutant("lambda-by-half-of-the-products", RIDGE,
        "weights @ gram - 2 * sums", "weights @ gram - sums", OF_RANPAC),
    Mutant("a-fourth-held-out", RANPAC, "FIFTH = 5", "FIFTH = 4", OF_RANPAC),
    Mutant("held-out-of-the-latest-task-alone", RANPAC,
        "plus(old[1], new[1]) if choose", "new[1] if choose", OF_RANPAC),
    Mutant("places-among-a-class-of-each-portion", RANPAC,
        "return held, seen + np.bincount", "return held, 0 * seen * np.bincount", OF_RANPAC),
    Mutant("gram-of-the-latest-task", RIDGE,
        "old.gram + new.gram", "new.gram", OF_RANPAC),
    Mutant("ridge-on-all-entries", RIDGE,
        "gram + ridge * np.eye(len(gram))", "gram + ridge", OF_RANPAC),
    Mutant("results-by-the-logits", RESULT,
        "answers(view, predict,", "answers(view, None,",
        "tests/front/test_predicting_result.py"),
    Mutant("features-of-other-weights-serve", FROZEN,
        "repr((LAYOUT, PORTION, backbone.tag))", "repr((LAYOUT, PORTION))", OF_FROZEN),
    Mutant("features-of-other-images-serve", FROZEN,
        "found.update(np.ascontiguousarray(images).data)", "pass", OF_FROZEN),
    Mutant("test-features-of-training-images", FROZEN,
        'of("test", task.test_inputs)', 'of("train", task.test_inputs)', OF_FROZEN),
    Mutant("omniglot-without-its-alphabets", DRAWINGS,
        "np.stack([groups, labels])", "np.stack([0 * groups, labels])", OF_PREPARE),
    Mutant("omniglot-black-on-white", DRAWINGS,
        "return 255 - np.asarray(small)", "return np.asarray(small)", OF_PREPARE),
    Mutant("omniglot-tested-on-two-drawings-of-five", DRAWINGS,
        "(1 - TEST_PART) * counts", "(1 - 2 * TEST_PART) * counts", OF_PREPARE),
    Mutant("usps-without-its-negative-values", USPS,
        "(rows.toarray() + 1) * (255 / 2)", "rows.toarray().clip(0) * 255", OF_PREPARE),
    Mutant("groups-that-all-begin-at-the-first-class", DERIVE,
        "int(first), size", "0, size", "tests/scenarios/test_derive.py"),
    # Figures.
    Mutant("dormant-by-the-largest-unit", MEASURES,
        "activity <= tau * activity.mean()", "activity <= tau * activity.max()", OF_MEASURES),
    Mutant("dormant-units-of-the-average-layer", MEASURES,
        "float(np.concatenate(found).mean())", "float(np.mean([x.mean() for x in found]))", OF_MEASURES),
    Mutant("rank-of-squared-singular-values", MEASURES,
        "parts = values[values > 0] / values.sum()", "parts = values[values > 0] ** 2 / (values**2).sum()", OF_MEASURES),
    Mutant("rms-of-the-mean-of-leaves", MEASURES,
        "np.square(x).sum() for x in known) / sum(x.size for x in known)", "np.square(x).mean() for x in known) / len(known)", OF_MEASURES),
    Mutant("plasticity-of-the-changed-weights", LEARN,
        "*_measured(setup, learner, data)]", "*_measured(setup, learner.changed(params=params), data)]", OF_NEWEST),
    Mutant("the-end-tested-on-the-newest", LEARN,
        "if last and None in learner.history.row:", "if False and None in learner.history.row:", OF_NEWEST),
    Mutant("all-tasks-tested-each-time", "jaxcl/learner/testing.py",
        "learner.at.task_index if newest else 0)", "0 if newest else 0)", OF_NEWEST),
    Mutant("last-tasks-with-first-ones", "jaxcl/reporting/plasticity.py",
        "values[len(values) - n :]", "values[n:]", "tests/reporting/test_first_and_last.py"),
    # Pages of results.
    Mutant("machines-that-differ-shown-as-one", CAPTION,
        "if len(found) == 1:", "if found:", OF_CAPTION),
    Mutant("minutes-of-the-runs-that-say-so-as-of-all", CAPTION,
        "missing = len(summaries) - len(known)", "missing = 0", OF_CAPTION),
    Mutant("changed-files-not-told", CAPTION,
        'if commit.endswith("+")', "if not commit", OF_CAPTION),
    Mutant("less-is-never-better", CLAIMS,
        "sign = -1.0 if less else 1.0", "sign = 1.0", OF_CLAIMS),
    Mutant("as-good-counts-as-better", CLAIMS,
        'word == "met" and not better', 'word == "met"', OF_CLAIMS),
    Mutant("compared-with-what-cannot-be", CLAIMS,
        "elif theirs is None or not comparable:", "elif theirs is None:", OF_CLAIMS),
    Mutant("seeds-of-the-larger-run", CLAIMS,
        "seeds = min((ours, other)", "seeds = max((ours, other)", OF_CLAIMS),
    Mutant("cores-of-the-whole-machine", "jaxcl/core/runtime.py",
        "len(allowed(0)) if allowed is not None else", "", "tests/core/test_runtime.py"),
    Mutant("logged-twice-in-a-table", "jaxcl/reporting/loggers/csv_files.py",
        "shutil.rmtree(run.folder, ignore_errors=True)", "pass", f"{OF_LOGGERS}::test_csv_by_hand"),
    Mutant("sent-twice", "jaxcl/reporting/loggers/weights_and_biases.py",
        "<= self._sent.get(seed, 0)", "<= 0", OF_LOGGERS),
    Mutant("one-count-of-epochs-for-all-seeds", "jaxcl/reporting/loggers/base.py",
        "self._done[seed] = self.done(seed) + 1", "self._done[seed] = sum(self._done.values()) + 1",
        f"{OF_LOGGERS}::test_csv_by_hand"),
    Mutant("accuracy-of-a-generator", "jaxcl/reporting/loggers/base.py",
        "if event.phase == GENERATOR:", "if not event.accuracy:", f"{OF_LOGGERS}::test_csv_by_hand"),
    Mutant("black-on-dark", "jaxcl/reporting/pictures/style.py",
        "(luminance + 0.05) ** 2 > 1.05 * 0.05", "luminance > 0.05", OF_HTML),
    Mutant("names-that-are-markup", "jaxcl/reporting/html/heat.py",
        'scope="row">{escape(task)}', 'scope="row">{task}', OF_HTML),
    Mutant("a-line-to-the-next-task", f"{PICTURES}/routes.py",
        "-across * (column - place)", "-across", f"{OF_PICTURES}::test_branches_by_hand"),
    Mutant("seeds-that-branched-otherwise-alike", f"{PICTURES}/routes.py",
        "if way == each:", "if way:", OF_PICTURES),
    Mutant("a-band-of-means", f"{PICTURES}/curves.py",
        "values.min(0), values.max(0), color", "values.mean(0), values.max(0), color",
        OF_PICTURES),
    Mutant("deviation-as-standard-error", f"{PICTURES}/methods.py",
        "values.std(0, ddof=1) / np.sqrt(len(values))", "values.std(0, ddof=1)",
        f"{OF_PICTURES}::test_average_curves_have_bands_of_standard_errors"),
    Mutant("a-matrix-on-its-side", f"{PICTURES}/matrix.py",
        ".mean(0).T", ".mean(0)", f"{OF_PICTURES}::test_a_matrix_of_means"),
    Mutant("more-than-all-is-right", f"{PICTURES}/sweep.py",
        "np.minimum(error, 100 - mean)", "error",
        f"{OF_PICTURES}::test_a_sweep_is_logarithmic_and_within_0_and_100"),
    Mutant("forgetting-since-the-task-before", METRICS,
        "np.nanmax(table[task:-1, task])", "np.nanmax(table[-2:-1, task])",
        f"{OF_PICTURES}::test_forgetting_of_each_task"),
    Mutant("a-look-for-all-that-draw", f"{PICTURES}/style.py",
        "with matplotlib.rc_context(common):\n        yield",
        "matplotlib.rcParams.update(common)\n    yield",
        f"{OF_PICTURES}::test_files_of_all_forms_and_nothing_set_for_others"),
    Mutant("formulas-in-names", f"{PICTURES}/style.py",
        '"text.parse_math": False', '"text.parse_math": True', OF_HTML),
    Mutant("parts-of-pictures-share-names", "jaxcl/reporting/html/document.py",
        'return f"{name}-{text}"', "return text", OF_HTML),
    Mutant("again-without-replay", "jaxcl/experiments/command_line/again.py",
        'values["replay"] = config.replay_on_top', "pass",
        "tests/experiments/test_again.py::test_only_what_is_not_usual_is_said"),
    Mutant("forgetting-of-the-row-before", METRICS,
        "- table[-1, task]) for", "- table[-2, task]) for", OF_METRICS),
    Mutant("forgetting-since-learning", METRICS,
        "np.nanmax(table[task:-1, task])", "table[task, task]", OF_METRICS),
    Mutant("backward-transfer-wrong-sign", METRICS,
        "table[-1, :-1] - np.diag(table)[:-1]", "np.diag(table)[:-1] - table[-1, :-1]",
        OF_METRICS),
    Mutant("forward-transfer-of-the-first-task", METRICS,
        "np.asarray(first[1:]) - np.asarray(chance[1:])", "np.asarray(first) - np.asarray(chance)",
        OF_METRICS),
    Mutant("learning-accuracy-off-the-diagonal", METRICS,
        "np.diag(np.asarray(matrix, float))", "np.diag(np.asarray(matrix, float), -1)",
        OF_METRICS),
    # Data and order.
    Mutant("split-labels-shuffled", DERIVE,
        "labels[own] - first", "labels[own][::-1] - first", "tests/scenarios/test_derive.py"),
    Mutant("test-images-not-permuted", DERIVE,
        "test_inputs=moved(task.test_inputs, order)", "test_inputs=task.test_inputs",
        "tests/scenarios/test_derive.py"),
    Mutant("test-images-held-out", TASK,
        "test_inputs=rows_of(task.train_inputs, held)",
        "test_inputs=rows_of(task.test_inputs, slice(len(held)))",
        "tests/learner/test_protocols.py::test_what_is_held_out_is_no_longer_trained_on"),
    Mutant("held-out-images-train", TASK,
        "np.split(rows, [round(part * len(rows))])", "(rows[: round(part * len(rows))], rows)",
        "tests/learner/test_protocols.py::test_what_is_held_out_is_no_longer_trained_on"),
    Mutant("epoch-repeats-rows", TRAIN,
        "jax.random.permutation(key, n)[: steps * batch_size]",
        "jax.random.randint(key, (steps * batch_size,), 0, n)",
        f"{OF_TRAIN}::test_an_epoch_visits_every_row_once_and_leaves_the_remainder_out"),
    Mutant("same-order-in-every-epoch", LEARN,
        'stream(key, "shuffle", number)', 'stream(key, "shuffle")', OF_LEARNER),
    Mutant("first-weights-without-the-seed", LEARNER,
        'jax.random.key(seed), "init"', 'jax.random.key(0), "init"', OF_LEARNER),
    Mutant("tasks-without-the-seed", LEARNER,
        "jax.random.key(learner.at.seed)", "jax.random.key(0)", OF_LEARNER),
    Mutant("tasks-share-a-stream", LEARNER, '"task", learner.at.task_index', '"task"', OF_LEARNER),
    Mutant("streams-without-a-name", RANDOM,
        "zlib.crc32(name.encode())", "0", "tests/core/test_random.py"),
    # Networks of other libraries.
    Mutant("statistics-of-frozen-parts-move", STEP, "return old if stays else new", "return new",
        f"{OF_GROWN}::test_shared_statistics_move_where_something_shared_trains"),
    Mutant("statistics-never-move", STEP, "return old if stays else new", "return old", OF_GROWN),
    Mutant("statistics-without-parameters-rest", STEP,
        "stays = jax.tree.leaves(frozen) and not jax.tree.leaves(trained)",
        "stays = not jax.tree.leaves(trained)",
        f"{OF_GROWN}::test_statistics_of_what_has_no_parameters_move_with_the_rest"),
    Mutant("backbone-that-rests-drops-units", STEP,
        "sorted(routes) if jax.tree.leaves(trained) else ()", "sorted(routes)",
        f"{OF_FOREIGN}::test_a_frozen_backbone_is_passed_as_it_is_tested {OF_GROWN}"),
    Mutant("teacher-sees-other-inputs", STEP,
        'mode = Mode(key=stream(key, "pass", 0))', 'mode = Mode(key=stream(key, "pass", 1))',
        f"{OF_FOREIGN}::test_the_old_network_is_asked_about_the_inputs_as_they_are_augmented"),
    Mutant("replayed-in-the-pass-of-the-batch", STEP,
        "mode_of(len(passes))", "mode_of(0)",
        f"{OF_FOREIGN}::test_replayed_examples_are_augmented_anew_and_follow_in_the_statistics"),
    Mutant("branches-in-the-wrong-place", GROWN,
        "put(params, path, variables.params[layer][branch])",
        "put(params, path, variables.params[layer][route[0]])", OF_GROWN),
    Mutant("modes-the-other-way-round", ADAPTER,
        "train == when", "train != when",
        "tests/networks/adapters/test_modes.py::test_a_module_is_told_whether_it_trains"),
    Mutant("linen-statistics-of-the-beginning", LINEN,
        "return features, barred(renewed)", "return features, variables.stats", OF_ADAPTERS),
    Mutant("nnx-drops-the-same-units-always", NNX,
        'return stream(key, "drop", place)', 'return stream(jax.random.key(0), "drop", place)',
        OF_ADAPTERS),
    Mutant("equinox-channels-first", EQUINOX, "if x.ndim > 3 else x", "if x.ndim > 9 else x",
        f"{OF_GROWN}::test_activations_are_those_of_the_parts_in_evaluation"),
    # What is printed, and which runs are found.
    Mutant("seeds-that-run-together-counted-each", COURSE,
        "self.seeds.index(seed) // self.together", "self.seeds.index(seed)",
        f"{OF_WIDTHS}::test_the_steps_of_a_whole_run_are_counted_without_a_gap"),
    Mutant("mean-of-a-row-without-its-newest-task", MATRIX,
        "mean = fmean(known) if", "mean = fmean(known[:-1] or known) if",
        f"{OF_WIDTHS}::test_every_accuracy_is_there_and_the_table_has_room"),
    Mutant("stand-ins-after-the-layout", CONSOLE,
        "text.encode(self.encoding, STAND_INS).decode(self.encoding)", "text",
        f"{OF_WIDTHS}::test_columns_stay_in_line_where_signs_have_stand_ins"),
    Mutant("a-run-in-use-is-gone-on-with", UNFINISHED,
        "elif not lock.is_held(folder):", "else:", "tests/checkpointing/test_unfinished.py"),
    # Kept examples beside the new ones.
    Mutant("joined-outputs-in-the-other-order", "jaxcl/transforms/beside.py",
        "lambda x: x[:n], found", "lambda x: x[-n:], found", OF_BESIDE),
    Mutant("an-empty-buffer-in-the-mean", "jaxcl/transforms/rehearsal/replay.py",
        "jnp.where(begun, a, b.astype(a.dtype)), kept, own", "a, kept, own", OF_BESIDE),
    # Convolutions in a loop, tests in a task, judges of generators.
    Mutant("gradient-moved-the-wrong-way", SEPARABLE,
        "start = at.padding[0][0] - i *", "start = at.padding[0][0] + i *", OF_LOOPS),
    Mutant("columns-without-their-dilation", SEPARABLE,
        "low = j * at.rhs_dilation[axis] -", "low = j -", OF_LOOPS),
    Mutant("rows-of-the-result-left-where-they-are", SEPARABLE,
        "start = i * at.rhs_dilation[0] - at", "start = -at", OF_LOOPS),
    Mutant("rows-of-a-tile-that-the-next-one-misses", WINOGRAD_ROWS,
        "meets = range(first, TILE, ROWS)", "meets = [first]", OF_WINOGRAD_ROWS),
    Mutant("weights-of-the-last-chunk-alone", WINOGRAD_ROWS,
        "return total + of_weights,", "return of_weights,", OF_WINOGRAD_ROWS),
    Mutant("the-last-part-of-the-directions-alone", PER_EXAMPLE,
        "t + f(wide(g)).sum(0)", "f(wide(g)).sum(0)",
        "tests/transforms/penalties/test_importance.py"),
    Mutant("tests-an-epoch-early", "jaxcl/learner/testing.py",
        "(number + 1) % every == 0", "number % every == 0", "tests/learner/test_newest.py"),
    Mutant("floor-of-the-images-that-were-learned", "jaxcl/learner/scholar.py",
        "_labelled(setup, setup.tasks.test[", "_labelled(setup, setup.tasks.train[",
        "tests/learner/test_scholar.py"),
    # Checkpoints.
    Mutant("restored-without-the-losses", SNAPSHOT,
        "return rebuild(began, found)", "return setup.transform.init(params)",
        "tests/learner/test_snapshot.py::test_what_a_penalty_knows_is_kept"),
    Mutant("manifest-not-checked", CHECKPOINT,
        "if _digest(_text(stored)) != checksum:", "if False:",
        "tests/checkpointing/test_checkpoint.py::test_a_manifest_that_was_rewritten_is_noticed"),
    Mutant("files-not-checked", CHECKPOINT,
        "_digest((path / name).read_bytes()) != digest", "not digest",
        "tests/checkpointing/test_checkpoint.py::test_a_changed_bit_anywhere_is_noticed"),
    # A growing head in one array.
    Mutant("hidden-classes-weigh", "jaxcl/transforms/penalties/l2.py",
        "jnp.where(x < NO_OUTPUT, 0, x)", "x", OF_ONE_HEAD),
    Mutant("new-classes-pulled-to-where-they-hid", "jaxcl/transforms/plasticity/l2_init.py",
        "copy(params), task.before)", "copy(params))", f"{OF_ONE_HEAD}::{ALIKE}[l2_init]"),
    Mutant("new-classes-in-old-responses", "jaxcl/transforms/old_responses.py",
        "partial(responses, as_before(params, task))", "partial(responses, params)", OF_ONE_HEAD),
    Mutant("hidden-classes-distilled", DISTILL,
        "jnp.where(response < NO_OUTPUT, response, new)", "new", "tests/transforms/test_distill.py"),
    Mutant("hidden-classes-in-the-dark", DARK,
        " & (logits > NO_OUTPUT)", "", OF_ONE_HEAD),
    Mutant("classes-to-come-have-a-chance", "jaxcl/growth/parameters.py",
        "jnp.where(come, NEVER,", "jnp.where(come, 0,", OF_ONE_HEAD),
    Mutant("a-subclass-inherits-one-head", "jaxcl/learner/settings/config.py",
        'vars(type(self.method)).get("one_head", False)', "self.method.one_head", OF_ONE_HEAD),
    # What an extra brings.
    Mutant("extra-of-a-submodule-unknown", "jaxcl/extras.py",
        '(error.name or "").partition(".")[0]', 'error.name or ""',
        "tests/install/test_extras.py::test_a_program_gets_an_error_of_one_line"),
    Mutant("missing-extra-not-explained", "jaxcl/__init__.py",
        'raise extras.explained(f"{package}.{name}", error) from None', "raise",
        "tests/install/test_extras.py::test_a_program_gets_an_error_of_one_line"),
    Mutant("command-without-its-extra-traces-back", "jaxcl/experiments/__init__.py",
        'if sys.argv[0] != "-m":', "if True:",
        "tests/install/test_extras.py::test_a_command_says_it_in_a_line"),
    Mutant("missing-extra-is-no-usage-error", "jaxcl/experiments/command_line/cli.py",
        'extras.explained("this command", error), 2)', 'extras.explained("this command", error), 1)',
        "tests/install/test_extras.py::test_a_command_that_misses_something_later_says_so"),
    Mutant("settings-need-the-command-line", "jaxcl/core/fields.py",
        "except ModuleNotFoundError:  #", "except KeyError:  #",
        "tests/install/test_extras.py::test_what_the_core_can_do"),
    Mutant("epochs-between-checkpoints-counted-in-a-task", "jaxcl/runner/session.py",
        "(before + ended.epoch + 1)", "(ended.epoch + 1)",
        "tests/runner/test_resume.py::test_checkpoints_are_counted_over_the_run_and_not_over_a_task"),
    Mutant("default-beside-what-excludes-it", "jaxcl/core/fields.py",
        "if own and name not in own:", "if len(own) > 1 and name not in own:",
        "tests/front/test_fit.py::test_what_is_usual_gives_way_to_what_excludes_it"),
    Mutant("validation-of-given-tasks-ignored", "jaxcl/learner/tasks.py",
        "return [cut(task, config.data, spread=True)", "return [task",
        "tests/front/test_fit.py::test_a_part_is_held_out_and_a_limit_holds_for_tasks_that_are_given"),
    Mutant("any-folder-is-overwritten", "jaxcl/checkpointing/run_folder.py",
        'return {"scenario", "method"} <=', "return set() <=",
        "tests/experiments/test_scenario.py::test_a_folder_that_holds_a_run_is_kept_unless_told"),
    Mutant("masks-become-classes", "jaxcl/scenarios/task.py",
        "jnp.where(labels < 0, labels, labels + first)", "labels + first",
        "tests/scenarios/test_task.py::test_masks_stay_masks_where_classes_are_counted_over_all_tasks"),
    Mutant("types-of-inputs-mixed", "jaxcl/scenarios/checks.py",
        "if _types(task) != _types(first):", "if False:",
        "tests/scenarios/test_task.py::test_inputs_of_all_tasks_are_of_one_type"),
    Mutant("finished-run-of-other-tasks-returned", "jaxcl/runner/resume.py",
        "if before != (setup.tasks.names, setup.tasks.checksum):", "if False:",
        "tests/front/test_fit.py::test_what_is_finished_is_returned_and_what_differs_is_refused"),
    Mutant("labels-beyond-the-classes-kept", "jaxcl/transforms/rehearsal/memory.py",
        "int(np.max(labels)) >= memory.classes:", "False:",
        "tests/transforms/rehearsal/test_replay.py"
        "::test_a_memory_for_fewer_classes_than_a_task_has_is_refused_as_it_begins"),
]
