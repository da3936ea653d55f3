from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcl.checkpointing.config_file import from_toml, to_toml
from jaxcl.methods.config import Config
from jaxcl.methods.resolve import resolve
from jaxcl.methods.table import METHODS
from jaxcl.scenarios.protocols import SCENARIOS

SETTINGS = st.fixed_dictionaries(
    {
        "method": st.text(),
        "seeds": st.lists(st.integers(0, 9), min_size=1).map(tuple),
        "epochs": st.none() | st.integers(1, 9),
        "lr": st.floats(1e-9, 1e9),
        "start": st.sampled_from(["copy", "fresh"]),
        "data_dir": st.none() | st.just(Path("somewhere/else")),
    }
)


@given(SETTINGS)
def test_toml_round_trip(settings):
    config = Config(**settings)
    assert from_toml(Config, to_toml(config)) == config


@pytest.mark.parametrize("method", METHODS)
def test_a_whole_configuration_survives_toml(method):
    for scenario in SCENARIOS:
        whole = resolve(Config(method=method, scenario=scenario, data_dir=Path("x")))
        assert from_toml(Config, to_toml(whole)) == whole, scenario
