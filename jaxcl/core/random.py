"""Named streams of random numbers.

``fold_in(key, 3)`` used for two purposes is silent key reuse: two parts of a
program draw the same numbers.  A stream has a name, so it cannot happen.
"""

import zlib

import jax

from jaxcl.core.types import PRNGKey


def stream(key: PRNGKey, name: str, *positions) -> PRNGKey:
    """Derives the key of a named purpose, at an index of it (task, epoch, step...).

    Args:
      key: a typed key (``jax.random.key``).
      name: the purpose, such as ``"shuffle"``; hashed with CRC-32, so the
        stream is the same on every machine and in every process.
      *positions: integers (traced ones too) folded in one after the other.

    >>> import jax
    >>> key = jax.random.key(0)
    >>> bool(stream(key, "shuffle", 0) == stream(key, "init", 0))
    False
    """
    key = jax.random.fold_in(key, zlib.crc32(name.encode()))
    for position in positions:
        key = jax.random.fold_in(key, position)
    return key
