import os
import subprocess
import sys

import core
import pytest


@pytest.fixture(scope="session")
def in_core(tmp_path_factory):
    """Runs Python where the core alone can be imported: what else there is here is hidden."""
    folder = tmp_path_factory.mktemp("core")
    # None in sys.modules is how Python marks a module that cannot be imported.
    hide = f"import sys\nsys.modules.update(dict.fromkeys({core.absent()}))\n"
    (folder / "sitecustomize.py").write_text(hide)
    env = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{core.ROOT}"}

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *args]
        return subprocess.run(command, capture_output=True, text=True, env=env, cwd=folder)

    return run
