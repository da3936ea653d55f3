import ctypes
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from jaxcl.runtime import compile_clock, keep_freed_memory

# Large arrays come and go; what the process keeps shows in its resident size.
GROWS = """
import sys, ctypes
from jaxcl.runtime import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
size = 64 * 2**20
place = libc.malloc(size)
ctypes.memset(place, 1, size)
libc.free(place)
with open("/proc/self/statm") as file:
    print(int(file.read().split()[1]) * 4096 // 2**20)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the GNU C library alone")
def test_freed_memory_is_kept_or_given_back():
    def resident(how):
        command = [sys.executable, "-c", GROWS, how]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert resident("keep") - resident("give back") > 50  # MiB


def test_where_the_library_has_no_such_setting_nothing_happens(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    keep_freed_memory()


def test_the_clock_counts_compiling_and_nothing_else():
    x = jnp.arange(7.0)
    f = jax.jit(lambda x: jnp.sin(x) * 3 + 1)
    with compile_clock() as spent:
        assert spent() == 0
        f(x)
        once = spent()
        assert once > 0
        f(x)
        assert spent() == once
    jax.jit(lambda x: x - 2)(x)
    assert spent() == once
