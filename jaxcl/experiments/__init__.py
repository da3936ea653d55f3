"""Commands: ``jaxcl <name>``, or ``python -m jaxcl.experiments.<name>``."""

import sys

from jaxcl import extras

try:
    extras.check("a command of jaxcl", "rich", "tyro")
except extras.MissingExtra as error:
    if sys.argv[0] != "-m":  # as it is while "python -m" looks for the module of a command
        raise
    sys.stderr.write(f"error: {error}\n")
    sys.exit(2)
