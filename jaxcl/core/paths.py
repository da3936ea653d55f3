"""Paths as a person writes them."""

from pathlib import Path

from jaxcl.core.errors import UsageError


def expanded(field: str, path: Path | str) -> Path:
    """Returns a path with a person's home folder in place of ``~`` or ``~name``.

    Args:
      field: that holds the path.
      path: as it was written.

    Raises:
      UsageError: nobody is named so here, or their home folder is not known.

    >>> expanded("data", "~no-such-name/mine.csv")
    Traceback (most recent call last):
    jaxcl.core.errors.UsageError: data: ~no-such-name/mine.csv: no such home; give the whole path
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{field}: {path}: no such home; give the whole path") from error
