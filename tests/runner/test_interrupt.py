"""Signals while the device works, which is when a person sends them."""

import signal
import subprocess
import sys
import time

import pytest

BUSY = """
import sys, jax
from jaxcl.runner import interrupt
step = jax.jit(lambda x, n: jax.lax.fori_loop(0, n, lambda i, x: jax.numpy.sin(x @ x), x))
x = jax.numpy.eye(64)
step(x, 1).block_until_ready()
with interrupt.catching(lambda text: print(text, flush=True), own_process=True) as stopping:
    print("begun", flush=True)
    step(x, 10**9).block_until_ready()  # no line of Python runs meanwhile
print("not reached", flush=True)
"""

PROGRAM = """
import atexit, signal, time
from jaxcl.runner import interrupt
signal.signal(signal.SIGINT, signal.default_int_handler)  # of a job in the background it is ignored
atexit.register(lambda: print("ended", flush=True))
try:
    with interrupt.catching(lambda text: print(text, flush=True)) as stopping:
        print("begun", flush=True)
        while True:
            time.sleep(0.01)
except KeyboardInterrupt:
    print("kept", stopping(), flush=True)
"""


@pytest.fixture
def busy():
    with subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE, text=True) as found:
        assert found.stdout is not None
        assert found.stdout.readline() == "begun\n"
        yield found
        found.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_later_signal_stops_at_once(number, busy):
    busy.send_signal(number)
    assert "a second signal" in busy.stdout.readline()  # said while the steps run
    time.sleep(1.1)
    busy.send_signal(number)
    out, _ = busy.communicate(timeout=60)
    assert busy.returncode == 128 + number
    assert out == ""


@pytest.mark.parametrize(
    ("second", "code", "end"),
    [(signal.SIGINT, 0, "kept True\nended\n"), (signal.SIGTERM, -signal.SIGTERM, "")],
)
def test_in_a_program_a_later_signal_does_what_it_does_without_us(second, code, end):
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGTERM)
        assert "a second signal" in process.stdout.readline()
        time.sleep(1.1)
        process.send_signal(second)
        try:
            out, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, out) == (code, end)


def test_signals_within_a_second_are_one(busy):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        busy.send_signal(number)
    assert "a second signal" in busy.stdout.readline()
    with pytest.raises(subprocess.TimeoutExpired):
        busy.wait(1.5)


def test_a_terminal_that_is_gone_does_not_keep_a_second_signal_from_being_heard():
    script = BUSY.replace("lambda text: print(text, flush=True)", "lambda text: 1 / 0")
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        time.sleep(1.2)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
