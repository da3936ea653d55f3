"""What the runs behind a table were made with, in words."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

UNKNOWN = "not recorded"


def caption(summaries: Sequence[dict[str, Any]]) -> str:
    """Returns what runs have in common and where they differ, as a paragraph.

    Where they differ, every value stands with the number of runs that have it. What older
    summaries do not hold is said to be not recorded.

    Args:
      summaries: of which ``seeds``, ``seconds``, ``machine``, ``versions`` and ``git`` are read.

    >>> caption([])
    'No run is recorded.'
    """
    if not summaries:
        return "No run is recorded."
    machines = counted(machine_text(one.get("machine")) for one in summaries)
    commits = counted(commit_text(one.get("git")) for one in summaries)
    return (
        f"{_runs(summaries)}; {_minutes(summaries)}. Machine: {machines}."
        f" Versions: {_versions(summaries)}. Commit: {commits}."
    )


def machine_text(machine: dict[str, Any] | None) -> str:
    """Writes what :func:`jaxcl.core.runtime.machine` found.

    >>> machine_text({"cores": 2, "cpu": "Xeon", "memory": 8e9, "accelerator": None})
    '2 cores of Xeon, 8 GB'
    """
    if machine is None:
        return UNKNOWN
    cores = "1 core" if machine["cores"] == 1 else f"{machine['cores']} cores"
    parts = [f"{cores} of {machine['cpu'] or 'an unknown CPU'}"]
    if machine["memory"] is not None:
        parts.append(f"{machine['memory'] / 1e9:.0f} GB")
    if machine["accelerator"] is not None:
        parts.append(f"{machine['accelerators']} {machine['accelerator']}")
    return ", ".join(parts)


def counted(texts: Iterable[str]) -> str:
    """Joins different texts, each with how often it came, unless they are all the same.

    >>> counted(["a", "b", "a"])
    'a (2 runs), b (1 run)'
    """
    found = Counter(texts)
    if len(found) == 1:
        return next(iter(found))
    # A text that has commas itself is told from the next one by a semicolon.
    between = "; " if any("," in text for text in found) else ", "
    runs = {text: "1 run" if n == 1 else f"{n} runs" for text, n in found.most_common()}
    return between.join(f"{text} ({n})" for text, n in runs.items())


def _runs(summaries: Sequence[dict[str, Any]]) -> str:
    """How many, and of how many seeds."""
    runs = "1 run" if len(summaries) == 1 else f"{len(summaries)} runs"
    seeds = [len(one.get("seeds", [])) for one in summaries]
    if not any(seeds):
        return f"{runs}, seeds {UNKNOWN}"
    if len({*seeds}) == 1:
        return f"{runs} of {_seeds(seeds[0])}" + (" each" if len(seeds) > 1 else "")
    return f"{runs}, {', '.join(f'{n} of {_seeds(of)}' for of, n in Counter(seeds).items())}"


def _seeds(number: int) -> str:
    return "1 seed" if number == 1 else f"{number or 'unknown'} seeds"


def commit_text(commit: str | None) -> str:
    """Returns a commit in short, and whether files were changed since.

    >>> commit_text("0123456789+"), commit_text(None)
    ('0123456 with changes', 'not recorded')
    """
    if commit is None:
        return UNKNOWN
    return commit[:7] + (" with changes" if commit.endswith("+") else "")


def _minutes(summaries: Sequence[dict[str, Any]]) -> str:
    """The time of all runs together."""
    known = [one["seconds"] for one in summaries if one.get("seconds") is not None]
    if not known:
        return f"minutes {UNKNOWN}"
    total = sum(known) / 60
    text = f"{total:,.0f} minutes in all" if total >= 1 else "less than a minute in all"
    missing = len(summaries) - len(known)
    return text + (f" ({UNKNOWN} for {missing} of the runs)" if missing else "")


def _versions(summaries: Sequence[dict[str, Any]]) -> str:
    """Every package with its version: first those that all runs have alike."""
    names = dict.fromkeys(name for one in summaries for name in one.get("versions", {}))
    if not names:
        return UNKNOWN
    found = {
        name: [one.get("versions", {}).get(name, UNKNOWN) for one in summaries] for name in names
    }
    same = {name: each[0] for name, each in found.items() if len({*each}) == 1}
    others = [name for name in names if name not in same]
    alike = ", ".join(f"{name} {version}" for name, version in same.items())
    differing = counted(
        ", ".join(f"{name} {found[name][run]}" for name in others) for run in range(len(summaries))
    )
    return "; ".join(text for text in (alike, differing) if text)
