"""What papers claim, beside what our runs found: a row of a table for each claim."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxcl.reporting.metrics import mean_sem, verdict
from jaxcl.reporting.pages.caption import caption
from jaxcl.reporting.report import markdown_head, markdown_row, mean_text

NOT_RUN, NOT_COMPARABLE = "not run", "not comparable"
HEADER = ("claim", "published", "ours", "seeds", "verdict", "table")


class Measured(NamedTuple):
    """What runs of ours found.

    Attributes:
      value: mean and standard error over the seeds, as :func:`mean_sem` returns them.
      seeds: how many.
    """

    value: dict[str, float | None]
    seeds: int


def measured(values: Sequence[float]) -> Measured | None:
    """The mean of one value for each seed; None if there are none, so nothing was run."""
    return Measured(mean_sem(values), len(values)) if values else None


def average(summary: dict[str, Any] | None, metric: str = "average_accuracy") -> Measured | None:
    """The average accuracy of a run, or another metric; None where there is no run."""
    if summary is None:
        return None
    return Measured(summary[metric], len(summary["seeds"]))


class Place(NamedTuple):
    """Where a claim stands in our tables, and what makes it.

    Attributes:
      name: of the table.
      link: to it, from the folder ``experiments``.
      words: what the section's command has in the place of NAME; empty if it has no such place.
    """

    name: str
    link: str
    words: str = ""


class Claim(NamedTuple):
    """A row.

    Attributes:
      text: the claim, in a few words.
      published: the paper's figure.
      ours: our figure, with its standard error.
      seeds: that it rests on.
      verdict: ``met``, ``above``, ``below``, ``not comparable`` or ``not run``.
      place: of our figure.
      headline: whether it stands in the short table too.
    """

    text: str
    published: str
    ours: str
    seeds: str
    verdict: str
    place: Place
    headline: bool = False


class Section(NamedTuple):
    """The claims of one paper or one experiment.

    Attributes:
      title: heading.
      source: whose the published figures are, and whether they were read there or are recalled.
      command: that makes the runs and the table, from the root of a checkout; with NAME for what
        differs from row to row.
      claims: a row each.
      summaries: of the runs that the figures are made of.
    """

    title: str
    source: str
    command: str
    claims: Sequence[Claim]
    summaries: Sequence[dict[str, Any]]


def against_figure(
    text: str,
    ours: Measured | None,
    theirs: tuple[float, float | None] | None,
    place: Place,
    *,
    digits: int = 2,
    less: bool = False,
    comparable: bool = True,
    headline: bool = False,
) -> Claim:
    """Makes the row of a claim that is a figure.

    Args:
      text: the claim.
      ours: None if it was not run.
      theirs: mean and standard error; of a single run there is no error, and it counts as 0.
        None where there is no figure.
      place: of our figure.
      digits: after the point.
      less: whether less is better, so that the verdict is turned round.
      comparable: whether theirs was measured as ours was.
      headline: whether it stands in the short table too.
    """
    published = "-" if theirs is None else mean_text({"mean": theirs[0], "sem": theirs[1]}, digits)
    if ours is None:
        found = NOT_RUN
    elif theirs is None or not comparable:
        found = NOT_COMPARABLE
    else:
        found = _judged(ours.value, {"mean": theirs[0], "sem": theirs[1]}, less)
    shown = NOT_RUN if ours is None else mean_text(ours.value, digits)
    return Claim(text, published, shown, _seeds(ours), found, place, headline)


def against_ours(
    text: str,
    ours: Measured | None,
    other: Measured | None,
    place: Place,
    *,
    better: bool,
    published: str = "in words",
    digits: int = 2,
    headline: bool = False,
) -> Claim:
    """Makes the row of a claim that one figure is better than another, or as good.

    Both are ours.  ``met`` if the first is higher by more than two joint standard errors, or for
    one that is to be as good, if it is not lower by more than that; ``below`` otherwise.

    Args:
      text: the claim.
      ours: what is claimed to be better or as good.
      other: what it is compared with.
      place: of our figures.
      better: or as good.
      published: what the paper has of it.
      digits: after the point.
      headline: whether it stands in the short table too.
    """
    if ours is None or other is None:
        return Claim(text, published, NOT_RUN, "-", NOT_RUN, place, headline)
    word = _judged(ours.value, other.value, less=False)
    found = "met" if word == "above" or (word == "met" and not better) else "below"
    shown = f"{mean_text(ours.value, digits)} against {mean_text(other.value, digits)}"
    seeds = min((ours, other), key=lambda each: each.seeds)
    return Claim(text, published, shown, _seeds(seeds), found, place, headline)


def _judged(ours: dict[str, float | None], theirs: dict[str, float | None], less: bool) -> str:
    sign = -1.0 if less else 1.0
    assert ours["mean"] is not None
    assert theirs["mean"] is not None
    signed = {"mean": sign * ours["mean"], "sem": ours["sem"]}
    return verdict(signed, (sign * theirs["mean"], theirs["sem"] or 0.0))


def _seeds(of: Measured | None) -> str:
    if of is None:
        return "-"
    return "1 seed" if of.seeds == 1 else str(of.seeds)


def text(section: Section) -> str:
    """Returns a section: its heading, whose figures they are, the command, the table, the runs."""
    names = any(each.place.words for each in section.claims)
    rows = []
    for each in section.claims:
        row = [*_figures(each), f"[{each.place.name}]({each.place.link})"]
        words = f"`{each.place.words}`" if each.place.words else ""
        rows.append([*row, words] if names else row)
    parts = [
        f"## {section.title}",
        section.source,
        f"Command{', with the last column for NAME' if names else ''}: `{section.command}`",
        _markdown([*HEADER, "NAME"] if names else HEADER, rows),
        caption(section.summaries),
    ]
    return "\n\n".join(parts)


def short_table(sections: Sequence[Section], folder: str) -> str:
    """Returns the headlines of all sections as a table in Markdown, without the commands.

    Args:
      sections: of the page.
      folder: in which the page lies, as links go through it.
    """
    rows = [
        [section.title, *_figures(each), f"[{each.place.name}]({folder}/{each.place.link})"]
        for section in sections
        for each in section.claims
        if each.headline
    ]
    return _markdown(["", *HEADER], rows)


def counts(sections: Sequence[Section]) -> str:
    """Returns how many claims of each section have which verdict, as a table in Markdown."""
    verdicts = ("met", "above", "below", NOT_COMPARABLE, NOT_RUN)
    rows = []
    for section in sections:
        found = [each.verdict for each in section.claims]
        assert set(found) <= set(verdicts)
        rows.append([section.title, *(str(found.count(word) or "") for word in verdicts)])
    return _markdown(["", *verdicts], rows)


def _figures(claim: Claim) -> list[str]:
    return [claim.text, claim.published, claim.ours, claim.seeds, claim.verdict]


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join([*markdown_head(header), *map(markdown_row, rows)])
