"""From names to a whole configuration, as a file and back; what does not go together."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcl.checkpointing.config_file import from_toml, to_toml
from jaxcl.core.errors import UsageError
from jaxcl.experiments.compare import read
from jaxcl.learner.build import check_config
from jaxcl.learner.settings.config import Config
from jaxcl.learner.settings.configuration import configure
from jaxcl.learner.settings.protocols import SCENARIOS
from jaxcl.methods import METHODS
from jaxcl.networks.choices import ResNet32

GIVEN = st.fixed_dictionaries(
    {
        "seeds": st.lists(st.integers(0, 9), min_size=1).map(tuple),
        "epochs": st.integers(1, 9),
        "lr": st.floats(1e-9, 1e9),
        "start": st.sampled_from(["copy", "fresh"]),
        "data_dir": st.none() | st.just(Path("somewhere/else")),
    }
)


@given(GIVEN)
def test_toml_round_trip(settings):
    config = configure(**settings)
    assert from_toml(Config, to_toml(config)) == config


@pytest.mark.parametrize("scenario", ["builtin", "split-cifar10", "online-cifar10"])
def test_another_network_has_the_width_that_is_usual_for_it(scenario):
    assert configure("er", scenario, net="resnet32").network == ResNet32(
        initial=configure("er", scenario, net="resnet18").network.initial
    )
    assert ResNet32().width == 16  # He et al. (2016), section 4.2


@pytest.mark.parametrize("method", METHODS)
def test_a_whole_configuration_survives_toml(method):
    for scenario in SCENARIOS:
        whole = configure(method, scenario, data_dir=Path("x"))
        assert from_toml(Config, to_toml(whole)) == whole, scenario


def test_a_file_has_a_table_for_each_part():
    text = to_toml(configure("er", "split-digits", seeds=(1, 2)))
    for part in ("[method]", "[replay]", "[network]", "[training]", "[data]"):
        assert part in text
    assert "[generator]" not in text
    assert 'name = "er"' in text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "ewc", "lam": 100.0}, "lam: ewc has no --lam; did you mean --strength?"),
        ({"method": "finetune", "strength": 1.0}, "strength: finetune has no --strength; leave it"),
        ({"method": "ewc", "threshold": 0.5}, "it has --strength, --fisher, --fisher-examples"),
        ({"method": "split", "threshold": 0.5}, "threshold: split has no --threshold"),
        (
            {"method": "finetune", "buffer": 10},
            "buffer: finetune has no --buffer; give --replay buffer",
        ),
        ({"method": "der", "storage": "ring", "buffer": 9}, "storage: der has no --storage"),
        ({"method": "er", "generated": 10}, "generated: er has no --generated"),
        ({"method": "er", "alpha": 1.0}, "alpha: er has no --alpha"),
        ({"method": "lwf", "hidden": (8,)}, "hidden: the cnn network has no --hidden"),
        ({"method": "lwf", "initial": "he"}, "initial: the cnn network has no --initial"),
        ({"method": "ewc", "similarity": "cka"}, "similarity: ewc has no --similarity"),
        ({"method": "mas", "fisher": "sampled"}, "fisher: mas has no --fisher"),
        ({"method": "joint", "replay": "exact"}, "replay: joint .* has no --replay"),
        ({"method": "er", "replay": "exact"}, "replay: er has its own earlier images"),
        ({"tasks": 3}, "tasks: scenario 'builtin' has its own"),
        ({"order": 1}, "order: scenario 'builtin' deals no classes out"),
        ({"epocs": 1}, "setting: 'epocs' is unknown; did you mean 'epochs'?"),
        ({"epochs": 1, "iterations": 1}, "iterations: not together with --epochs"),
        ({"method": "er", "per_class": 1, "buffer": 1}, "buffer: not together with --per-class"),
        ({"net": "linar"}, "net: 'linar' is unknown; did you mean 'linear'?"),
        ({"setting": "clas"}, "setting: 'clas' is unknown; did you mean 'class'?"),
    ],
)
def test_a_setting_that_nothing_here_has_is_refused(settings, message):
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        configure(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "er", "storage": "ring"}, "storage: without --buffer it means nothing"),
        ({"method": "select", "reference": "scratch"}, "reference: without --similarity cka, rsa"),
        ({"method": "lwf", "heads": "full"}, "heads: the task setting has no --heads"),
        ({"method": "pnn", "net": "mlp", "initial": "uniform"}, "initial: pnn starts from he"),
        ({"method": "split", "scenario": "split-digits"}, "net: mlp has no layer"),
        ({"method": "select", "setting": "class", "heads": "full"}, "heads: full needs one"),
        ({"method": "si", "scratch": True}, "scratch: si needs the weights that training began"),
        ({"method": "pnn", "setting": "domain"}, "setting: pnn needs a head a task"),
        ({"method": "lucir", "setting": "task"}, "setting: lucir rebalances new classes and old"),
        ({"method": "bic", "setting": "domain"}, "compete in the class setting alone; give class"),
        (
            {"method": "bic", "scenario": "builtin"},
            "setting: bic corrects the logits of new classes",
        ),
        ({"net": "mlp", "method": "lwf", "hidden": (3, 0)}, r"hidden: \[3, 0\]; give numbers"),
        ({"method": "ewc", "order": -1, "scenario": "split-digits"}, r"order: -1 is outside \[0"),
        ({"method": "ewc", "validation": 1.0}, "validation: 1 leaves nothing to train on"),
        ({"method": "ewc", "seeds": (1, 1)}, "seeds: .* has one twice"),
        ({"method": "ewc", "epochs": 10**6}, "epochs: more than 100000"),
        ({"method": "ewc", "augment": ("foo",)}, "'foo' is unknown; known: crop, flip, cutout$"),
        ({"method": "ewc", "augment": ("own",)}, "a function was given by a program"),
    ],
)
def test_what_does_not_go_together_is_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        check_config(configure(**settings))


@pytest.mark.parametrize("scenario", ["builtin", "split-digits", "mnist-chain"])
def test_a_whole_configuration_can_be_checked_again(scenario):
    for method, kind in METHODS.items():
        net = "cnn" if kind.branches else None
        setting = "task" if kind.columns or kind.branches else "class" if kind.refuses else None
        fresh = {"scratch": False} if kind.follows_weights else {}
        whole = check_config(configure(method, scenario, net=net, setting=setting, **fresh))
        assert check_config(whole) == whole


@pytest.mark.parametrize(
    ("settings", "method"),
    [
        ({}, "select"),
        ({"scenario": "split-mnist"}, "finetune"),
        ({"scenario": "split-mnist", "net": "cnn"}, "select"),
        ({"net": "mlp"}, "finetune"),
        ({"setting": "domain"}, "finetune"),
        ({"scenario": "data"}, "finetune"),
    ],
)
def test_the_usual_method_branches_where_that_can_be(settings, method):
    assert configure(**settings).method.name == method


def test_replay_on_top_brings_its_settings():
    buffer = configure("ewc", "split-digits", replay="buffer", per_class=5)
    assert (buffer.replay.per_class, buffer.replay.ratio, buffer.generator) == (5, None, None)
    assert buffer.replay_on_top == "buffer"
    generative = configure("ewc", "split-digits", replay="generative", latent=8)
    assert generative.generator.latent == 8
    with pytest.raises(UsageError, match="latent: ewc has no --latent"):
        configure("ewc", "split-digits", replay="buffer", latent=8)
    assert configure("er").replay_on_top is None
    assert configure("lwf_gr").replay_on_top is None
    assert not configure("lwf_gr").replays


def test_methods_that_are_compared_each_take_what_they_have():
    args = ["--scenario", "split-digits", "--strength", "5", "--xi", "0.3", "--methods"]
    configs, *_ = read([*args, "si", "lwf", "finetune"])
    assert (configs["si"].method.strength, configs["si"].method.xi) == (5.0, 0.3)
    assert configs["lwf"].method.strength == 5.0
    with pytest.raises(UsageError, match="xi: ewc has no --xi"):
        read([*args, "ewc", "lwf"])


@pytest.mark.parametrize("method", ["split", "select"])
def test_branches_of_a_task_that_is_unknown_are_refused(method):
    """The true task would pick the branches that an image runs through."""
    with pytest.raises(UsageError, match=f"setting: {method} has branches for each task"):
        check_config(configure(method, setting="domain"))
    with pytest.raises(UsageError, match="give task or class"):
        check_config(configure(method, "permuted-digits", net="cnn", replay="generative"))


def test_a_method_that_cannot_run_here_names_those_that_can():
    with pytest.raises(UsageError, match=r"a --method that runs here: .*ewc, .*finetune"):
        check_config(configure("select", scenario="split-mnist"))


def test_what_is_given_is_kept():
    given = {"ratio": 0.2, "epochs": 3, "hidden": (7,), "lr": 0.5}
    whole = configure("er", "split-mnist", **given)
    assert (whole.replay.ratio, whole.replay.per_class, whole.replay.buffer) == (0.2, None, None)
    assert (whole.training.epochs, whole.training.iterations) == (3, None)
    assert (whole.network.hidden, whole.training.lr) == ((7,), 0.5)
    again = whole.changed(buffer=9, iterations=4)
    assert (again.replay.ratio, again.replay.buffer) == (None, 9)
    assert (again.training.epochs, again.training.iterations) == (None, 4)
