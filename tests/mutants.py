"""Do the tests notice a fault?  Puts faults in, one at a time.

Each is one replacement in one line of a copy of the package (``mutants_data.py``); the
tests named beside it are run against the copy and must fail by an assertion.  They pass
without the fault, which is seen to first, and a fault that keeps them from being collected,
or makes them stop by any other error, does not count as caught.

    python tests/mutants.py                          # all of them, some minutes
    python tests/mutants.py --only si-unclipped      # some
    python tests/mutants.py --write                  # and the table goes to mutants.md
"""

import argparse
import os
import queue
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from mutants_data import MUTANTS, Mutant

ROOT = Path(__file__).parents[1]
TABLE = Path(__file__).with_suffix(".md")
COPIED = ("jaxcl", "tests", "pyproject.toml")
# No options of the project: one process for each run, no doctests, no checks of types, which
# would notice some faults by their shapes alone.
PYTEST = [sys.executable, "-m", "pytest", "-o", "addopts=", "-p", "no:cacheprovider"]
PYTEST += ["-x", "-q", "-rfE", "--tb=short"]
FAILED = re.compile(r"^FAILED (\S+?::.+?) - (.*)$", re.MULTILINE)
ASSERTION = re.compile(r"assert |AssertionError|Failed: DID NOT RAISE")
PASSED, SOME_FAILED = 0, 1  # exit codes of pytest


class Verdict(NamedTuple):
    """What came of a fault: ``caught`` by a test, ``missed``, or ``broken`` in another way."""

    kind: str
    by: str


def mutated(mutant: Mutant) -> str:
    """The file with the fault; stops the script where the old text is not there just once."""
    text = (ROOT / mutant.file).read_text()
    found = text.count(mutant.old)
    if found != 1:
        where = f"{mutant.name}: {mutant.file} has {mutant.old!r}"
        sys.exit(f"{where} {found} times, not once; give the fault another place")
    return text.replace(mutant.old, mutant.new)


def copied(folder: Path) -> Path:
    """A copy of what the tests need, in a new folder."""
    for name in COPIED:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return folder


def run_tests(copy: Path, tests: Iterable[str]) -> tuple[int, str]:
    """Exit code and output of pytest on tests of a copy, whose package it imports."""
    environment = {**os.environ, "PYTHONPATH": str(copy), "COLUMNS": "1000"}
    parts = [each for each in tests if "::" not in each], [each for each in tests if "::" in each]
    output = ""
    # Of whole files the fast tests; a test that is named may be a slow one.
    for marked, part in zip((["-m", "not slow"], []), parts, strict=True):
        if part:
            command = [*PYTEST, *marked, *part]
            how = {"cwd": copy, "env": environment, "capture_output": True, "text": True}
            done = subprocess.run(command, **how)
            output += done.stdout + done.stderr
            if done.returncode:
                return done.returncode, output
    return PASSED, output


def judged(code: int, output: str) -> Verdict:
    """What the tests say about a fault."""
    if code == PASSED:
        return Verdict("missed", "")
    found = FAILED.search(output)
    if code == SOME_FAILED and found and ASSERTION.match(found[2]):
        return Verdict("caught", found[1])
    last = [line[:200] for line in output.strip().splitlines()[-10:]]
    return Verdict("broken", "\n".join(last))


def try_fault(mutant: Mutant, copies: queue.Queue) -> Verdict:
    """Puts a fault into a copy that is free, runs its tests, takes it out again."""
    faulty, copy, began = mutated(mutant), copies.get(), time.perf_counter()
    file = copy / mutant.file
    right = file.read_text()
    try:
        file.write_text(faulty)
        verdict = judged(*run_tests(copy, mutant.tests.split()))
    finally:
        file.write_text(right)
        copies.put(copy)
    seconds = time.perf_counter() - began
    print(f"{mutant.name}: {verdict.kind} {verdict.by} ({seconds:.0f} s)", flush=True)
    return verdict


def check_unmutated(mutants: Iterable[Mutant], copies: queue.Queue) -> None:
    """Stops the script if a test fails without any fault."""

    def passes(share: list[str]) -> None:
        copy = copies.get()
        code, output = run_tests(copy, share)
        copies.put(copy)
        if code != PASSED:
            sys.exit(f"without a fault, these do not pass: {', '.join(share)}\n{output[-3000:]}")

    tests = sorted({test for mutant in mutants for test in mutant.tests.split()})
    jobs = min(copies.qsize(), len(tests))
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(passes, [tests[job::jobs] for job in range(jobs)]))
    print(f"without a fault, the tests of {len(tests)} places pass", flush=True)


def table(mutants: list[Mutant], verdicts: list[Verdict]) -> str:
    """Markdown: what became of every fault, and how many were caught."""
    rows = ["| fault | file | caught by |", "|---|---|---|"]
    for mutant, (kind, by) in zip(mutants, verdicts, strict=True):
        told = f"`{by.removeprefix('tests/')}`" if kind == "caught" else f"**{kind}**"
        rows.append(f"| {mutant.name} | `{mutant.file}` | {told} |")
    caught = sum(verdict.kind == "caught" for verdict in verdicts)
    return "\n".join([*rows, "", f"{caught} of {len(mutants)} caught."])


def main() -> int:
    """Runs the script; 1 if a fault was not caught."""
    options = argparse.ArgumentParser(description="Do the tests notice a fault?")
    options.add_argument("--only", nargs="+", metavar="NAME", help="these faults alone")
    options.add_argument("--jobs", type=int, default=2, help="so many at a time")
    options.add_argument("--write", action="store_true", help=f"write {TABLE.name}")
    given = options.parse_args()
    names = [mutant.name for mutant in MUTANTS]
    if unknown := set(given.only or names) - set(names):
        options.error(f"no fault is named {', '.join(sorted(unknown))}")
    mutants = [mutant for mutant in MUTANTS if mutant.name in (given.only or names)]
    for mutant in mutants:
        mutated(mutant)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        copies: queue.Queue = queue.Queue()
        for job in range(given.jobs):
            copies.put(copied(Path(folder) / str(job)))
        check_unmutated(mutants, copies)
        with ThreadPoolExecutor(given.jobs) as pool:
            verdicts = list(pool.map(lambda mutant: try_fault(mutant, copies), mutants))
    text = table(mutants, verdicts)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"\n{text}\n{time.perf_counter() - began:.0f} s, {used.ru_utime + used.ru_stime:.0f} of CPU"
    )
    if given.write:
        command = "python tests/mutants.py --write"
        TABLE.write_text(f"# Faults that the tests notice\n\n`{command}` wrote this.\n\n{text}\n")
    return int(any(verdict.kind != "caught" for verdict in verdicts))


if __name__ == "__main__":
    sys.exit(main())
