"""A method is one file: what it says of itself holds, and its settings are its own."""

import dataclasses

import pytest

from jaxcl import transforms
from jaxcl.core.errors import UsageError
from jaxcl.core.fields import traced
from jaxcl.growth import trainable
from jaxcl.methods import METHODS
from jaxcl.methods.base import Method, StreamInfo
from jaxcl.methods.replay import REPLAYS, Replay

SETTINGS = ("task", "domain", "class")


def test_every_method_is_found_by_the_name_of_its_file():
    assert {"finetune", "ewc", "online_ewc", "si", "mas", "lwf", "select", "pnn"} < set(METHODS)
    for name, kind in METHODS.items():
        assert kind().name == name
        assert kind.__module__ == f"jaxcl.methods.{name}"
    assert "base" not in METHODS
    assert "replay" not in METHODS


@pytest.mark.parametrize("name", METHODS)
def test_a_method_says_what_it_is(name):
    kind = METHODS[name]
    assert 10 < len(kind.summary) < 90
    assert set(kind.fails) <= set(SETTINGS)
    assert set(kind.refuses) < set(SETTINGS)
    assert kind.replay is None or issubclass(kind.replay, Replay)
    kind().check()


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_method_builds_its_losses(setting):
    for kind in METHODS.values():
        for name, loss in kind().losses(StreamInfo(4, setting)).items():
            assert name.isidentifier()
            assert callable(loss.apply)


@pytest.mark.parametrize(
    "name", ["ewc", "online_ewc", "lwf", "split", "lwf_gr", "der", "der_pp", "agem"]
)
def test_a_method_hands_over_what_is_learned(name, monkeypatch):
    given = []

    def record(make):
        return lambda *args, **kwargs: given.append(kwargs["objective"]) or make(*args, **kwargs)

    for made in ("ewc", "online_ewc", "distill", "der", "der_pp", "agem"):
        monkeypatch.setattr(transforms, made, record(getattr(transforms, made)))
    METHODS[name]().losses(StreamInfo(4, "task"))
    METHODS[name]().losses(StreamInfo(4, "task", transforms.binary))
    assert given == [transforms.categorical, transforms.binary]


@pytest.mark.parametrize("name", ["der", "der_pp"])
def test_so_many_images_of_a_class_mean_nothing_where_numbers_are_learned(name):
    numbers = StreamInfo(1, "domain", transforms.squared)
    with pytest.raises(UsageError, match="per_class: numbers have no classes; give --buffer"):
        METHODS[name]().losses(numbers)
    assert "der" in METHODS[name](per_class=None, buffer=9).losses(numbers)


@pytest.mark.parametrize("objective", [transforms.squared, transforms.binary])
def test_classes_that_are_none_are_refused_where_a_method_needs_them(objective):
    learned = StreamInfo(1, "domain", objective)
    for name in ("ncm", "slda", "ranpac", "bic", "lucir"):
        message = f"loss: {objective.name} has no classes, and {name} needs them; leave it"
        with pytest.raises(UsageError, match=message):
            METHODS[name]().losses(learned)
    with pytest.raises(UsageError, match=f"{objective.name} labels are none; keep a fraction"):
        METHODS["agem"](per_class=3, ratio=None).losses(learned)
    assert "agem" in METHODS["agem"]().losses(learned)
    with pytest.raises(UsageError, match=f"er_ace: {objective.name} has no classes to tell apart"):
        METHODS["er_ace"]().losses(learned)


def test_what_trains_is_one_of_the_rules():
    rules = (trainable.all_on_route, trainable.shared_and_own_heads, trainable.new_parts)
    assert {kind().trains() for kind in METHODS.values()} == set(rules)


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("ewc", {"strength": -1.0}, "strength: -1.0 is negative"),
        ("online_ewc", {"decay": 1.5}, r"decay: 1.5 is outside \[0, 1\]"),
        ("si", {"xi": 0.0}, "xi: 0.0 is not positive"),
        ("slda", {"shrinkage": 1.5}, r"shrinkage: 1.5 is outside \[0, 1\]"),
        ("slda", {"shrinkage": 0.0}, "shrinkage: 0 is not positive"),
        ("lucir", {"rivals": 0}, "rivals: 0 is not positive"),
        ("bic", {"held_out": 0.0}, "held_out: 0.0 leaves nothing; give 0.1, say"),
        ("bic", {"temperature": 0.0}, "temperature: 0.0 is not positive"),
        ("ranpac", {"units": 0}, "units: 0 is not positive"),
        ("ranpac", {"units": 10**6}, "units: more than 50000; give fewer"),
        ("ranpac", {"ridge": 0.0}, "ridge: 0.0 is not positive"),
        ("mas", {"fisher_examples": 0}, "fisher_examples: 0 is not positive"),
        ("der", {"buffer": 10**9}, "buffer: more than 100000000"),
        ("lwf", {"temperature": float("nan")}, "temperature: nan is no number"),
        ("lwf", {"strength": float("inf")}, "strength: too large"),
        ("select", {"threshold": 1.1}, r"threshold: 1.1 is outside \[0, 1\]"),
        ("split", {"reference": "scratch"}, "reference: without --similarity cka, rsa"),
    ],
)
def test_ranges_stand_where_a_field_is_declared(kind, settings, message):
    with pytest.raises(UsageError, match=message):
        METHODS[kind](**settings).check()


def test_ranges_of_replay():
    with pytest.raises(UsageError, match="ratio: 0 keeps nothing"):
        REPLAYS["buffer"](ratio=0.0).check()
    with pytest.raises(UsageError, match="storage: without --buffer it means nothing"):
        REPLAYS["buffer"](storage="ring").check()
    with pytest.raises(UsageError, match=r"replay_weight: 2.0 is outside \[0, 1\]"):
        REPLAYS["exact"](replay_weight=2.0).check()


def test_strengths_are_traced_and_sizes_are_not():
    for name in ("ewc", "si", "mas", "lwf", "select"):
        assert "strength" in traced(METHODS[name])
    assert traced(METHODS["der"]) == {"alpha"}
    assert traced(METHODS["der_pp"]) == {"alpha", "beta"}
    assert traced(METHODS["shrink_perturb"]) == {"shrink", "noise"}
    assert traced(METHODS["l2_init"]) == {"strength"}
    assert traced(METHODS["lucir"]) == {"strength"}
    assert traced(METHODS["redo"]) == {"tau"}
    assert traced(METHODS["slda"]) == {"shrinkage"}
    assert traced(METHODS["ranpac"]) == {"ridge"}
    assert "t_squared" not in traced(METHODS["lwf"])


def test_a_method_is_frozen_and_compared_by_its_settings():
    one = METHODS["ewc"](strength=2.0)
    assert one == METHODS["ewc"](strength=2.0) != METHODS["ewc"](strength=3.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.strength = 1.0
    assert Method.kinds() is METHODS
