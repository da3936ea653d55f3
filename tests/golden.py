"""Record what every method computes, to the bit, and compare it after a change of the code.

    python tests/golden.py --write     # records tests/golden.json
    python tests/golden.py             # runs everything again and compares
    python tests/golden.py --only ewc --jobs 1

For a change that must leave all results as they are. Each case is a command line, run at a
tiny size on data that needs no download (golden_cases.py); digests of what it writes are kept in
parts (golden_digests.py).

Digests hold for one kind of processor and one version of JAX and NumPy. Elsewhere nothing can be
compared (exit code 2); check out the code before the change there, and record it with ``--write``.
Exit code 1: something differs. ``JAX_COMPILATION_CACHE_DIR`` keeps compiled programs from one
time to the next.
"""

import argparse
import contextlib
import fnmatch
import io
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from golden_cases import CASES
from golden_digests import Parts, digests

ROOT = Path(__file__).parents[1]
FILE = Path(__file__).with_suffix(".json")
PACKAGES = ("jax", "jaxlib", "numpy", "optax")
# What XLA makes faster is not what is compared, and takes twice the time to compile.
XLA = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
MAPPED = 20_000  # pieces of memory; a process may have 65,530, and each program has several
DEVICES = "--xla_force_host_platform_device_count=4"


class Found(NamedTuple):
    """What came of a case.

    Attributes:
      name: of the case.
      parts: digests.
      error: the last line of the command's errors.
      seconds: wall time.
    """

    name: str
    parts: Parts
    error: str
    seconds: float


def call(command: str, args: list[str]) -> tuple[int, str]:
    """Runs a command in this process: exit code and errors. Nothing else imports jaxcl."""
    from jaxcl.experiments import compare, scenario, sweep

    module = {"scenario": scenario, "sweep": sweep, "compare": compare}[command]
    errors = io.StringIO()
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(errors),
        mock.patch.object(sys, "argv", [command, *args]),
        # Of who judges a generator: 1000 take seconds.
        mock.patch("jaxcl.training.generative.quality.STEPS", 20),
    ):
        try:
            module.run()
        except SystemExit as stop:
            return int(stop.code or 0), errors.getvalue()
        except Exception as error:
            return 1, f"{type(error).__name__}: {error}"
    return 0, errors.getvalue()


def start(command: str, args: list[str], flags: str = XLA) -> subprocess.Popen:
    """Starts a command in a process of its own."""
    words = [sys.executable, "-m", f"jaxcl.experiments.{command}", *args]
    env = {**os.environ, "XLA_FLAGS": flags}
    return subprocess.Popen(
        words, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def cut_off(command: str, args: list[str], out: Path) -> tuple[int, str]:
    """Interrupts a run after its first checkpoint, and goes on with it."""
    process = start(command, [*args, "--checkpoint-every", "1s"])
    while process.poll() is None and not list(out.glob("checkpoints/*.json")):
        time.sleep(0.02)
    process.terminate()
    error = process.communicate()[1]
    if process.returncode != 75:
        return process.returncode or 1, error or "the run ended before it was interrupted"
    again = start(command, [*args, "--resume"])
    error = again.communicate()[1]
    return again.returncode, error


def run(name: str) -> Found:
    """Runs a case in a folder of its own."""
    import jax

    began, case = time.perf_counter(), CASES[name]
    command, *args = case.args.split()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        out = Path(folder, "out")
        args += ["--out", "out"]
        if case.how == "cut off":
            code, error = cut_off(command, args, out)
        elif case.how == "four devices":
            process = start(command, args, f"{XLA} {DEVICES}")
            error = process.communicate()[1]
            code = process.returncode
        else:
            code, error = call(command, args)
        parts = digests(out) if code == 0 else {"refused" if code == 2 else "failed": str(code)}
        if case.how == "cut off" and code == 0:
            args[-1] = "alone"
            if call(command, args)[0] or digests(Path(folder, "alone")) != parts:
                parts, error = {"failed": "resumed"}, "it differs from the run left alone"
    if Path("/proc/self/maps").read_bytes().count(b"\n") > MAPPED:
        jax.clear_caches()
    return Found(name, parts, (error.strip().splitlines() or [""])[-1], time.perf_counter() - began)


def machine() -> dict[str, str]:
    """What the digests depend on, beside the code."""
    wanted = ("model name", "cpu family", "model")
    lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    pairs = {key.strip(): value.strip() for key, _, value in (x.partition(":") for x in lines)}
    processor = ", ".join(f"{key} {pairs[key]}" for key in wanted if key in pairs)
    versions = {name: metadata.version(name) for name in PACKAGES}
    return {"processor": processor, "cores": str(os.cpu_count()), **versions}


def run_all(names: list[str], jobs: int) -> dict[str, Found]:
    """Runs cases in several processes that share compiled programs."""
    found: dict[str, Found] = {}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ |= {
            "JAX_COMPILATION_CACHE_DIR": f"{folder}/xla",
            **os.environ,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PLATFORMS": "cpu",
            "MPLBACKEND": "agg",
            "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
            "XDG_CACHE_HOME": f"{folder}/cache",
            "XDG_STATE_HOME": f"{folder}/state",
            "XLA_FLAGS": XLA,
        }
        with multiprocessing.get_context("spawn").Pool(jobs) as pool:
            for each in pool.imap_unordered(run, names):
                found[each.name] = each
                text = f"{len(found)} of {len(names)}  {each.name}  {each.seconds:.1f} s"
                print(text, file=sys.stderr, flush=True)
    return found


def write(found: dict[str, Found], before: dict[str, Any]) -> None:
    """Records digests, in place of those of the same cases."""
    cases = {name: case for name, case in before.items() if name in CASES}
    for name, each in found.items():
        cases[name] = {"args": CASES[name].args, "how": CASES[name].how, "parts": each.parts}
        if not each.parts.keys().isdisjoint(("refused", "failed")):
            print(f"{name}: {each.parts}  {each.error}")
    content = {"machine": machine(), "cases": dict(sorted(cases.items()))}
    FILE.write_text(json.dumps(content, indent=1) + "\n")


def compare(found: dict[str, Found], recorded: dict[str, Any]) -> int:
    """Prints what differs; returns how many cases do."""
    different = 0
    for name, each in sorted(found.items()):
        parts = recorded[name]["parts"] if name in recorded else {}
        differ = sorted(k for k in parts | each.parts if parts.get(k) != each.parts.get(k))
        if differ:
            print(f"{name}: {', '.join(differ) if parts else 'was not recorded'}  {each.error}")
        different += bool(differ)
    return different


def main() -> int:
    """Records or compares; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--write", action="store_true", help="record the digests")
    parser.add_argument("--only", default="*", help="cases whose name holds this; * and ? too")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    options = parser.parse_args()
    recorded = json.loads(FILE.read_text()) if FILE.exists() else {"machine": {}, "cases": {}}
    here = recorded["machine"] == machine()
    if not here and not options.write:
        print(f"cannot compare: recorded on {recorded['machine']}, this is {machine()}")
        return 2
    names = [name for name in CASES if fnmatch.fnmatch(name, f"*{options.only}*")]
    if options.write and not here and len(names) < len(CASES):
        print("recorded elsewhere; record all cases: leave --only out")
        return 2
    found = run_all(names, options.jobs)
    if options.write:
        write(found, recorded["cases"] if here else {})
        return 0
    different = compare(found, recorded["cases"])
    print(f"{len(found) - different} of {len(found)} equal")
    return 1 if different or not found else 0


if __name__ == "__main__":
    sys.exit(main())
