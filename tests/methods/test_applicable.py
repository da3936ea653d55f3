"""A setting that a method does not have is refused, wherever it is given."""

import dataclasses

import pytest

from jaxcl.core.errors import UsageError
from jaxcl.learner.build import check_config
from jaxcl.methods.applicable import OF_SOME, check_used, uses
from jaxcl.methods.config import Config
from jaxcl.methods.resolve import situated
from jaxcl.methods.table import METHODS
from jaxcl.runner.several import Several


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "ewc", "lam": 100.0}, "lam: ewc has no --lam; did you mean --strength?"),
        ({"method": "lwf", "strength": 1.0}, "strength: lwf has no --strength; did you mean --lam"),
        ({"method": "ewc", "threshold": 0.5}, "it has --strength, --fisher, --fisher-examples"),
        ({"method": "split", "threshold": 0.5}, "threshold: split has no --threshold"),
        ({"method": "finetune", "buffer": 10}, "buffer: finetune has no --buffer; leave it out"),
        ({"method": "er", "storage": "ring"}, "storage: without --buffer it means nothing"),
        ({"method": "select", "second": "scratch"}, "second: without --similarity cka, rsa"),
        ({"method": "der", "storage": "ring", "buffer": 9}, "storage: der has no --storage"),
        ({"method": "er", "generated": 10}, "generated: er has no --generated"),
        ({"method": "er", "alpha": 1.0}, "alpha: er has no --alpha"),
        ({"method": "lwf", "heads": "full"}, "heads: the task setting has no --heads"),
        ({"method": "lwf", "hidden": (8,)}, "hidden: the cnn network has no --hidden"),
        ({"method": "lwf", "initial": "he"}, "initial: the cnn network has no --initial"),
        ({"method": "pnn", "net": "mlp", "initial": "uniform"}, "initial: pnn has no --initial"),
        ({"method": "ewc", "similarity": "cka"}, "similarity: ewc has no --similarity"),
        ({"method": "mas", "fisher": "sampled"}, "fisher: mas has no --fisher"),
        ({"method": "joint", "replay": "exact"}, "replay: joint has no --replay"),
    ],
)
def test_a_setting_that_means_nothing_is_refused(settings, message):
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        check_used(situated(Config(**settings)))


@pytest.mark.parametrize("scenario", ["builtin", "split-digits", "mnist-chain"])
def test_a_whole_configuration_holds_what_the_method_has_and_can_be_checked_again(scenario):
    for method in METHODS:
        net = "cnn" if METHODS[method].branches else None
        setting = "task" if METHODS[method].columns or METHODS[method].branches else None
        whole = check_config(Config(method=method, scenario=scenario, net=net, setting=setting))
        assert check_config(whole) == whole
        check_used(whole)
        for name in OF_SOME - uses(whole):
            usual = next(f.default for f in dataclasses.fields(Config) if f.name == name)
            assert getattr(whole, name) == usual, (method, name)


def test_replay_on_top_brings_its_settings():
    base = {"method": "ewc", "scenario": "split-digits"}
    check_used(situated(Config(**base, replay="buffer", per_class=5)))
    check_used(situated(Config(**base, replay="generative", temperature=3.0, latent=8)))
    with pytest.raises(UsageError, match="latent: ewc has no --latent"):
        check_used(situated(Config(**base, replay="buffer", latent=8)))


def test_methods_that_are_compared_each_take_what_they_have():
    command = Several(scenario="split-digits", lam=2.0, strength=5.0)
    configs = command.for_methods(["ewc", "lwf", "finetune"])
    assert [(c.lam, c.strength) for c in configs.values()] == [
        (None, 5.0),
        (2.0, None),
        (None, None),
    ]
    with pytest.raises(UsageError, match="lam: ewc has no --lam"):
        command.for_methods(["ewc", "si"])
    # The one that none has is named, not one that another method has.
    none = dataclasses.replace(command, alpha=2.0)
    with pytest.raises(UsageError, match="alpha: ewc has no --alpha"):
        none.for_methods(["ewc", "lwf"])


@pytest.mark.parametrize("method", ["split", "select"])
def test_branches_of_a_task_that_is_unknown_are_refused(method):
    """The true task would pick the branches that an image runs through."""
    with pytest.raises(UsageError, match=f"setting: {method} has branches for each task"):
        check_config(Config(method=method, setting="domain"))
    with pytest.raises(UsageError, match="give task or class"):
        check_config(
            Config(method=method, net="cnn", scenario="permuted-digits", replay="generative")
        )


def test_a_method_that_cannot_run_here_names_those_that_can():
    with pytest.raises(UsageError, match=r"a --method that runs here: finetune, .*ewc"):
        check_config(Config(scenario="split-mnist"))


def test_the_published_protocol_weighs_old_responses_by_tasks():
    def weighting(**settings):
        return check_config(Config(**settings)).lwf_weighting

    for setting, expected in (("task", "one"), ("domain", "tasks"), ("class", "one")):
        assert weighting(method="lwf", scenario="split-mnist", setting=setting) == expected
    assert weighting(method="lwf", scenario="permuted-mnist") == "tasks"
    assert weighting(method="lwf", scenario="3") == "one"
    assert weighting(method="ewc", scenario="split-mnist", setting="domain") is None
    given = {"method": "lwf", "scenario": "split-mnist", "setting": "domain"}
    assert weighting(**given, lwf_weighting="one") == "one"
