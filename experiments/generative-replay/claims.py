"""What Shin et al. (2017) claim of generative replay, beside what our runs found."""

import json
from pathlib import Path
from typing import Any

from jaxcl.reporting.pages.claims import (
    Claim,
    Measured,
    Place,
    Section,
    against_figure,
    against_ours,
    average,
    measured,
)

HERE = Path(__file__).parent
SOLVERS = (98.81, 98.64, 98.58, 98.53, 98.56)
"""Shin et al. 2017 (arXiv 1705.08690), five solvers of a chain (%); read in slides on the paper."""
BRAIN_INSPIRED = 94.41
"""van de Ven, Siegelmann & Tolias 2020, class setting of split MNIST (%); recalled."""
SOURCE = """\
Test accuracy (%) with generated images of the old tasks, with the real ones (exact replay), \
noise in their place, or nothing. Shin et al. (2017) give figures of (a) alone, read in slides on \
the paper; all else they show as curves and in words. The last row's figure is that of van de \
Ven, Siegelmann & Tolias (2020), recalled. Blended digits are MNIST-M, which the paper does not \
have; street numbers (SVHN), which it has, could not be downloaded."""
COMMAND = "experiments/generative-replay/run.sh RUNS NAME"
SETS = {
    "mnist-svhn": "MNIST, then street numbers",
    "svhn-mnist": "street numbers, then MNIST",
    "mnist-mnist-m": "MNIST, then blended digits",
    "mnist-m-mnist": "blended digits, then MNIST",
    "mnist-usps": "MNIST, then envelopes' digits (USPS)",
    "usps-mnist": "envelopes' digits (USPS), then MNIST",
}
HEADS = {name: SETS[name] for name in ("mnist-mnist-m", "mnist-m-mnist")} | {
    "fashion-mnist": "Fashion-MNIST, then MNIST",
    "cifar10-mnist": "CIFAR-10, then MNIST",
    "permuted-5": "permuted MNIST, 5 tasks, old responses at ten times the weight",
    "permuted-10": "permuted MNIST, 10 tasks, old responses at ten times the weight",
}


def runs(name: str) -> dict[str, dict[str, Any]]:
    """Method -> summary of an experiment, as they are kept beside this file."""
    kept = sorted((HERE / "summaries" / name).glob("*.json"))
    return {path.stem: json.loads(path.read_text()) for path in kept}


def place(name: str) -> Place:
    """Where an experiment stands, and its name in the command."""
    return Place("table", "generative-replay/RESULTS.md", name)


def section() -> Section:
    """All claims, (a) to (e)."""
    claims = [*_chain()]
    for tasks in (5, 10):
        claims += _beside(f"permuted-{tasks}", f"(b) permuted MNIST, {tasks} tasks", tasks == 10)
    for name, title in SETS.items():
        claims += _domains(name, f"(c) {title}")
    for name, title in HEADS.items():
        claims.append(_heads(f"{name}-lwf", f"(d) {title}"))
    claims.append(_heads("permuted-5-lwf-tenth", "(d) permuted MNIST, 5 tasks"))
    claims += _beside("split", "(e) split MNIST, all classes", headline=True)
    ours = average(runs("split").get("dgr"))
    text = "(e) split MNIST, all classes: generative replay, beside brain-inspired replay"
    claims.append(against_figure(text, ours, (BRAIN_INSPIRED, None), place("split")))
    every = sorted((HERE / "summaries").glob("*/*.json"))
    kept = [json.loads(path.read_text()) for path in every]
    return Section("Generative replay", SOURCE, COMMAND, claims, kept)


def _chain() -> list[Claim]:
    found, last = runs("chain").get("dgr"), len(SOLVERS) - 1
    table = [] if found is None else found["accuracy"]  # [seed][task learned][task tested]
    fifth = measured([rows[last][last] for rows in table])
    lost = measured([rows[0][0] - rows[last][last] for rows in table])
    fall = round(SOLVERS[0] - SOLVERS[last], 2)
    texts = "(a) fifth solver of a chain", "(a) fifth solver below the first (points)"
    return [
        against_figure(texts[0], fifth, (SOLVERS[last], None), place("chain"), headline=True),
        against_figure(texts[1], lost, (fall, None), place("chain"), less=True),
    ]


def _beside(name: str, title: str, headline: bool) -> list[Claim]:
    """Generative replay beside exact replay, noise and nothing, on average over the tasks."""
    found = runs(name)
    ours = {method: average(one) for method, one in found.items()}
    replay, exact, noise, none = map(ours.get, ("dgr", "exact_replay", "noise_replay", "finetune"))
    where = place(name)
    text = f"{title}: generative replay is as good as exact replay"
    return [
        against_ours(text, replay, exact, where, better=False, headline=headline),
        against_ours(
            f"{title}: generative replay is better than nothing",
            replay,
            none,
            where,
            better=True,
            headline=headline and name == "split",  # where nothing else holds the old classes
        ),
        against_ours(
            f"{title}: generative replay is better than noise", replay, noise, where, better=True
        ),
        against_ours(
            f"{title}: plain training is as good as noise", none, noise, where, better=False
        ),
    ]


def _domains(name: str, title: str) -> list[Claim]:
    """Generative replay keeps the first domain and learns the second as exact replay does."""
    found = runs(name)
    replay, exact, none = map(found.get, ("dgr", "exact_replay", "finetune"))
    first, second = (_final(replay, task) for task in (0, 1))
    where = place(name)
    return [
        against_ours(
            f"{title}: generative replay keeps more of the first than nothing does",
            first,
            _final(none, 0),
            where,
            better=True,
            digits=1,
        ),
        against_ours(
            f"{title}: the second is learned as with exact replay",
            second,
            _final(exact, 1),
            where,
            better=False,
            digits=1,
        ),
    ]


def _heads(name: str, title: str) -> Claim:
    """LwF with generated images keeps more of the first task than LwF."""
    found = runs(name)
    ours, other = (_final(found.get(method), 0) for method in ("lwf_gr", "lwf"))
    text = f"{title}: LwF with generated images keeps more than LwF"
    # One where the new images are like the old ones, and one where they are not.
    main = name in ("mnist-m-mnist-lwf", "permuted-5-lwf-tenth")
    return against_ours(text, ours, other, place(name), better=True, digits=1, headline=main)


def _final(found: dict[str, Any] | None, task: int) -> Measured | None:
    """Accuracy on a task at the end."""
    if found is None:
        return None
    return Measured(found["final"][found["tasks"][task]], len(found["seeds"]))
