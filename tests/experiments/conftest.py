import contextlib
import io
import sys
from unittest import mock

import pytest

from jaxcl.core import sharding


@pytest.fixture(autouse=True)
def _one_device(monkeypatch, compiled_once):
    """As on a usual CPU, whatever is simulated, unless a command says otherwise."""
    monkeypatch.setattr(sharding, "usual_sizes", lambda networks: dict.fromkeys(sharding.AXES, 1))


@pytest.fixture
def call(tmp_path):
    """Runs a command's module in a folder of its own: exit code, output and errors."""

    def run(module, *args: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.chdir(tmp_path),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            mock.patch.object(sys, "argv", [module.__name__, *args]),
        ):
            try:
                module.run()
            except SystemExit as stop:
                return stop.code, out.getvalue(), err.getvalue()
        return 0, out.getvalue(), err.getvalue()

    return run
