"""Errors that a user can mend: one line that names the field and the remedy."""

import difflib
from collections.abc import Iterable


class UsageError(ValueError):
    """A setting that cannot be used."""


class DataError(UsageError):
    """Data that is missing, damaged or not fit to train on."""


class NonFiniteLoss(RuntimeError):
    """Training produced an infinite loss or one that is not a number."""


class OutputError(OSError):
    """The output folder cannot be written."""


def check_name(field: str, name: str, known: Iterable[str]) -> None:
    """Raises a :class:`UsageError` with the nearest known name, if unknown.

    >>> check_name("net", "CN", ["cnn", "mlp"])
    Traceback (most recent call last):
    jaxcl.core.errors.UsageError: net: 'CN' is unknown; did you mean 'cnn'? Known: cnn, mlp
    """
    known = list(known)
    if name in known:
        return
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? Known" if near else "known"
    raise UsageError(f"{field}: {name!r} is unknown; {hint}: {', '.join(known)}")
