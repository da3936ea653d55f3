import os
import socket
import subprocess
import sys

import pytest

from jaxcl.checkpointing.lock import NAME, locked
from jaxcl.core.errors import UsageError

HOLD = """
import sys, time
from pathlib import Path
from jaxcl.checkpointing.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_process_is_refused_and_a_dead_one_holds_nothing(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        owner = f"process {other.pid} on {socket.gethostname()}"
        with pytest.raises(UsageError, match=f"is in use by {owner}"), locked(tmp_path):
            pass
        other.kill()
    assert owner in (tmp_path / NAME).read_text()  # stale
    with locked(tmp_path):
        assert f"process {os.getpid()} " in (tmp_path / NAME).read_text()
    with locked(tmp_path):
        pass
