"""Trees of arrays in folders."""

import logging
from unittest import mock

import chex
import jax
import jax.numpy as jnp
import pytest
from orbax.checkpoint import v1 as ocp

from jaxcl.checkpointing import storage
from jaxcl.checkpointing.storage import load_params, save_params
from jaxcl.core import processes

PARAMS = {
    "conv1": {"t00": {"w": jnp.arange(6.0).reshape(2, 3)}},
    "heads": {"t00": {"b": jnp.ones(2), "half": jnp.ones(3, jnp.bfloat16)}},
}


def test_params_round_trip_and_replace(tmp_path):
    save_params(tmp_path / "p", jax.tree.map(lambda x: x + 1, PARAMS))
    save_params(tmp_path / "p", PARAMS)
    chex.assert_trees_all_equal(load_params(tmp_path / "p"), PARAMS)
    chex.assert_trees_all_equal(load_params(tmp_path / "p", PARAMS), PARAMS)


def test_another_shape_is_an_error(tmp_path):
    save_params(tmp_path / "p", PARAMS)
    with pytest.raises(ValueError, match="shape"):
        load_params(tmp_path / "p", jax.tree.map(lambda x: x[:1], PARAMS))


def test_one_of_several_processes_reads_alone_and_onto_its_own_device(tmp_path, monkeypatch):
    save_params(tmp_path / "p", PARAMS)
    own = jax.devices()[1]
    monkeypatch.setattr(processes, "is_multiprocess", lambda: True)
    monkeypatch.setattr(jax, "local_devices", lambda: [own])
    with mock.patch.object(ocp, "Context", side_effect=ocp.Context) as context:
        found = load_params(tmp_path / "p")
    alone = context.call_args.kwargs["multiprocessing_options"]
    assert (alone.primary_host, alone.active_processes) == (0, {0})
    chex.assert_trees_all_equal(jax.device_get(found), jax.device_get(PARAMS))
    assert {x.device for x in jax.tree.leaves(found)} == {own}


@pytest.mark.parametrize("found", [PermissionError(13, "Permission denied"), MemoryError()])
def test_what_is_no_damage_is_raised_as_it_is(found, tmp_path):
    with (
        mock.patch.object(storage, "load_onto_host", side_effect=found),
        pytest.raises(type(found)),
    ):
        load_params(tmp_path)


def test_damage_is_named(tmp_path):
    """A stand-in fails: on real damage Orbax may answer to a loop of its own that is closed."""
    save_params(tmp_path / "p", PARAMS)
    found = RuntimeError("corrupted manifest\nin many lines")
    with (
        mock.patch.object(ocp, "load", side_effect=found),
        pytest.raises(ValueError, match=r"p is damaged \(corrupted manifest\)$"),
    ):
        load_params(tmp_path / "p")


def test_loggers_of_the_program_are_as_they_were(tmp_path, monkeypatch, caplog):
    logger = logging.getLogger("absl")
    kept = logger.level, list(logger.filters)
    save = ocp.save

    def loud(*args, **kwargs):
        logger.error("while it saves")
        save(*args, **kwargs)

    monkeypatch.setattr(ocp, "save", loud)
    save_params(tmp_path / "p", PARAMS)
    logger.error("later")
    assert [each.message for each in caplog.records if each.levelno >= logging.ERROR] == ["later"]
    assert (logger.level, list(logger.filters)) == kept
